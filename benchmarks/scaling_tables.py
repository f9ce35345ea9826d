"""The tables of docs/scaling.md: what was counted, and what follows of it for hardware."""

from collections.abc import Callable
from typing import NamedTuple

from table_text import markdown, origin

from results import Result

__all__ = ["TABLES"]


class Accelerator(NamedTuple):
    """As its maker publishes it.

    Attributes:
      name: of the product.
      flops: a second, of bfloat16, dense.
      memory: bytes.
      near: bytes a second, one way, to the other accelerators of a host or slice.
      far: the same where there are more than `together` of them.
      together: how many the fast links join.
    """

    name: str
    flops: float
    memory: float
    near: float
    far: float
    together: int


# Cloud TPU documentation, "TPU v5e" and "TPU v5p": 1,600 and 4,800 Gbit/s a chip, both ways
# together. NVIDIA, "H100 Tensor Core GPU", SXM: NVLink 900 GB/s both ways, and of a DGX H100 a
# 400 Gbit/s adapter for each.
ACCELERATORS = (
    Accelerator("TPU v5e", 197e12, 16e9, 100e9, 100e9, 256),
    Accelerator("TPU v5p", 459e12, 95e9, 300e9, 300e9, 8960),
    Accelerator("H100", 989e12, 80e9, 450e9, 50e9, 8),
)
UTILISATION = 0.4
"""The share of the peak that computing is taken to reach."""
DEVICES = (8, 64, 512)
TITLES = {"dcgan64": "DCGAN of the paper, 64", "r3gan256": "R3GAN FFHQ, 256"}
MB = 1e6


def scaling() -> str:
    """What a step moves and holds on simulated devices."""
    result = Result.of("scaling")
    rows = []
    for what, row in result.runs[0]["figures"].items():
        model, state, devices, *processes = what.split()
        count = f"{devices} processes" if processes else devices
        values = [
            f"{row[name]:.{digits}f}" if name in row else ""
            for name, digits in (
                ("moved", 2),
                ("least", 2),
                ("state", 2),
                ("share", 2),
                ("peak", 0),
            )
        ]
        rows.append([model, state, count, *values, f"{row['differs']:.1g}"])
    head = ["", "state", "devices", "MB moved", "least", "MB of state", "a share", "MB at the peak",
            "loss differs by"]  # fmt: skip
    return _made(head, rows, result)


def pods() -> str:
    """What XLA for TPU makes of a step."""
    result = Result.of("pods")
    rows = []
    for what, row in result.runs[0]["figures"].items():
        name, dtype, state = what.split()
        rows.append(
            [TITLES.get(name, name), dtype, state, f"{row['examples']:.0f}", f"{row['Tflop']:.2f}",
             f"{row['moved']:.1f}", f"{row['least']:.1f}", f"{row['state']:,.0f}",
             f"{row['peak']:,.0f}"]
        )  # fmt: skip
    head = ["", "dtype", "state", "examples a device", "Tflop", "MB moved", "least", "MB of state",
            "MB at the peak"]  # fmt: skip
    return _made(head, rows, result)


def expected() -> str:
    """Step times and shares that follow from the counts, for hardware that is not here."""
    result = Result.of("pods")
    rows = []
    for what, row in result.runs[0]["figures"].items():
        name, dtype, state = what.split()
        for accelerator in ACCELERATORS:
            compute = row["Tflop"] * 1e12 / (accelerator.flops * UTILISATION)
            cells = []
            for devices in DEVICES:
                counted = row["devices"]
                # Of a ring of n, (n - 1) / n of the arrays are moved.
                moved = row["moved"] * MB * (1 - 1 / devices) / (1 - 1 / counted)
                fast = devices <= accelerator.together
                link = moved / (accelerator.near if fast else accelerator.far)
                cells.append(f"{1e3 * link:.1f} ({compute / (compute + link):.0%})")
            share = row["peak"] * MB / accelerator.memory
            rows.append([TITLES.get(name, name), dtype, state, accelerator.name, f"{share:.0%}",
                         f"{1e3 * compute:.0f}", *cells])  # fmt: skip
    head = ["", "dtype", "state", "accelerator", "memory", "ms computing",
            *(f"ms moving on {devices}" for devices in DEVICES)]  # fmt: skip
    return _made(head, rows, result)


def _made(head, rows, result: Result) -> str:
    what = next(iter(result.runs[0]["figures"]))
    return f"{markdown(head, rows)}\n\n{origin([result], what)}"


TABLES: dict[str, Callable[[], str]] = {make.__name__: make for make in (scaling, pods, expected)}
