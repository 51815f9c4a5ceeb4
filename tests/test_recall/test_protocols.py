"""Protocols against slow loops, and on hand-made scenes."""

from unittest import mock

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
    slow_oln,
    toy,
)

from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator, protocols


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


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    # Objects close together tell `oln` from `exclude-base`.
    st.one_of(
        scenes(),
        st.builds(
            jittered,
            st.integers(0, 9999),
            st.just(2),
            st.just(12),
            st.just(4),
            st.just(20),
        ),
    ),
    st.booleans(),
    st.sampled_from([NUMS, (1, 2)]),
    st.sampled_from([1500, 5, 3]),
)
def test_oln_is_the_slow_loop(scene, swap, nums, length):
    """Lists are cut at ``length``, or the largest k if that is more."""
    novel = BASE if swap else NOVEL
    with mock.patch.object(protocols, 'OLN_LENGTH', length):
        ours = evaluate(*scene, wanted=novel, protocol='oln', nums=nums)
    same(ours, slow_oln(*scene, nums, novel, length))


@pytest.mark.parametrize('length', [1500, 50])
def test_oln_on_many_proposals(length):
    scene, nums = jittered(2, images=2, objects=60, copies=20), (3, 10, 40)
    with mock.patch.object(protocols, 'OLN_LENGTH', length):
        ours = evaluate(*scene, protocol='oln', nums=nums)
    same(ours, slow_oln(*scene, nums, length=length))
    assert 0.05 < ours.average_recall(3) < ours.average_recall(40) < 1
    # Not the other two in disguise.
    for protocol in ('drop-base', 'exclude-base'):
        other = evaluate(*scene, protocol=protocol, nums=nums)
        assert other.average_recall(40) != ours.average_recall(40)


def test_oln_does_not_match_anew():
    """The example of docs/protocols.md: two objects in one place.

    At IoU 0.5 the first proposal finds the novel object and the second the
    base object. From 0.65 on the second takes the novel object, but it was
    removed.
    """
    both = [0, 0, 10, 10]
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(image_id=1, category_id=1, bbox=both),
            dict(image_id=1, category_id=2, bbox=both),
        ],
    )
    boxes = np.array([[0, 0, 10, 6.2], both, both])
    scene = annotations, [1], [boxes], [np.array([0.9, 0.8, 0.7])]
    for protocol, expected in (
        ('drop-base', [0.3, 1.0, 1.0]),
        ('exclude-base', [0.3, 1.0, 1.0]),
        ('oln', [0.3, 0.3, 0.3]),
    ):
        found = evaluate(*scene, protocol=protocol, nums=(1, 2, 3))
        assert [found.average_recall(k) for k in (1, 2, 3)] == expected


def test_oln_does_not_depend_on_the_smaller_k():
    """Nine values in the released evaluator, two in the configs."""
    scene = jittered(2, images=4, objects=50, copies=60)
    released = (10, 20, 30, 50, 100, 300, 500, 1000, 1500)
    two, nine = (
        evaluate(*scene, protocol='oln', nums=nums)
        for nums in ((10, 100), released)
    )
    for area in ('all', 'm', 'l'):
        for k in (10, 100):
            assert two.average_recall(k, area) == nine.average_recall(k, area)
    assert 0.1 < two.average_recall(10) < two.average_recall(100) < 1


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
