"""Protocols against a slow loop, and on hand-made scenes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recall_reference import (
    BASE,
    NOVEL,
    NUMS,
    coco_evaluation,
    evaluate,
    jittered,
    same,
    scenes,
    slow_exclude,
    toy,
)

from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(scenes(), st.booleans())
def test_exclude_base_is_the_slow_loop(scene, swap):
    novel, base = (BASE, NOVEL) if swap else (NOVEL, BASE)
    kept = slow_exclude(*scene, novel, base)
    ours = evaluate(*scene, wanted=novel, protocol='exclude-base')
    same(ours, coco_evaluation(*scene[:2], *kept, wanted=novel))
    number = sum(map(len, kept[1])) / max(len(kept[1]), 1)
    if kept[1]:
        assert ours.metrics()['proposals'] == pytest.approx(number)


def test_thresholds_are_free():
    """Also below the IoU at which `exclude-base` takes proposals out."""
    annotations, image_ids, boxes, scores = scene = jittered(4)
    truth = GroundTruth.from_coco(annotations)
    proposals = Proposals.from_images(
        truth.image_ids, image_ids, boxes, scores
    )
    evaluator = RecallEvaluator(truth, proposals, iou_thrs=(0.3, 0.75))
    low, high = evaluator.evaluate(NOVEL, proposal_nums=NUMS).recall(3)
    usual = evaluate(*scene).recall(3)
    assert low > usual[0] > high == usual[5]
    excluded = evaluator.evaluate(NOVEL, 'exclude-base', NUMS)
    assert (
        excluded.recall(3)[1]
        == evaluate(*scene, protocol='exclude-base').recall(3)[5]
    )


def test_protocols_differ_by_everything():
    drop = evaluate(*toy(), nums=(1,))
    exclude = evaluate(*toy(), nums=(1,), protocol='exclude-base')
    assert drop.average_recall(1) == 0.0
    assert exclude.average_recall(1) == 1.0


def test_a_base_object_takes_out_one_proposal_a_crowd_any_number():
    for crowd, expected in ((0, (0.0, 1.0)), (1, (1.0, 1.0))):
        annotations, ids, boxes, _ = toy(crowd)
        found = evaluate(
            annotations,
            ids,
            [boxes[0][[0, 0, 1]]],
            [np.array([0.9, 0.9, 0.8])],
            protocol='exclude-base',
        )
        assert (found.average_recall(1), found.average_recall(2)) == expected
