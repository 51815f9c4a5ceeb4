"""The common style of all pictures: width, fonts and colors.

Every picture is eight inches wide, so that text has the same size on a page: a
README shows it about 800 pixels wide, where ten points are 14 pixels. The
colors are those of Okabe and Ito, which color-blind people can tell apart;
meanings also differ in shape or line style.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

from mmdet_owp.errors import writing

WIDTH = 8.0  # inches
DPI = 120
SERIES = (
    '#0072b2',
    '#d55e00',
    '#009e73',
    '#cc79a7',
    '#e69f00',
    '#56b4e9',
    '#000000',
)
LINES = ('-', '--', '-.', ':')
# Everything that belongs to no series.
REST = '#b8b8b8'
# Novel objects found and missed, and objects of other classes.
FOUND, MISSED, OTHER = '#00e0a4', '#ff6a13', '#ffffff'
# Ground truth, points, crosses and areas over an image.
TRUTH, POINTS, CROSSES, AREA = '#f0e442', '#ff6a13', '#56b4e9', '#0060ff'
HEAT = 'inferno'

_SETTINGS = {
    'font.size': 10,
    'axes.titlesize': 10,
    'axes.labelsize': 10,
    'xtick.labelsize': 9,
    'ytick.labelsize': 9,
    'legend.fontsize': 9,
    'figure.titlesize': 10,
    'axes.grid': True,
    'grid.alpha': 0.3,
    'axes.axisbelow': True,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.prop_cycle': matplotlib.cycler(color=SERIES),
    'lines.linewidth': 1.6,
    'legend.frameon': False,
}


@contextlib.contextmanager
def new_figure(
    rows: int, columns: int, height: float, title: str = ''
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Create a figure; inside this context drawing uses the style.

    It needs no display and does not change the global settings.

    Args:
        rows (int): rows of panels.
        columns (int): columns of panels.
        height (float): height of a row, in inches.
        title (str): text above the panels.

    Yields:
        tuple[Figure, ndarray]: the figure and its axes, (rows, columns).
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(
            figsize=(WIDTH, height * rows + 0.25 * bool(title)),
            dpi=DPI,
            layout='constrained',
        )
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(title)
        yield figure, figure.subplots(rows, columns, squeeze=False)


def series(number: int) -> dict:
    """Return color and line style of a series, for ``Axes.plot``."""
    return dict(
        color=SERIES[number % len(SERIES)],
        linestyle=LINES[number % len(LINES)],
    )


def outlined(linewidth: float) -> list[AbstractPathEffect]:
    """Return ``path_effects`` that outline a line in black."""
    return [withStroke(linewidth=linewidth + 1, foreground='#000000a0')]


def show_image(ax: Axes, image: np.ndarray, **kwargs) -> None:
    """Draw an image, (H, W, 3) uint8, RGB, or (H, W), without axes."""
    ax.imshow(image, **kwargs)
    ax.set_axis_off()


def save(figure: Figure, path: Path) -> None:
    """Write a picture and the folder that holds it.

    Args:
        figure (Figure): of :func:`new_figure`, in its context.
        path (Path): ending in .png, .jpg, .pdf or .svg.

    Raises:
        UserError: if it cannot be written.
    """
    # Noisy images are large at the default quality of 75.
    options = dict(quality=65) if path.suffix == '.jpg' else {}
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, pil_kwargs=options)
    print(f'wrote {path}')


def as_array(figure: Figure) -> np.ndarray:
    """Render a figure to an array (H, W, 3), uint8, RGB."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
