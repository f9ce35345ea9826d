"""The pictures of `gaussians.py`: float32 (H, W, 3) in [0, 1]."""

import numpy as np

_REAL, _FAKE, _D = "#2f6fb3", "#d9772b", "#222222"


def draw_planes(points, mixture, real, titles):
    """One panel for each trial: its points (trials, N, 2) over those of the data, (N, 2)."""
    columns = min(len(points), 5)
    rows = -(-len(points) // columns)
    figure = _figure(2 * columns, 2.2 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    for panel, generated, title in zip(panels, points, titles, strict=False):
        look = {"linestyle": "", "marker": ".", "markeredgewidth": 0}
        panel.plot(*real.T, color=_REAL, markersize=5, **look)
        panel.plot(*generated.T, color=_FAKE, markersize=2, **look)
        panel.set(xlim=(-mixture.limit, mixture.limit), ylim=(-mixture.limit, mixture.limit))
        panel.set_aspect("equal")
        panel.set_title(title, fontsize=8)
    return _pixels(figure)


def draw_line(edges, discriminator, optimum, points, real, title):
    """D and the optimum (M,) at the middles of the bins, over histograms of points (N,)."""
    figure = _figure(7, 4)
    panel = figure.subplots()
    look = {"bins": edges[::4], "density": True, "alpha": 0.35}
    panel.hist(real, color=_REAL, label="data", **look)
    points = points[np.isfinite(points)]
    if np.any((points > edges[0]) & (points < edges[-1])):
        panel.hist(points, color=_FAKE, label="generated", **look)
    middles = (edges[1:] + edges[:-1]) / 2
    panel.plot(middles, discriminator, color=_D, linewidth=1.6, label="D(x)")
    best = {"color": "#b3262f", "linewidth": 1.6, "linestyle": "--"}
    panel.plot(middles, optimum, label="best, p / (p + q)", **best)
    panel.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.25))
    panel.set_title(title, fontsize=10, loc="left")
    panel.legend(loc="upper right", fontsize=8, ncols=4, frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    return _pixels(figure)


def _figure(width, height):
    # Here, so that --help does not wait for the import; never pyplot, which keeps global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(np.float32) / 255
