"""Bootstrap of a difference."""

import numpy as np
import pytest
from recall_reference import evaluate, jittered

from mmdet_owp.recall import bootstrap_difference


@pytest.mark.slow
def test_bootstrap_of_a_difference():
    """Against the spread of AR over draws of images, and of no difference."""
    scene = jittered(7, images=60, objects=300)
    annotations, ids, boxes, scores = scene
    rng = np.random.default_rng(1)
    worse = [b * rng.uniform(0.9, 1.1, b.shape) for b in boxes]
    first = evaluate(annotations, ids, worse, scores)
    second = evaluate(*scene)
    difference, low, high = bootstrap_difference(first, second, 10)
    assert (
        difference
        == (second.average_recall(10) - first.average_recall(10))
        > 0
    )
    assert low < difference < high
    drawn = []
    for seed in range(200):
        picked = np.random.default_rng(seed).choice(60, 60)
        parts = []
        for n, i in enumerate(picked):
            parts += [
                dict(a, image_id=n)
                for a in annotations['annotations']
                if a['image_id'] == ids[i]
            ]
        part = dict(images=[dict(id=n) for n in range(60)], annotations=parts)
        values = [
            evaluate(
                part,
                list(range(60)),
                [some[i] for i in picked],
                [scores[i] for i in picked],
            ).average_recall(10)
            for some in (worse, boxes)
        ]
        drawn.append(values[1] - values[0])
    expected = np.quantile(drawn, (0.025, 0.975))
    assert (low, high) == pytest.approx(expected, abs=0.2 * (high - low))
    same_list = bootstrap_difference(second, second, 10)
    assert same_list == (0, 0, 0)
