"""Numbers of an evaluation."""

import numpy as np
import pytest
from recall_reference import evaluate, jittered, toy

from mmdet_owp.recall import PROTOCOLS


def test_area_under_curve_is_the_integral():
    """Of AR, piecewise linear in log k, on a fine grid."""
    ours = evaluate(*jittered(6, images=3, objects=40, copies=60))
    k = np.arange(1, 1001)
    curve = [ours.average_recall(i) for i in k]
    assert curve[0] < 0.1 < 0.7 < curve[-1]
    grid = np.linspace(0, np.log(1000), 200001)
    area = np.interp(grid, np.log(k), curve).mean()
    assert ours.area_under_curve() == pytest.approx(area, abs=1e-5)


def test_lists_cut_too_short():
    """Two proposals, one taken out: k=2 can't be reached, k=1 can."""
    for protocol, k, short in (
        ('exclude-base', 2, True),
        ('exclude-base', 1, False),
        ('drop-base', 2, False),
        ('drop-base', 3, False),
    ):
        line = evaluate(*toy(), protocol=protocol, nums=(k,)).cut_short()
        assert line.startswith('1 images have 2 proposals,') == short
        assert bool(line) == short
    # An image with more proposals was not cut at two.
    annotations, ids, boxes, scores = toy()
    annotations['images'].append(dict(id=2))
    for second in ([0, 0, 0], [0]):
        found = evaluate(
            annotations,
            [1, 2],
            [boxes[0], boxes[0][second]],
            [scores[0], scores[0][second]],
            protocol='exclude-base',
            nums=(2,),
        )
        assert found.cut_short() == ''


def test_nothing_to_find_is_not_a_number():
    scene = (
        dict(images=[dict(id=1)], annotations=[]),
        [1],
        [np.ones((3, 4))],
        [np.ones(3)],
    )
    for protocol in PROTOCOLS:
        found = evaluate(*scene, protocol=protocol)
        assert found.average_recall_by_class(10) == {}
        metrics = found.metrics()
        assert metrics.pop('proposals') == 3
        assert np.isnan(list(metrics.values())).all()


def test_nothing_proposed_finds_nothing():
    for protocol in PROTOCOLS:
        for arguments in (([], [], []), ([1], [[]], [[]])):
            found = evaluate(toy()[0], *arguments, protocol=protocol)
            metrics = found.metrics()
            assert [metrics[key] for key in ('AR@10', 'AP', 'AUC')] == [0] * 3
