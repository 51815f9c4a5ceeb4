"""Lines, bands and floors of panels; and what the style promises."""

import cv2
import matplotlib
import numpy as np

from mmdet_owp.visualization import style
from mmdet_owp.visualization.curves import draw_panels


def test_mean_band_and_floor(pictures, tmp_path):
    panels = {
        'loss': {'a': [{1: 2.0, 2: 4.0}, {1: 4.0, 3: 1.0}], 'b': [{1: 5.0}]},
        'AR': {'b': [{2: 0.5}]},
    }
    floors = {'loss': {'a': [{1: 0.5, 2: 0.25}]}}
    path = tmp_path / 'new' / 'panels.png'
    draw_panels(path, panels, columns=2, xlabel='iteration', floors=floors)
    loss, ar = pictures[-1].axes
    a, b, floor = loss.lines
    assert a.get_xydata().tolist() == [[1, 3], [2, 4], [3, 1]]
    assert b.get_xydata().tolist() == [[1, 5]]
    assert floor.get_xydata().tolist() == [[1, 0.5], [2, 0.25]]
    (band,) = loss.collections
    corners = {tuple(v) for v in band.get_paths()[0].vertices.tolist()}
    assert {(1, 2), (1, 4), (2, 4), (3, 1)} == corners
    # A label looks alike in all panels, a floor like its label.
    assert ar.lines[0].get_color() == b.get_color() != a.get_color()
    assert floor.get_color() == a.get_color()
    assert floor.get_linestyle() == ':' != a.get_linestyle()
    texts = [t.get_text() for t in pictures[-1].legends[0].get_texts()]
    assert texts == ['a', 'b', 'the least it can be']
    assert cv2.imread(str(path)).shape[1] == style.WIDTH * style.DPI


def test_style_stays_in_its_context():
    before = dict(matplotlib.rcParams)
    with style.new_figure(1, 1, 2.0) as (figure, axes):
        axes[0, 0].set_title('title')
        assert axes[0, 0].title.get_size() == 10
        picture = style.as_array(figure)
    assert matplotlib.rcParams == before
    assert picture.shape == (2 * style.DPI, style.WIDTH * style.DPI, 3)
    assert picture.dtype == np.uint8 and picture.min() < 100
