"""Class-agnostic recall and precision of proposals, on plain arrays.

Recalls are those of pycocotools with ``useCats=0``, to the last bit; what it
computes image by image, threshold by threshold is done here for all images at
once. Neither torch nor mmdet is needed.

Example:
    >>> coco = dict(
    ...     images=[dict(id=7)],
    ...     annotations=[dict(image_id=7, category_id=1, bbox=[0, 0, 9, 9])])
    >>> truth = GroundTruth.from_coco(coco, target_ids=[1], other_ids=[])
    >>> evaluate(truth, [7], [np.array([[0., 0, 9, 9]])], [np.array([.5])],
    ...          proposal_nums=(1, ))['AR@1']
    1.0
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

PROTOCOLS = ('drop-base', 'exclude-base')
IOU_THRS = tuple(np.linspace(.5, .95, 10))
# Of the objects' areas, in pixels; both ends belong to the range.
AREA_RANGES = dict(
    all=(0, 1e10), s=(0, 32**2), m=(32**2, 96**2), l=(96**2, 1e10))
# `exclude-base` takes a proposal out that meets another object at this IoU.
EXCLUDE_IOU = 0.5
# Pairs of a proposal and an object whose IoU is computed at a time.
_CHUNK = 1 << 20


_Table = TypeVar('_Table', bound=tuple)


class GroundTruth(NamedTuple):
    """Objects of a data set, image after image in ascending id.

    In an image they are in the order of category id, then of the file, which
    settles ties of IoU.

    Attributes:
        image_ids (np.ndarray): ids of all images, ascending, (num_images, ).
        image (np.ndarray): of each object the position of its image in
            ``image_ids``, (num_objects, ).
        boxes (np.ndarray): (num_objects, 4) x, y, width, height in pixels of
            the image file, float64.
        areas (np.ndarray): (num_objects, ) in pixels, of the object's mask
            where the file gives it.
        crowd (np.ndarray): (num_objects, ) bool, regions that any number of
            proposals may meet.
        target (np.ndarray): (num_objects, ) bool, objects whose recall is
            asked for; the rest only takes proposals out (`exclude-base`).
    """
    image_ids: np.ndarray
    image: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    target: np.ndarray

    @classmethod
    def from_coco(cls, annotations: Mapping, target_ids: Collection[int],
                  other_ids: Collection[int]) -> GroundTruth:
        """Take the objects from the content of a COCO annotation file.

        Args:
            annotations (dict): with ``images`` and ``annotations``. Without
                an ``area`` an object's is that of its box.
            target_ids (Collection[int]): categories whose recall is asked for
                (for novel recall the novel ones).
            other_ids (Collection[int]): categories of the other side. Objects
                of neither are left out.

        Raises:
            ValueError: if a category is on both sides, or an object's box is
                no box.
        """
        target_ids, other_ids = set(target_ids), set(other_ids)
        if target_ids & other_ids:
            raise ValueError('categories on both sides: '
                             f'{sorted(target_ids & other_ids)}')
        image_ids = np.unique([i['id'] for i in annotations['images']])
        known, wanted = set(image_ids.tolist()), target_ids | other_ids
        objects = [
            a for a in annotations['annotations']
            if a['category_id'] in wanted and a['image_id'] in known
        ]
        # Stable: keeps the order of the file.
        objects.sort(key=lambda a: (a['image_id'], a['category_id']))
        boxes = np.array([a['bbox'] for a in objects], float).reshape(-1, 4)
        wrong = np.flatnonzero(~_is_box(boxes))
        if len(wrong):
            a = objects[wrong[0]]
            raise ValueError(
                f'annotation {a.get("id")} of image {a["image_id"]} has the '
                f'box {a["bbox"]}: x, y, width, height must be finite, the '
                'latter two not negative')
        areas = [a.get('area', a['bbox'][2] * a['bbox'][3]) for a in objects]
        return cls(
            image_ids,
            np.searchsorted(image_ids, [a['image_id'] for a in objects]),
            boxes, np.array(areas, float),
            np.array([a.get('iscrowd', 0) for a in objects], bool),
            np.array([a['category_id'] in target_ids for a in objects], bool))

    def targets(self) -> GroundTruth:
        """Keep the objects whose recall is asked for only."""
        chosen = self.target
        return self._replace(
            **{
                name: getattr(self, name)[chosen]
                for name in self._fields if name != 'image_ids'
            })


class _Proposals(NamedTuple):
    """Proposals, image after image, each by falling score."""
    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def rank(self) -> np.ndarray:
        """Place of each proposal in its image, from 0."""
        return np.arange(len(self.image)) - np.searchsorted(
            self.image, self.image)


class _Pairs(NamedTuple):
    """Proposals and objects that overlap, by proposal."""
    proposal: np.ndarray
    object: np.ndarray
    iou: np.ndarray


def _keep(table: _Table, rows: np.ndarray) -> _Table:
    """Choose, or put in order, the rows of a tuple of columns."""
    return type(table)(*(column[rows] for column in table))


def evaluate(
    ground_truth: GroundTruth,
    image_ids: Sequence[int],
    boxes: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    *,
    proposal_nums: Sequence[int] = (10, 100),
    protocol: str = 'drop-base',
    iou_thrs: Sequence[float] = IOU_THRS,
    area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES
) -> dict[str, float]:
    """Compute average recall (AR) and average precision (AP) of proposals.

    AR@k is the recall of the target objects by the k best proposals of every
    image, averaged over IoU thresholds. Crowd objects, and those outside of
    the area range, are neither found nor missed. Proposals of equal score
    keep their order; of objects with equal IoU the later is met.

    `drop-base` forgets the other objects: a proposal on one is a miss, and
    one of the k. `exclude-base` takes proposals out before the k best are
    counted: those that, at IoU 0.5, meet another object. Proposals choose in
    the order of their score, a free target object first, then among crowd
    regions and other objects the one of highest IoU. An object is met once, a
    crowd region any number of times.

    Args:
        ground_truth (GroundTruth): the objects. Those of images without
            proposals are missed.
        image_ids (Sequence[int]): images that have proposals, each once.
        boxes (Sequence[np.ndarray]): their proposals, each (n, 4) as x, y,
            width, height in pixels of the image file.
        scores (Sequence[np.ndarray]): each (n, ), in any order.
        proposal_nums (Sequence[int]): the k.
        protocol (str): ``'drop-base'`` or ``'exclude-base'``.
        iou_thrs (Sequence[float]): IoU from which an object is found.
        area_ranges (dict[str, tuple[float, float]]): smallest and largest
            area of a range by name. ``'all'`` is named ``AR@k``, another
            ``AR_name@k``.

    Returns:
        dict[str, float]: ``AR@10``, ``AR_s@10``, …, and ``AP`` (of all sizes,
        with the largest k), from 0 to 1; NaN where there is no object.

    Raises:
        ValueError: in one line, for an unknown protocol or image, or boxes
            and scores that are none, naming image and row.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol must be one of {PROTOCOLS}, not '
                         f'{protocol!r}')
    proposal_nums = tuple(proposal_nums)
    if not proposal_nums or min(proposal_nums) < 1:
        raise ValueError('proposal_nums must be positive integers, not '
                         f'{proposal_nums}')
    proposals = _gather(ground_truth.image_ids, image_ids, boxes, scores)
    if protocol == 'exclude-base':
        pairs = _overlaps(proposals, ground_truth, EXCLUDE_IOU)
        pairs = _by_preference(pairs,
                               ~ground_truth.target | ground_truth.crowd)
        met = _match(pairs, ground_truth.crowd, len(proposals.image))
        # No object is number -1, which picks the appended value.
        on_other = np.append(~ground_truth.target, False)[met]
        proposals = _keep(proposals, ~on_other)
    proposals = _keep(proposals, proposals.rank() < max(proposal_nums))
    targets = ground_truth.targets()
    # pycocotools, too, stays below 1.
    thresholds = np.minimum(iou_thrs, 1 - 1e-10)
    pairs = _overlaps(proposals, targets, thresholds.min())

    rank = proposals.rank()
    metrics = {}
    for name, (low, high) in area_ranges.items():
        ignored = targets.crowd | (targets.areas < low) | (
            targets.areas > high)
        pairs = _by_preference(pairs, ignored)
        matches = np.stack([
            _match(_keep(pairs, pairs.iou >= thr), targets.crowd, len(rank))
            for thr in thresholds
        ])
        found = ~np.append(ignored, True)[matches]
        num_objects = (~ignored).sum()
        suffix = '' if name == 'all' else f'_{name}'
        for k in proposal_nums:
            metrics[f'AR{suffix}@{k}'] = float(
                np.mean(found[:, rank < k].sum(1) /
                        num_objects)) if num_objects else float('nan')
        if name == 'all':
            counted = found | (matches < 0)
            metrics['AP'] = _average_precision(proposals.scores, found,
                                               counted, num_objects)
    return metrics


def _is_box(boxes: np.ndarray) -> np.ndarray:
    """Tell which x, y, width, height are those of a box, (n, ) bool."""
    return np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= 0).all(axis=1)


def _gather(known_ids: np.ndarray, image_ids: Sequence[int],
            boxes: Sequence[np.ndarray],
            scores: Sequence[np.ndarray]) -> _Proposals:
    """Check the proposals and put them in order."""
    if not len(image_ids) == len(boxes) == len(scores):
        raise ValueError(f'{len(image_ids)} images, but boxes of {len(boxes)} '
                         f'and scores of {len(scores)}')
    image_ids = np.asarray(image_ids, dtype=known_ids.dtype)
    unknown = np.setdiff1d(image_ids, known_ids)
    if len(unknown):
        raise ValueError(
            f'{len(unknown)} images are not in the annotation file, the first '
            f'of id {unknown[0]}: proposals and annotations are of different '
            'data sets or splits')
    unique, times = np.unique(image_ids, return_counts=True)
    if len(unique) < len(image_ids):
        raise ValueError(f'image {unique[times > 1][0]} has more than one set '
                         'of proposals')
    boxes = [np.asarray(b, float).reshape(-1, 4) for b in boxes]
    scores = [np.asarray(s, float).reshape(-1) for s in scores]
    counts = np.array([len(b) for b in boxes], int)
    for image_id, count, score in zip(image_ids, counts, scores):
        if count != len(score):
            raise ValueError(f'image {image_id}: {count} boxes, but '
                             f'{len(score)} scores')
    image = np.searchsorted(known_ids, image_ids).repeat(counts)
    boxes = np.concatenate([np.empty((0, 4)), *boxes])
    scores = np.concatenate([np.empty(0), *scores])
    wrong = np.flatnonzero(~_is_box(boxes) | np.isnan(scores))
    if len(wrong):
        row = wrong[0]
        first = counts.cumsum() - counts
        position = np.searchsorted(first, row, 'right') - 1
        raise ValueError(
            f'image {image_ids[position]}: proposal {row - first[position]} '
            f'has the box {boxes[row].tolist()} and the score {scores[row]}: '
            'x, y, width, height must be finite, the latter two not negative, '
            'and the score a number')
    # Stable, as the sort of pycocotools.
    order = np.lexsort((-scores, image))
    return _keep(_Proposals(image, boxes, scores), order)


def _overlaps(proposals: _Proposals, ground_truth: GroundTruth,
              min_iou: float) -> _Pairs:
    """Find the pairs of an image whose IoU is at least ``min_iou``.

    With a crowd region IoU is the share of the proposal that lies inside.
    """
    first = np.searchsorted(ground_truth.image, proposals.image)
    counts = np.searchsorted(ground_truth.image, proposals.image,
                             'right') - first
    total = counts.cumsum()
    chunks = np.searchsorted(
        total, np.arange(0, total[-1] if len(total) else 0, _CHUNK))
    found = [_Pairs(np.empty(0, int), np.empty(0, int), np.empty(0))]
    for begin, end in zip(chunks, [*chunks[1:], len(counts)]):
        count = counts[begin:end]
        proposal = np.arange(begin, end).repeat(count)
        offset = np.arange(len(proposal)) - (count.cumsum() -
                                             count).repeat(count)
        pairs = _Pairs(proposal, first[proposal] + offset,
                       np.zeros(len(proposal)))
        d = proposals.boxes[pairs.proposal].T
        g = ground_truth.boxes[pairs.object].T
        # The very operations of pycocotools.
        width = np.minimum(d[2] + d[0], g[2] + g[0]) - np.maximum(d[0], g[0])
        height = np.minimum(d[3] + d[1], g[3] + g[1]) - np.maximum(d[1], g[1])
        meet = (width > 0) & (height > 0)
        shared = width * height
        area = d[2] * d[3]
        union = np.where(ground_truth.crowd[pairs.object], area,
                         area + g[2] * g[3] - shared)
        np.divide(shared, union, out=pairs.iou, where=meet)
        found.append(_keep(pairs, pairs.iou >= min_iou))
    return _Pairs(*(np.concatenate(values) for values in zip(*found)))


def _by_preference(pairs: _Pairs, ignored: np.ndarray) -> _Pairs:
    """Order each proposal's objects: what it would rather meet comes first.

    That is an object that isn't ignored, and of those the one of highest IoU,
    the later if equal.

    Args:
        pairs (_Pairs): in any order.
        ignored (np.ndarray): (num_objects, ) bool.
    """
    return _keep(
        pairs,
        np.lexsort((-pairs.object, -pairs.iou, ignored[pairs.object],
                    pairs.proposal)))


def _match(pairs: _Pairs, crowd: np.ndarray,
           num_proposals: int) -> np.ndarray:
    """Match proposals to objects greedily, as pycocotools does.

    In the order of the proposals, each takes among the free objects the one
    it prefers. All images are done at once: every proposal asks its
    favourite, an object keeps the foremost of those that ask, the others ask
    their next. Since all objects prefer the same order, this ends in the same
    matching.

    Args:
        pairs (_Pairs): who may meet whom, by preference.
        crowd (np.ndarray): (num_objects, ) bool, never taken.
        num_proposals (int): how many there are.

    Returns:
        np.ndarray: the object of each proposal, or -1, (num_proposals, ).
    """
    asked = np.searchsorted(pairs.proposal, np.arange(num_proposals + 1))
    asked, last = asked[:-1], asked[1:]
    holder = np.full(len(crowd), num_proposals)
    matches = np.full(num_proposals, -1)
    asking = np.flatnonzero(asked < last)
    while len(asking):
        objects = pairs.object[asked[asking]]
        matches[asking] = objects
        taken = ~crowd[objects]
        asking, objects = asking[taken], objects[taken]
        asking = np.concatenate([asking, holder[objects]])
        asking = np.unique(asking[asking < num_proposals])
        objects = matches[asking]
        np.minimum.at(holder, objects, asking)
        asking = asking[holder[objects] != asking]
        matches[asking] = -1
        asked[asking] += 1
        asking = asking[asked[asking] < last[asking]]
    return matches


def _average_precision(scores: np.ndarray, found: np.ndarray,
                       counted: np.ndarray, num_objects: int) -> float:
    """Average precision at 101 recalls, over thresholds, as pycocotools.

    Args:
        scores (np.ndarray): (num_proposals, ).
        found (np.ndarray): (num_thresholds, num_proposals) bool, hits.
        counted (np.ndarray): likewise, hits and misses.
        num_objects (int): that could be found.
    """
    if not num_objects:
        return float('nan')
    order = np.argsort(-scores, kind='stable')
    recalls = np.linspace(0, 1, 101)
    precisions = np.zeros((len(found), len(recalls)))
    for row, hit, count in zip(precisions, found[:, order], counted[:, order]):
        true = hit.cumsum()
        total = count.cumsum()
        recall = true / num_objects
        precision = true / (total + np.spacing(1))
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, recalls)
        reached = at < len(recall)
        row[reached] = envelope[at[reached]]
    return float(np.mean(precisions))
