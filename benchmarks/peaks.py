"""What a device can compute at most, by the makers' data sheets."""

__all__ = ["PEAKS", "peak"]

PEAKS = {
    # name within JAX's `device_kind`: TFLOP/s in float32, TF32 and bfloat16, without sparsity
    "H200": (67.0, 494.5, 989.0),
    "H100 PCIe": (51.0, 378.0, 756.0),
    "H100": (67.0, 494.5, 989.0),
    "A100": (19.5, 156.0, 312.0),
    "L40S": (91.6, 183.0, 362.0),
    "L4": (30.3, 60.0, 121.0),
    "A10": (31.2, 62.5, 125.0),
    "RTX 4090": (82.6, 82.6, 165.2),
    "RTX 3090": (35.6, 35.6, 71.0),
}


def peak(device_kind: str, dtype: str) -> float | None:
    """Operations a second; None of a device that is not in the table.

    Examples:
      >>> peak("NVIDIA H200", "bfloat16")
      989000000000000.0
    """
    column = ("float32", "tf32", "bfloat16").index(dtype)
    for name, row in PEAKS.items():
        if f" {name}" in f" {device_kind.replace('-', ' ')}":
            return 1e12 * row[column]
    return None
