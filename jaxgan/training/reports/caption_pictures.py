"""Pictures of captions beside what was made of them."""

import textwrap

import numpy as np
from PIL import Image


def draw(captions: list[str], columns: dict[str, np.ndarray]) -> np.ndarray:
    """One row for each caption: its words, then an image of each column.

    Args:
      captions: R of them.
      columns: head -> images (R, H, W, C) in [0, 1], of one size within a column; the smaller ones
        are enlarged.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    # Here, so that --help does not wait for the import; never pyplot, which keeps global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    margin, head, words, dpi = 4, 18, 190, 100
    side = max(96, *(images.shape[1] for images in columns.values()))
    width = words + len(columns) * (side + margin)
    height = head + len(captions) * (side + margin)
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white")
    canvas = FigureCanvasAgg(figure)

    def write(x, y, text):
        figure.text(x / width, 1 - y / height, text, fontsize=7.5, va="top", parse_math=False)

    for number, name in enumerate(columns):
        write(words + number * (side + margin), 2, name)
    for row, caption in enumerate(captions):
        write(4, head + row * (side + margin) + 4, "\n".join(textwrap.wrap(caption, 30)))
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    for number, images in enumerate(columns.values()):
        for row, image in enumerate(np.asarray(images)):
            y, x = head + row * (side + margin), words + number * (side + margin)
            picture[y : y + side, x : x + side] = _enlarge(image, side)
    return picture.astype(np.float32) / 255


def _enlarge(image, side):
    pixels = np.rint(255 * image).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST))
