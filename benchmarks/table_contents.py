"""The tables of the READMEs, each a function of files in `results/`; `tables.py` writes them."""

from collections.abc import Callable
from statistics import fmean

from table_text import WRONG_SUMS, cell, markdown, maybe, percent, table

from results import RESULTS, Result, name_of


def images() -> str:
    """MNIST: distances of generated digits from real ones."""
    names = ("fid", "kid", "precision", "recall", "density", "coverage")
    scripts = ("dcgan", "lsgan", "mlp_gan", "mlp_gan --variant=dropout",
               "mlp_gan --variant=batch_norm", "wgan_gp", "r3gan", "sngan")  # fmt: skip
    results = {script: Result.of(script) for script in scripts}
    rows = [
        [f"`{script}`", *(cell(result.figure("generated", name), 3) for name in names)]
        for script, result in results.items()
    ]
    floor = results["dcgan"]
    rows.append(["real digits", *(f"{floor.figure('floor', name).mean:.3f}" for name in names)])
    classes = results["sngan"].figure("generated", "accuracy")
    real = results["sngan"].figure("floor", "accuracy")
    said = (
        f"SNGAN alone is given the classes, which are read in {percent(classes, 1)} of its "
        f"images ({percent(real, 1)} of real ones)."
    )
    return table(["experiment", *names], rows, results.values(), "generated", said)


def quality() -> str:
    """The DCGAN's FID beside PyTorch's, as trained and averaged."""
    columns = [(state, side) for state in ("as trained", "averaged") for side in _SIDES]
    result = Result.of("quality")
    rows = []
    for run in result.runs:
        cells = [run["figures"].get(state, {}).get(side) for state, side in columns]
        cells = ["not measured" if value is None else f"{value:.2f}" for value in cells]
        rows.append([str(run["seed"]), *cells])
    means = [maybe(result, state, side, 2) for state, side in columns]
    rows.append(["mean", *means])
    head = ["seed", *(f"{side}, {state}" for state, side in columns)]
    return table(head, rows, [result], "as trained")


_SIDES = ("jaxgan", "PyTorch")


def sgan() -> str:
    """Accuracies from few labels."""
    results = {count: Result.of(f"sgan --config.labels={count}") for count in (20, 50, 100, 1000)}
    rows = [
        [
            f"{count:,}",
            *(percent(result.figure(what, "accuracy"), 2) for what in ("sgan", "alone")),
        ]
        for count, result in results.items()
    ]
    head = ["labels", "SGAN", "the same network on the labels alone"]
    return table(head, rows, results.values(), "sgan")


def acgan() -> str:
    """What ACGAN's images and its discriminator are worth."""
    result = Result.of("acgan")
    real = "floor"
    rows = [
        [
            name,
            percent(result.figure("generated", figure), 1),
            f"{100 * result.figure(real, figure).mean:.1f} %",
        ]
        for name, figure in (
            ("the class asked for is read", "accuracy"),
            ("of the class where it is read least", "accuracy_worst"),
        )
    ]
    rows += [
        [
            name,
            cell(result.figure("generated", figure), 2),
            f"{result.figure(real, figure).mean:.2f}",
        ]
        for name, figure in (
            ("FID", "fid"),
            ("FID class by class, mean", "class_fid"),
            ("FID class by class, worst", "class_fid_worst"),
        )
    ]
    judged = (
        ("the discriminator", "discriminator"),
        ("the same network without a generator", "trained without generator"),
    )
    for statistics, figure in (
        ("statistics of real images", "accuracy"),
        ("statistics of its training", "accuracy, statistics of training"),
    ):
        for name, what in judged:
            text = f"held-out digits classified correctly by {name}, {statistics}"
            rows.append([text, maybe(result, what, figure, 1, share=True), ""])
    return table(["", "ACGAN", "real digits"], rows, [result], "generated")


def gaussians() -> str:
    """The toys with a known answer."""
    results = {name: Result.of(f"gaussians --variant={name}") for name in ("ring", "grid", "line")}
    published = {
        ("ring", "modes"): ("6.3", "7.8"),
        ("grid", "modes"): ("17.3", "24.8"),
        ("ring", "reverse_kl"): ("", "0.07"),
        ("grid", "reverse_kl"): ("", "0.04"),
    }
    figures = (("modes", "modes"), ("high_quality", "near one"), ("reverse_kl", "reverse KL"))
    rows = []
    for toy, result in results.items():
        chosen = (("distance", "distance of D from the best"),) if toy == "line" else figures
        for name, text in chosen:
            try:
                figure = result.figure("trial*", name, name in ("modes", "high_quality"))
            except KeyError:
                continue
            values = [_number(value, name) for value in (figure.mean, figure.std, figure.worst)]
            rows.append([f"{toy}: {text}", *values, *published.get((toy, name), ("", ""))])
    head = ["", "mean", "standard deviation", "worst trial", "GAN, published", "PacGAN4, published"]
    return table(head, rows, results.values(), "trial*")


def _number(value, name):
    if value is None:
        return ""
    if name == "high_quality":
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if name != "modes" else f"{value:g}"


def stacked_mnist() -> str:
    """Modes of a thousand."""
    results = {name: Result.of(f"stacked_mnist --variant={name}") for name in ("quick", "plain")}

    def cells(result, what):
        modes = result.figure(what, "modes")
        spread = "" if modes.std is None else f" ± {modes.std:.0f}"
        return [f"{modes.mean:,.0f}{spread}", cell(result.figure(what, "reverse_kl"), 3)]

    rows = [[f"`{name}`", *cells(result, "generated")] for name, result in results.items()]
    real = results["quick"]
    rows += [
        ["real images of unseen digits", "1,000", f"{real.figure('real', 'reverse_kl').mean:.3f}"],
        ["DCGAN, published (in Lin et al. 2018)", "99", "3.40"],
        ["PacDCGAN2, published (Lin et al. 2018)", "1,000", "0.06"],
        ["EnGAN, published (Kumar et al. 2019)", "1,000", "0.031"],
    ]
    return table(["", "modes", "reverse KL"], rows, results.values(), "generated")


def translation() -> str:
    """Translations beside the truth."""
    runs = {"CycleGAN": Result.of("cyclegan"), "DiscoGAN": Result.of("discogan")}
    columns = []
    for name, result in runs.items():
        columns += [(name, result, "run"), ("its generators, with pairs", result, "with pairs")]
    columns.append(("identity map", runs["CycleGAN"], "identity"))
    lines = (
        ("mean squared error against the truth, A→B and B→A", ("mse_ab", "mse_ba"), ".3f"),
        ("SSIM, A→B and B→A", ("ssim_ab", "ssim_ba"), ".2f"),
        ("mean absolute error after A→B→A and B→A→B", ("cycle_a", "cycle_b"), ".3f"),
        ("digits read after A→B→A and B→A", ("read_aba", "read_ba"), "%"),
        ("FID in B and in A", ("fid_b", "fid_a"), "fid"),
    )

    def write(value, form):
        if form == "%":
            return f"{100 * value:.1f} %"
        if form == "fid":
            return f"{value:.0f}" if value >= 100 else f"{value:.2f}"
        return f"{value:{form}}" if value else "0"

    rows = [
        [text, *(
            ", ".join(write(result.figure(what, name).mean, form) for name in names)
            for _, result, what in columns
        )]
        for text, names, form in lines
    ]  # fmt: skip
    return table(["", *(name for name, *_ in columns)], rows, runs.values(), "run")


def pairs() -> str:
    """Translations learnt from pairs, beside what the error alone teaches."""
    result = Result.of("pix2pix")
    columns = (("pix2pix", "run"), ("the same generator, L1 alone", "L1 alone"),
               ("identity map", "identity"))  # fmt: skip
    rows = [
        [text, *(cell(result.figure(what, name), 3) for _, what in columns)]
        for text, name in (
            ("mean absolute error", "mae_ab"),
            ("mean squared error", "mse_ab"),
            ("SSIM", "ssim_ab"),
        )
    ]
    return table(["", *(text for text, _ in columns)], rows, [result], "run")


def emoji() -> str:
    """Emoji by all methods that are measured: how far they are, and whether as was asked for."""
    rows, results, said = [], [], ""
    for script, columns in _EMOJI.items():
        if not (RESULTS / f"{name_of(script)}.json").exists():
            continue
        result = Result.of(script)
        results.append(result)
        minutes = fmean(run["budget"]["minutes"] for run in result.runs)
        row = [f"`{script}`", f"{minutes:.0f}"]
        for column, digits in _JUDGED.items():
            what, beside, name = columns.get(column, ("", "", ""))
            share = column == "as asked for"
            cells = [maybe(result, of, name, digits, share) for of in (what, beside) if of]
            known = "not measured" not in cells
            row.append(f"{cells[0]} ({cells[1]})" if cells and known else "".join(cells[:1]))
        rows.append(row)
        if columns is _CAPTIONED:
            seen = maybe(result, "Stage II", "seen", 1, share=True)
            said = f"Of names that training had, {seen} are found."
    return table(["experiment", "minutes", *_JUDGED], rows, results, "*", said)


_JUDGED = {"fd": 1, "as asked for": 1, "mean absolute error": 3, "SSIM": 3}
# Of each column: what is shown, what stands beside it, and the name of the figure.
_DRAWN = {"fd": ("generated", "floor", "fd")}
_BY_CATEGORY = {**_DRAWN, "as asked for": ("generated", "floor", "accuracy")}
_TRANSLATED = {
    "fd": ("run", "real", "fd_lite1_b"),
    "as asked for": ("run", "real", "read_ab"),
    "mean absolute error": ("run", "identity", "mae_ab"),
    "SSIM": ("run", "identity", "ssim_ab"),
}
_CAPTIONED = {
    "fd": ("Stage II", "real", "fd_lite1"),
    "as asked for": ("Stage II", "real", "unseen"),
}
_EMOJI = {
    "dcgan --variant=emoji": _DRAWN,
    "lsgan --variant=emoji": _DRAWN,
    "wgan_gp --variant=emoji": _DRAWN,
    "projected_gan": _DRAWN,
    "projected_gan --variant=plain": _DRAWN,
    "sngan --variant=emoji": _BY_CATEGORY,
    "acgan --variant=emoji": _BY_CATEGORY,
    "cyclegan --variant=emoji": _TRANSLATED,
    "discogan --variant=emoji": _TRANSLATED,
    "pix2pix": _TRANSLATED,
    "stackgan --variant=emoji": _CAPTIONED,
}


def codes() -> str:
    """How well codes that were learnt without labels are classes."""
    result = Result.of("infogan")
    error = percent(result.figure("infogan", "error"), 1)
    rows = [
        ["InfoGAN", error],
        ["published (Chen et al. 2016, section 7.2)", "5 %"],
        ["guessing", "90 %"],
    ]
    return table(["", "test digits of another class than their code"], rows, [result], "infogan")


def stackgan() -> str:
    """What is read of captions' images."""
    result = Result.of("stackgan")
    columns = (("Stage I, enlarged", "Stage I"), ("Stage II", "Stage II"), ("real scenes", "real"))
    rows = [
        [text, *(percent(result.figure(what, name), 1) for _, what in columns)]
        for text, name in (
            *((name, name) for name in ("digit", "colour", "size", "place", "ground")),
            ("all at once", "all"),
        )
    ]
    rows.append(
        [
            "FID, in features of the reader",
            *(cell(result.figure(what, "fid"), 1) for _, what in columns),
        ]
    )
    return table(["", *(text for text, _ in columns)], rows, [result], "Stage II")


def games() -> str:
    """How the players stand at the end."""
    shown = {
        "dcgan": ("dcgan.png", "DCGAN"),
        "lsgan": ("lsgan.png", "LSGAN"),
        "mlp_gan": ("mlp_plain.png", "MLP GAN, plain"),
        "mlp_gan --variant=dropout": ("mlp_dropout.png", "MLP GAN, dropout"),
        "mlp_gan --variant=batch_norm": ("mlp_batch_norm.png", "MLP GAN, batch norm"),
    }
    rows, results = [], []
    for script, (picture, title) in shown.items():
        result = Result.of(script)
        results.append(result)
        first, *rest = script.split()
        values = [result.figure("game", name).mean for name in _GAME]
        rows.append(
            [
                f"`{' '.join([f'{first}.py', *rest])}`",
                f"{result.runs[0]['budget']['examples']:,}",
                ", ".join(f"{value:.2f}" for value in values[:2]),
                f"{values[2]:.2f}",
                ", ".join(f"{value:.2f}" for value in values[3:]),
                f"![{title}](pictures/{picture})",
            ]
        )
    head = ["experiment", "digits seen", "D(x), D(G(z))", "bound",
            "held-out accuracy, real and generated", "samples"]  # fmt: skip
    return table(head, rows, results, "game")


_GAME = ("d_real", "d_fake", "jsd_lower_bound", "accuracy_real", "accuracy_fake")


def experiments() -> str:
    """For the first page: every experiment, and the figure that says most of it."""

    def fid(script):
        result = Result.of(script)
        return f"FID {cell(result.figure('generated', 'fid'), 2)}", [result]

    def modes(toy):
        result = Result.of(f"gaussians --variant={toy}")
        worst = result.figure("trial*", "modes", lowest_is_worst=True).worst
        return f"{worst:g}", result

    few = Result.of("sgan --config.labels=100")
    classes = Result.of("acgan")
    (ring, of_ring), (grid, of_grid) = modes("ring"), modes("grid")
    stacked = Result.of("stacked_mnist --variant=quick")
    cycle, disco = Result.of("cyclegan"), Result.of("discogan")
    scenes, codes, paired = map(Result.of, ("stackgan", "infogan", "pix2pix"))
    ssims = [f"{result.figure('run', 'ssim_ab').mean:.2f}" for result in (cycle, disco)]
    rows = [
        ("dcgan", "convolutions, the non-saturating loss", *fid("dcgan")),
        ("lsgan", "the same under the least-squares loss", *fid("lsgan")),
        ("mlp_gan", "dense layers; `--variant=dropout`", *fid("mlp_gan --variant=dropout")),
        ("wgan_gp", "Wasserstein with gradient penalty", *fid("wgan_gp")),
        ("sngan", "spectral norm, hinge, projection of classes", *fid("sngan")),
        ("r3gan", "relativistic with R1 and R2", *fid("r3gan")),
        (
            "acgan",
            "the discriminator tells classes, too",
            f"{fid('acgan')[0]}; the class asked for is read in "
            f"{percent(classes.figure('generated', 'accuracy'), 1)}",
            [classes],
        ),
        (
            "sgan",
            "a classifier from a hundred labels",
            f"{percent(few.figure('sgan', 'accuracy'), 1)} of test digits right; "
            f"{percent(few.figure('alone', 'accuracy'), 1)} without a GAN",
            [few],
        ),
        (
            "infogan",
            "classes found without labels",
            f"{percent(codes.figure('infogan', 'error'), 1)} of test digits are of another class "
            "than their code",
            [codes],
        ),
        (
            "gaussians",
            "toys where the right answer is known",
            f"in the worst trial {ring} of 8 and {grid} of 25 modes",
            [of_ring, of_grid],
        ),
        (
            "stacked_mnist",
            "a thousand modes",
            f"{stacked.figure('generated', 'modes').mean:,.0f} modes, reverse KL "
            f"{cell(stacked.figure('generated', 'reverse_kl'), 3)} "
            f"({stacked.figure('real', 'reverse_kl').mean:.3f} of real digits)",
            [stacked],
        ),
        (
            "cyclegan`, `discogan",
            "from one domain to another, without pairs",
            f"SSIM with the truth {ssims[0]} and {ssims[1]}",
            [cycle, disco],
        ),
        (
            "pix2pix",
            "from one domain to another, by pairs",
            f"SSIM {paired.figure('run', 'ssim_ab').mean:.2f} on held-out emoji; "
            f"{paired.figure('L1 alone', 'ssim_ab').mean:.2f} by L1 alone",
            [paired],
        ),
        (
            "stackgan",
            "images of captions, in two stages",
            f"all of a new caption is read in {percent(scenes.figure('Stage II', 'all'), 1)} "
            f"({percent(scenes.figure('real', 'all'), 1)} of real scenes)",
            [scenes],
        ),
    ]
    cells = [
        (f"`{name}`", what, f"{measured} †" if any(map(is_suspect, of)) else measured)
        for name, what, measured, of in rows
    ]
    told = (
        "Means over seeds, with their standard deviation where there are several. FIDs are in the "
        "features of a classifier of digits, in which real digits have "
        f"{Result.of('dcgan').figure('floor', 'fid').mean:.2f}.\n"
        f"† JAX {WRONG_SUMS}, which computes some sums wrongly on CPU (jax-ml/jax#39103): to be "
        "measured again."
    )
    return f"{markdown(('experiment', '', 'measured'), cells)}\n\n{told}"


def is_suspect(result: Result) -> bool:
    """Whether a run of it was with the JAX that computes wrong sums."""
    return any(run["versions"].get("jax") == WRONG_SUMS for run in result.runs)


TABLES: dict[str, Callable[[], str]] = {
    make.__name__: make
    for make in (
        acgan, codes, emoji, experiments, games, gaussians, images, pairs, quality, sgan,
        stacked_mnist, stackgan, translation,
    )
}  # fmt: skip
