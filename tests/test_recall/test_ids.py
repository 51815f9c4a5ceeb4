"""Ids of any size, as JSON and tools write them."""

import numpy as np
import pytest

from mmdet_owp.errors import UserError
from mmdet_owp.recall import (
    GroundTruth,
    Proposals,
    RecallEvaluator,
    as_id,
    id_array,
    image_positions,
)


@pytest.mark.parametrize('value', [7, 7.0, np.int32(7), np.float32(7)])
def test_whole_numbers_are_ids(value):
    assert as_id(value) == 7 and type(as_id(value)) is int


@pytest.mark.parametrize(
    'value', [True, '7', None, 7.5, float('nan'), float('inf'), 2.0**60, [7]]
)
def test_others_are_not(value):
    with pytest.raises(UserError, match='is not an integer'):
        as_id(value)


def test_large_ids_keep_their_digits():
    ids = [2**63 + 1, 5, 2**63 + 2, -(2**70)]
    known = np.unique(id_array(ids))
    assert known.tolist() == sorted(ids)
    assert known[image_positions(known, id_array(ids))].tolist() == ids
    assert image_positions(known, np.array([5.0])).tolist() == [1]
    unsigned = np.array(ids[:1], np.uint64)
    assert image_positions(known, unsigned).tolist() == [2]
    with pytest.raises(UserError, match=f'id {2**63}:'):
        image_positions(known, [2**63])


def test_half_of_the_objects_of_hashed_images_are_found():
    """Ids on both sides of 2**63, which numpy would turn into floats."""
    ids = [2**63 + 5, 2**62 + 1, 2**63 + 6, 2**62 + 2]
    content = dict(
        images=[dict(id=i) for i in ids],
        annotations=[
            dict(image_id=i, category_id=1, bbox=[0, 0, 9, 9]) for i in ids
        ],
    )
    truth = GroundTruth.from_coco(content)
    found = Proposals.from_rows(
        truth.image_ids, ids[1::2], [[0, 0, 9, 9]] * 2, [0.5] * 2
    )
    evaluation = RecallEvaluator(truth, found).evaluate([1])
    assert evaluation.average_recall(10) == 0.5
