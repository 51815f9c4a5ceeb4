"""Checks and order of ground truth and proposals."""

import numpy as np
import pytest
from recall_reference import NOVEL, evaluate, jittered, toy

from mmdet_owp.errors import UserError
from mmdet_owp.recall import (
    AREA_RANGES,
    GroundTruth,
    Proposals,
    RecallEvaluator,
)


def test_rows_in_any_order_are_images_in_order():
    annotations, image_ids, boxes, scores = scene = jittered(5)
    # Scores of one image stay in order where equal.
    scores = [np.sort(s)[::-1] + np.arange(len(s)) * 1e-9 for s in scores]
    rows = [
        np.repeat(image_ids, [len(s) for s in scores]),
        np.concatenate(boxes),
        np.concatenate(scores),
    ]
    order = np.random.default_rng(0).permutation(len(rows[0]))
    truth = GroundTruth.from_coco(annotations)
    proposals = Proposals.from_rows(
        truth.image_ids, *(column[order] for column in rows)
    )
    shuffled = RecallEvaluator(truth, proposals).evaluate(NOVEL)
    tidy = evaluate(*scene[:3], scores, sizes=AREA_RANGES, nums=(10, 100))
    np.testing.assert_equal(shuffled.metrics(), tidy.metrics())


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(image_ids=[2]),
            '1 images are not in the annotation file.* id 2',
        ),
        (dict(image_ids=[2**40]), f'not in the annotation file.* id {2**40}'),
        (dict(image_ids=[1, 1]), '2 images, but boxes of 1'),
        (dict(scores=[[0.5]]), 'image 1: 2 boxes, but 1 scores'),
        (
            dict(scores=[[0.5, float('nan')]]),
            r'image 1: proposal 1 \(row 1\) has',
        ),
        (
            dict(scores=[[float('inf'), 1]]),
            r'image 1: proposal 0 \(row 0\) has',
        ),
        (dict(boxes=[[[0, 0, 1, 1], [0, 0, -1, 1]]]), 'image 1: proposal 1 '),
        (dict(boxes=[[[0, float('inf'), 1, 1]]], scores=[[1]]), 'proposal 0 '),
        (dict(protocol='both'), "protocol must be one of .*'both'"),
        (dict(nums=(0,)), 'proposal_nums must be positive'),
        (dict(nums=()), 'proposal_nums must be positive'),
        (dict(sizes=dict(s=(0, 9))), "area_ranges must have 'all', not only"),
    ],
)
def test_bad_proposals_are_named(change, message):
    annotations, image_ids, boxes, scores = toy()
    arguments = dict(image_ids=image_ids, boxes=boxes, scores=scores)
    with pytest.raises(UserError, match=message) as error:
        evaluate(annotations, **{**arguments, **change})
    assert '\n' not in str(error.value)


def test_row_and_image_are_named():
    with pytest.raises(UserError, match=r'image 9: proposal 1 \(row 3\)'):
        Proposals.from_rows(
            np.array([8, 9]),
            [8, 9, 8, 9],
            np.array([[0, 0, 1, 1.0]] * 3 + [[0, 0, 1, np.nan]]),
            np.ones(4),
        )


def test_image_given_twice():
    annotations, ids, boxes, scores = toy()
    with pytest.raises(UserError, match='image 1 has more than one set'):
        evaluate(annotations, ids * 2, boxes * 2, scores * 2)


def test_bad_objects_are_named():
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(id=8, image_id=1, category_id=1, bbox=[0, 0, -10, 10])
        ],
    )
    with pytest.raises(UserError, match='annotation 8 of image 1'):
        GroundTruth.from_coco(annotations)
    del annotations['annotations'][0]['bbox']
    with pytest.raises(UserError, match='annotation 8 of image 1 has no '):
        GroundTruth.from_coco(annotations)
