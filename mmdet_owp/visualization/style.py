"""How all pictures look: one width, fonts and colours, with matplotlib alone.

Every picture is eight inches wide, however many panels share that, so that
its texts have the same size on a page: a README shows it about 800 pixels
wide, where ten points are 14 pixels. Colours are those of Okabe and Ito, which
the colour-blind can tell apart; where two meanings meet, shape differs too.
"""

from __future__ import annotations

import contextlib
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

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
# What is none of the series.
REST = '#b8b8b8'
# Objects that are looked for, and those of the other classes.
FOUND, MISSED, OTHER = '#00e0a4', '#ff6a13', '#ffffff'
# Ground truth that trains, points, crosses and areas over an image.
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
    """Make a figure; what is drawn in this context is in the style.

    It needs no window and leaves nothing behind, in a training process too.

    Args:
        rows (int): of panels.
        columns (int): likewise.
        height (float): of a row, in inches.
        title (str): what the picture shows, above the panels.

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
    """Colour and dashes of the series of that number, for ``Axes.plot``."""
    return dict(
        color=SERIES[number % len(SERIES)],
        linestyle=LINES[number % len(LINES)],
    )


def outlined(linewidth: float) -> list[AbstractPathEffect]:
    """Give a line a dark rim, to be seen on any image (``path_effects``)."""
    return [withStroke(linewidth=linewidth + 1, foreground='#000000a0')]


def show_image(ax: Axes, image: np.ndarray, **kwargs) -> None:
    """Draw an image without axes.

    Args:
        ax (Axes): where to draw.
        image (ndarray): (H, W, 3) uint8, RGB, or (H, W).
        **kwargs: those of ``Axes.imshow``.
    """
    ax.imshow(image, **kwargs)
    ax.set_axis_off()


def picture_path(text: str) -> Path:
    """Check a path of a picture, as the ``type`` of a parser's argument.

    Raises:
        ArgumentTypeError: if matplotlib writes no such files.
    """
    path = Path(text)
    if path.suffix not in ('.png', '.jpg', '.pdf', '.svg'):
        raise ArgumentTypeError(
            f'{text}: pictures are .png, .jpg, .pdf or .svg'
        )
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a picture, in a folder made for it where there is none.

    Args:
        figure (Figure): of :func:`new_figure`, in its context.
        path (Path): of :func:`picture_path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # For pages: photographs of noise are large at the usual 75.
    options = dict(quality=65) if path.suffix == '.jpg' else {}
    figure.savefig(path, pil_kwargs=options)
    print(f'wrote {path}')


def as_array(figure: Figure) -> np.ndarray:
    """Render a figure, (H, W, 3) uint8, RGB."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
