"""Pairs of proposals and objects that overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.tables import GroundTruth, Proposals, concatenate, keep
from mmdet_owp.recall.threads import in_threads

# Cells of a table of proposals x objects: few enough for the cache.
_BLOCK = 1 << 16
# Cells per task of a thread.
_TASK = 1 << 20


class Pairs(NamedTuple):
    """Overlapping proposals and objects, sorted by proposal.

    Objects of a proposal are sorted by descending IoU, at equal IoU the last
    of the ground truth first.
    """

    proposal: np.ndarray
    object: np.ndarray
    iou: np.ndarray


def find_pairs(
    truth: GroundTruth, proposals: Proposals, min_iou: float
) -> list[Pairs]:
    """Find the pairs of the same image whose IoU is at least ``min_iou``.

    For a crowd region, IoU is the share of the proposal that lies inside.

    Returns:
        list[Pairs]: each of some whole images.
    """
    images = np.arange(len(truth.image_ids) + 1)
    # Where the proposals and the objects of each image begin.
    proposals_from = np.searchsorted(proposals.image, images)
    objects_from = np.searchsorted(truth.image, images)
    num_proposals = np.diff(proposals_from)
    num_objects = np.diff(objects_from)
    images = np.flatnonzero((num_proposals > 0) & (num_objects > 0))
    # Images with similar numbers of objects share a table.
    images = images[np.argsort(num_objects[images], kind='stable')]
    cells = (num_proposals[images] * num_objects[images]).cumsum()

    def of_task(images: np.ndarray, cells: np.ndarray) -> Pairs:
        blocks = np.split(images, np.flatnonzero(np.diff(cells // _BLOCK)) + 1)
        pairs = concatenate(
            [
                _of_block(
                    truth,
                    proposals,
                    _Ranges(proposals_from[block], num_proposals[block]),
                    _Ranges(objects_from[block], num_objects[block]),
                    min_iou,
                )
                for block in blocks
            ]
        )
        return keep(pairs, np.lexsort((-pairs.iou, pairs.proposal)))

    bounds = np.flatnonzero(np.diff(cells // _TASK)) + 1
    return in_threads(
        of_task, np.split(images, bounds), np.split(cells, bounds)
    )


class _Ranges(NamedTuple):
    """First row and number of rows per image."""

    start: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # tuple.count


def _of_block(
    truth: GroundTruth,
    proposals: Proposals,
    proposal_rows: _Ranges,
    object_rows: _Ranges,
    min_iou: float,
) -> Pairs:
    """Find the pairs of some images with one table.

    Objects of a proposal come in reverse order.
    """
    start, counts = proposal_rows
    local = np.arange(len(start)).repeat(counts)
    rows = np.arange(len(local)) + (start - counts.cumsum() + counts)[local]
    slots = np.arange(object_rows.count.max(initial=0))[::-1]
    present = slots < object_rows.count[:, None]
    objects = np.where(present, object_rows.start[:, None] + slots, 0)
    g = truth.boxes[objects].transpose(2, 0, 1)
    # Contiguous columns; proposals as column vectors.
    d = np.ascontiguousarray(proposals.boxes[rows].T)[..., None]

    # A coarse filter of the whole table: IoU >= t means that the overlap is
    # at least t / (1 + t) times the sum of both areas, here a little less for
    # rounding. Crowd regions count as area 0; absent objects never pass.
    area = np.where(truth.crowd[objects], 0, g[2] * g[3])
    area = np.where(present, area, np.inf)
    shared = np.minimum(d[0] + d[2], (g[0] + g[2])[local])
    shared -= np.maximum(d[0], g[0][local])
    height = np.minimum(d[1] + d[3], (g[1] + g[3])[local])
    height -= np.maximum(d[1], g[1][local])
    shared *= np.maximum(height, 0, out=height)
    bound = area[local]
    bound += d[2] * d[3]
    bound *= min_iou / (1 + min_iou) * (1 - 1e-9)
    row, slot = np.divmod(np.flatnonzero(shared >= bound), max(len(slots), 1))

    proposal, object_ = rows[row], objects[local[row], slot]
    iou = _iou(
        proposals.boxes[proposal].T,
        truth.boxes[object_].T,
        truth.crowd[object_],
    )
    return keep(Pairs(proposal, object_, iou), iou >= min_iou)


def _iou(d: np.ndarray, g: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU of boxes in columns, by the very operations of pycocotools."""
    width = np.minimum(d[2] + d[0], g[2] + g[0]) - np.maximum(d[0], g[0])
    height = np.minimum(d[3] + d[1], g[3] + g[1]) - np.maximum(d[1], g[1])
    shared = width * height
    union = np.where(crowd, d[2] * d[3], d[2] * d[3] + g[2] * g[3] - shared)
    iou = np.zeros(len(crowd))
    np.divide(shared, union, out=iou, where=(width > 0) & (height > 0))
    return iou
