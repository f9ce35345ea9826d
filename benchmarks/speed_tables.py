"""The tables of speed: steps beside PyTorch's, where their time goes, many seeds at once."""

from collections.abc import Callable

from table_text import table

from results import Result


def step_time() -> str:
    """Milliseconds a step in float32, for the first page."""
    titles = {
        "mlp": "MLP, batch 100",
        "dcgan28": "DCGAN, 28 pixels, batch 100",
        "dcgan64": "DCGAN, 64 pixels, batch 64",
    }
    result = Result.of("step_time")
    columns = ("jaxgan_ms", "flax_ms", "torch_ms", "torch_tuned_ms")
    rows = [
        [title, *(_milliseconds(result.figure(f"{name} float32", c).mean, 1) for c in columns)]
        for name, title in titles.items()
    ]
    head = ["", "jaxgan", "plain Flax", "PyTorch", "PyTorch, tuned"]
    return table(head, rows, [result], "mlp float32")


def step_time_all() -> str:
    """Every row of step_time.py."""
    result = Result.of("step_time")
    names = list(result.runs[0]["figures"])
    times = ("jaxgan_ms", "flax_ms", "torch_ms", "torch_tuned_ms")
    ratios = ("ratio", "ratio_tuned")
    rows = [
        [
            *name.split(),
            *(_milliseconds(result.figure(name, column).mean, 2) for column in times),
            *(f"{result.figure(name, column).mean:.2f}" for column in ratios),
        ]
        for name in names
    ]
    return table(["model", "dtype", *times, *ratios], rows, [result], names[0])


def _milliseconds(value, digits):
    return f"{value:.{digits}f}" if value < 100 else f"{value:,.0f}"


def step_profile() -> str:
    """Where a step's time goes."""
    result = Result.of("step_profile")
    games = ("dcgan28", "dcgan64")
    kinds = list(result.runs[0]["figures"][games[0]])
    rows = [
        [kind, *(f"{100 * result.figure(game, kind).mean:.0f} %" for game in games)]
        for kind in kinds
    ]
    head = ["float32, share of the step", *games]
    return table(head, rows, [result], games[0])


def seeds() -> str:
    """Trainings an hour, one after another and all in one program."""
    titles = {
        "bare mlp": "steps alone, MLP",
        "bare ring": "steps alone, two Gaussian trials",
        "commands mlp_gan": "`mlp_gan.py`, 300 steps",
        "commands gaussians": "`gaussians.py --variant=ring`, 300 steps, two trials",
    }
    result = Result.of("seeds")
    times = ("one_after_another_ms", "at_once_ms")
    rows = [
        [
            title,
            *(_milliseconds(result.figure(name, column).mean, 1) for column in times),
            *(f"{result.figure(name, column).mean:.2f}" for column in ("ratio", "work_ratio")),
        ]
        for name, title in titles.items()
    ]
    head = [
        "eight seeds",
        "one after another, ms",
        "at once, ms",
        "ratio",
        "ratio of all cores' work",
    ]
    return table(head, rows, [result], "bare mlp")


TABLES: dict[str, Callable[[], str]] = {
    make.__name__: make for make in (seeds, step_profile, step_time, step_time_all)
}
