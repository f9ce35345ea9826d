"""Pictures of a run: grids of images, an animation over training, the training curves."""

import io
import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.files import write_atomically
from jaxgan.runs.charts import pictured_charts

# The grey of the lines between images: lighter than a digit's black, darker than its white.
LINE_GREY = 72
# Browsers slow a GIF frame below 20 ms down to 100 ms, and GIF counts in units of 10 ms.
SHORTEST_FRAME = 20

# Real, generated, the generator, and three others, by their numbers in a chart's series.
_COLOURS = ("#2f6fb3", "#d9772b", "#3a8f5c", "#8a5fb0", "#8c8c2f", "#b34a6a")


def image_grid(images: np.ndarray, columns: int | None = None, padding: int = 2) -> np.ndarray:
    """Lay a batch of images out as one picture, row by row, on dark grey lines.

    Args:
        images: Float (B, h, w, C) in [0, 1], C 1 or 3; values outside are clipped.
        columns: Images in a row; None makes the picture as nearly square as it can be.
        padding: Width in pixels of the lines between the images and around them.

    Returns:
        uint8 (H, W, C) with H = rows * (h + padding) + padding, and W likewise.
        Places left over in the last row are dark grey.

    Raises:
        UserError: Wrong shape, not floating point, not finite, or a bad `columns` or `padding`.

    Examples:
        >>> image_grid(np.zeros((6, 28, 28, 1), np.float32)).shape
        (62, 92, 1)
    """
    images = _checked_batch(images)
    count, height, width, channels = images.shape
    if columns is None:
        columns = min(count, math.ceil(math.sqrt(count * height / width)))
    _check_integer("columns", columns, 1)
    _check_integer("padding", padding, 0)
    rows = -(-count // columns)

    shape = (rows * (height + padding) + padding, columns * (width + padding) + padding, channels)
    grid = np.full(shape, LINE_GREY, np.uint8)
    pixels = np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
    for index, image in enumerate(pixels):
        row, column = divmod(index, columns)
        top = padding + row * (height + padding)
        left = padding + column * (width + padding)
        grid[top : top + height, left : left + width] = image
    return grid


def save_image(path: str | os.PathLike, image: np.ndarray, scale: int = 1) -> Path:
    """Write one image as a PNG file, atomically.

    Args:
        path: The file to write.
        image: uint8 (H, W), (H, W, 1) or (H, W, 3), for example from `image_grid`.
        scale: Each pixel becomes a square of `scale` by `scale` pixels.

    Returns:
        The path.

    Raises:
        UserError: Not such an image, or `scale` not a positive integer.

    Examples:
        >>> save_image("grid.png", image_grid(images), scale=2)  # doctest: +SKIP
    """
    _check_integer("scale", scale, 1)
    picture = _enlarge(_from_array(image), scale)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return write_atomically(path, buffer.getvalue())


def save_animation(
    path: str | os.PathLike,
    frames: Sequence[np.ndarray | str | os.PathLike],
    milliseconds: int = 120,
    last_milliseconds: int = 2000,
    scale: int = 1,
) -> Path:
    """Write an endless GIF, atomically. Equal frames in a row become one that stays as long.

    Args:
        path: The file to write.
        frames: uint8 images (H, W), (H, W, 1) or (H, W, 3), or paths of PNG files; all of one
            size. Grey frames keep their exact values, colour is reduced to 256 per frame.
        milliseconds: How long a frame stays, rounded down to 10 ms.
        last_milliseconds: How long the last one stays before the animation starts again.
        scale: Each pixel becomes a square of `scale` by `scale` pixels.

    Returns:
        The path.

    Raises:
        UserError: No frames, sizes that differ, a file that is no image, a duration below 20 ms,
            or `scale` not a positive integer.

    Examples:
        >>> save_animation("progress.gif", sorted(folder.glob("samples_*.png")))  # doctest: +SKIP
    """
    _check_integer("milliseconds", milliseconds, SHORTEST_FRAME)
    _check_integer("last_milliseconds", last_milliseconds, SHORTEST_FRAME)
    _check_integer("scale", scale, 1)
    pictures = [_enlarge(_load_frame(frame), scale) for frame in frames]
    if not pictures:
        raise UserError("frames: the animation needs at least one frame, got none")
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) > 1:
        raise UserError(f"frames: all must have one size, got (width, height) {sizes}")

    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[int(milliseconds)] * (len(pictures) - 1) + [int(last_milliseconds)],
        loop=0,
    )
    return write_atomically(path, buffer.getvalue())


def _enlarge(picture: Image.Image, scale: int) -> Image.Image:
    size = picture.width * int(scale), picture.height * int(scale)
    return picture if scale == 1 else picture.resize(size, Image.Resampling.NEAREST)


def plot_curves(path: str | os.PathLike, rows: Sequence[dict], smoothing: float = 0.9) -> Path:
    """Draw the losses over the steps into one PNG file, atomically, and how D judges.

    The second are probabilities and accuracies, or a critic's outputs, whichever was logged.

    Args:
        path: The file to write.
        rows: Metric rows, as from `jaxgan.runs.page.read_metrics`: each a dict with "step". Keys
            may be missing and values NaN; of two rows with one step the later counts.
        smoothing: Weight of the past in the exponential moving average, in [0, 1).

    Returns:
        The path.

    Raises:
        UserError: `smoothing` out of range.

    Examples:
        >>> plot_curves("losses.png", read_metrics("runs/one/metrics.jsonl"))  # doctest: +SKIP
    """
    if not 0.0 <= smoothing < 1.0:
        raise UserError(f"smoothing: expected a number in [0, 1), got {smoothing!r}")
    # Here, so that a program that draws no curves does not pay for the import. Never pyplot: it
    # keeps global state, and this runs in a background thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    charts = pictured_charts(list(rows))
    figure = Figure(
        figsize=(7.5, 0.2 + 2.6 * len(charts)), dpi=144, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(charts), 1, sharex=True, squeeze=False)[:, 0]
    for axis, chart in zip(axes, charts, strict=True):
        _draw_panel(axis, rows, chart["series"], smoothing)
        _style_panel(axis, chart)
    axes[-1].set_xlabel("step", color="#444444")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return write_atomically(path, buffer.getvalue())


def _checked_batch(images) -> np.ndarray:
    images = np.asarray(images)
    # bfloat16 is a number type of its own to NumPy, not one of its floating-point types.
    if not (np.issubdtype(images.dtype, np.floating) or images.dtype.name == "bfloat16"):
        raise UserError(f"images: expected floating point in [0, 1], got {images.dtype}")
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise UserError(f"images: expected shape (B, h, w, 1 or 3), got {images.shape}")
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise UserError("images: expected finite values, got NaN or infinity")
    return images


def _check_integer(name: str, value, lowest: int) -> None:
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < lowest:
        raise UserError(f"{name}: expected an integer of at least {lowest}, got {value!r}")


def _from_array(image) -> Image.Image:
    image = np.asarray(image)
    shape = image.shape
    is_image = image.ndim == 2 or (image.ndim == 3 and shape[-1] in (1, 3))
    if image.dtype != np.uint8 or not is_image or image.size == 0:
        raise UserError(
            f"image: expected uint8 (H, W), (H, W, 1) or (H, W, 3), got {image.dtype} {shape}"
        )
    if image.ndim == 3 and shape[-1] == 1:
        image = image[..., 0]
    return Image.fromarray(np.ascontiguousarray(image))


def _load_frame(frame) -> Image.Image:
    if not isinstance(frame, str | os.PathLike):
        return _from_array(frame)
    try:
        with Image.open(frame) as picture:
            return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    except OSError as error:
        raise UserError(f"frames: cannot read {os.fspath(frame)!r} as an image") from error


def _series(rows: Sequence[dict], key: str) -> tuple[list, list]:
    """Steps in order and the values of one key; what is no finite number becomes NaN."""
    # By step: a run that was killed and resumed has written some steps twice.
    by_step = {
        row["step"]: row[key]
        for row in rows
        if key in row and isinstance(row.get("step"), numbers.Real)
    }
    steps = sorted(by_step)
    return steps, [_finite_or_nan(by_step[step]) for step in steps]


def _finite_or_nan(value) -> float:
    return float(value) if isinstance(value, numbers.Real) and math.isfinite(value) else math.nan


def _smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, corrected for its start; NaN stays and does not spread."""
    total = mass = 0.0
    smoothed = []
    for value in values:
        if math.isnan(value):
            smoothed.append(math.nan)
            continue
        total = weight * total + (1.0 - weight) * value
        mass = weight * mass + (1.0 - weight)
        smoothed.append(total / mass)
    return smoothed


def _draw_panel(axis, rows, series: list[dict], smoothing: float) -> None:
    for curve in series:
        steps, values = _series(rows, curve["key"])
        if all(math.isnan(value) for value in values):
            continue
        colour = _COLOURS[curve["colour"]]
        look = {"color": colour, "label": curve["label"], "zorder": 3}
        if curve["dots"]:
            dots = {"linestyle": "", "marker": "o", "markersize": 5, "markeredgecolor": "white"}
            axis.plot(steps, values, **dots, **look)
            continue
        axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        # A single point makes no line: mark it.
        marker = "o" if len(values) == 1 else ""
        axis.plot(steps, _smooth(values, smoothing), linewidth=1.7, marker=marker, **look)


def _style_panel(axis, chart: dict) -> None:
    axis.set_title(chart["title"], loc="left", fontsize=11, fontweight="bold", color="#222222")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#bbbbbb")
    axis.tick_params(colors="#555555", labelsize=9)
    axis.grid(axis="y", color="#e8e8e8", linewidth=0.8)
    axis.set_axisbelow(True)
    if "high" in chart:
        axis.set_ylim(chart["low"] - 0.03, chart["high"] + 0.03)
    if "line" in chart:
        axis.axhline(chart["line"], color="#888888", linewidth=0.9, linestyle=(0, (2, 3)), zorder=2)
    handles, labels = axis.get_legend_handles_labels()
    if not handles:
        centre = {"transform": axis.transAxes, "ha": "center", "va": "center"}
        axis.text(0.5, 0.65, "nothing logged yet", color="#999999", **centre)
        return
    # Above the panel, in line with its title: no curve can run below it.
    axis.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
