"""Class-wise precision and recall on the class-agnostic engine.

A pair of image and class, here a cell, is what an image is to the
class-agnostic evaluation. Precisions and recalls equal those of pycocotools
or, with the lists of a federated data set, those of lvis.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.evaluator import AREA_RANGES, IOU_THRS
from mmdet_owp.recall.matching import Matcher
from mmdet_owp.recall.overlaps import find_pairs
from mmdet_owp.recall.precision import precision_of_curves
from mmdet_owp.recall.tables import (
    GroundTruth,
    Proposals,
    by_score,
    check_rows,
    image_positions,
    keep,
    ranks_within,
)
from mmdet_owp.recall.threads import in_threads


class Detections(NamedTuple):
    """Detections, one per row.

    Attributes:
        image (np.ndarray): (n,) index in ``GroundTruth.image_ids``.
        boxes (np.ndarray): (n, 4) x, y, width, height, float64.
        scores (np.ndarray): (n,) float64.
        category (np.ndarray): (n,) category ids.
    """

    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    category: np.ndarray

    @classmethod
    def from_rows(
        cls,
        known_ids: np.ndarray,
        image_ids: Sequence[int] | np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        category: np.ndarray,
    ) -> Detections:
        """Check detections; see :meth:`Proposals.from_rows`.

        Raises:
            UserError: if an image is unknown, or a box or score is invalid.
        """
        image = image_positions(known_ids, image_ids)
        rows = check_rows(known_ids, image, boxes, scores, 'detection')
        return cls(image, *rows, np.asarray(category))

    def best(self, num: int) -> Detections:
        """Keep the best ``num`` per image; equal scores by their order."""
        if np.bincount(self.image).max(initial=0) <= num:
            return self
        order = by_score(self.image, self.scores)
        rank = ranks_within(self.image[order])
        return keep(self, np.sort(order[rank < num]))


class Federation(NamedTuple):
    """Classes that an LVIS file lists per image, as pairs in columns.

    Attributes:
        absent (tuple): image indices and category ids of classes known to be
            absent.
        not_exhaustive (tuple): the same of classes that are not annotated
            exhaustively.
    """

    absent: tuple[np.ndarray, np.ndarray]
    not_exhaustive: tuple[np.ndarray, np.ndarray]

    @classmethod
    def from_coco(
        cls, images: Collection[Mapping], known_ids: np.ndarray
    ) -> Federation:
        """Take the lists of ``images``; ``known_ids`` are ascending."""
        position = image_positions(known_ids, [i['id'] for i in images])

        def pairs(key: str) -> tuple[np.ndarray, np.ndarray]:
            lists = [i[key] for i in images]
            category = [c for listed in lists for c in listed]
            return (
                position.repeat([len(listed) for listed in lists]),
                np.array(category, int),
            )

        return cls(
            pairs('neg_category_ids'), pairs('not_exhaustive_category_ids')
        )


class ClassWise(NamedTuple):
    """Precision and recall per class; NaN for a class without objects.

    Attributes:
        precision (np.ndarray): (thresholds, 101 recalls, classes, areas),
            with the largest k.
        recall (np.ndarray): (thresholds, classes, areas, ks).
    """

    precision: np.ndarray
    recall: np.ndarray


def evaluate_classes(
    truth: GroundTruth,
    detections: Detections,
    category_ids: Collection[int],
    nums: Sequence[int],
    federation: Federation | None = None,
) -> ClassWise:
    """Match detections to objects of their class, for each area range.

    Args:
        truth (GroundTruth): the objects.
        detections (Detections): of the same images.
        category_ids (Collection[int]): classes to evaluate, in the order of
            the results by ascending id. Others are left out.
        nums (Sequence[int]): the k of AR@k, per image and class.
        federation (Federation, optional): rules of LVIS: a class counts in
            images where it is annotated or known to be absent. Where it is
            not annotated exhaustively, unmatched detections are ignored.
            Crowd regions are ordinary objects; objects flagged ``ignore``
            are ignored, and empty boxes are left out.
    """
    cells = _Cells.of(truth, detections, category_ids, federation)
    rank = ranks_within(cells.found.image)
    listed = rank < max(nums)
    matcher = _matcher(cells, listed)
    sequence = _Sequence.of(cells)
    found_areas = cells.found.boxes[:, 2] * cells.found.boxes[:, 3]

    def of_range(area: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        wanted = ~cells.truth.ignored & _within(cells.truth.areas, area)
        hits = matcher.match(IOU_THRS, ~wanted)
        # Those that are false positives unless they match an object.
        counts = listed & cells.exhaustive & _within(found_areas, area)
        of_class = cells.found_class[hits.proposal]
        number = sequence.number(counts, hits.proposal, of_class)
        curve = hits.threshold * cells.num_classes + of_class
        is_true = wanted[hits.object]
        num_objects = np.tile(
            np.bincount(
                cells.truth_class[wanted], minlength=cells.num_classes
            ),
            len(IOU_THRS),
        )
        precision = precision_of_curves(
            *(curve, sequence.position[hits.proposal], number),
            *(is_true, counts[hits.proposal], num_objects),
        )
        recall = _recall(
            *(curve[is_true], rank[hits.proposal[is_true]]),
            *(num_objects, nums),
        )
        shape = len(IOU_THRS), cells.num_classes, -1
        return precision.reshape(shape), recall.reshape(shape)

    precision, recall = zip(*in_threads(of_range, [*AREA_RANGES.values()]))
    return ClassWise(
        np.stack(precision, axis=-1).transpose(0, 2, 1, 3),
        np.stack(recall, axis=2),
    )


def _recall(
    curve: np.ndarray,
    rank: np.ndarray,
    num_objects: np.ndarray,
    nums: Sequence[int],
) -> np.ndarray:
    """Return the recall of each curve among the best k, (curves, ks).

    Args:
        curve (np.ndarray): (num_true,) curve of each true positive.
        rank (np.ndarray): (num_true,) its rank in its cell, from 0.
        num_objects (np.ndarray): (curves,).
        nums (Sequence[int]): the k.
    """
    true = [
        np.bincount(curve[rank < k], minlength=len(num_objects)) for k in nums
    ]
    with np.errstate(invalid='ignore'):
        return np.stack(true, axis=-1) / num_objects[:, None]


def _within(areas: np.ndarray, area_range: tuple[float, float]) -> np.ndarray:
    return (areas >= area_range[0]) & (areas <= area_range[1])


class _Cells(NamedTuple):
    """Objects and detections by cell, that is, by class and then by image.

    Attributes:
        truth (GroundTruth): cells as its images; ``ignored`` by the rules.
        truth_class (np.ndarray): (num_objects,) index of the class.
        found (Proposals): cells as its images.
        found_class (np.ndarray): (num_detections,) index of the class.
        exhaustive (np.ndarray): (num_detections,) bool, whether a detection
            without match is a false positive.
        num_classes (int): classes evaluated.
    """

    truth: GroundTruth
    truth_class: np.ndarray
    found: Proposals
    found_class: np.ndarray
    exhaustive: np.ndarray
    num_classes: int

    @classmethod
    def of(
        cls,
        truth: GroundTruth,
        detections: Detections,
        category_ids: Collection[int],
        federation: Federation | None,
    ) -> _Cells:
        """Sort into cells what is evaluated."""
        categories = np.array(sorted(category_ids), int)
        num_images = len(truth.image_ids)

        def numbers(image: np.ndarray, category: np.ndarray) -> np.ndarray:
            """Number the cells by class, then by image; -1 if left out."""
            place = np.searchsorted(categories, category)
            place[place == len(categories)] = 0
            number = place * num_images + image
            number[~np.isin(category, categories)] = -1
            return number

        objects = numbers(truth.image, truth.category)
        found = numbers(detections.image, detections.category)
        if federation is None:
            truth = truth._replace(ignored=truth.crowd)
            not_exhaustive = np.empty(0, int)
        else:
            truth = truth._replace(crowd=np.zeros_like(truth.crowd))
            objects[truth.areas <= 0] = -1
            known = np.append(objects, numbers(*federation.absent))
            empty = detections.boxes[:, 2] * detections.boxes[:, 3] <= 0
            found[empty | ~np.isin(found, known)] = -1
            not_exhaustive = numbers(*federation.not_exhaustive)
        rows = np.argsort(objects, kind='stable')
        rows = rows[np.count_nonzero(objects < 0) :]
        chosen = np.flatnonzero(found >= 0)
        cells = np.union1d(objects[rows], found[chosen])
        objects = objects[rows]
        columns = (c[rows] for c in truth[2:])
        truth = GroundTruth(cells, np.searchsorted(cells, objects), *columns)
        proposals = Proposals.in_order(
            np.searchsorted(cells, found[chosen]),
            detections.boxes[chosen],
            detections.scores[chosen],
            num_images,
        )
        num_images = max(num_images, 1)
        return cls(
            truth,
            objects // num_images,
            proposals,
            (cells // num_images)[proposals.image],
            ~np.isin(cells, not_exhaustive)[proposals.image],
            len(categories),
        )


def _matcher(cells: _Cells, listed: np.ndarray) -> Matcher:
    """Return the matcher of the listed detections, (num_detections,) bool."""
    matcher = Matcher(
        find_pairs(cells.truth, cells.found, min(IOU_THRS)),
        cells.truth.crowd,
        len(cells.found.image),
    )
    if listed.all():
        return matcher
    return matcher.select(listed, np.ones(len(cells.truth.image), bool))


class _Sequence(NamedTuple):
    """Detections of all images, by class and then by descending score.

    Attributes:
        order (np.ndarray): (num_detections,) the detections in this order.
        position (np.ndarray): (num_detections,) of each in ``order``.
        class_from (np.ndarray): (num_classes,) position of a class's first.
    """

    order: np.ndarray
    position: np.ndarray
    class_from: np.ndarray

    @classmethod
    def of(cls, cells: _Cells) -> _Sequence:
        """Sort the detections."""
        order = by_score(cells.found_class, cells.found.scores)
        position = np.empty(len(order), int)
        position[order] = np.arange(len(order))
        classes = np.arange(cells.num_classes)
        return cls(
            order, position, np.searchsorted(cells.found_class, classes)
        )

    def number(
        self, counts: np.ndarray, found: np.ndarray, of_class: np.ndarray
    ) -> np.ndarray:
        """Number detections from 1 among those of their class that count.

        Args:
            counts (np.ndarray): (num_detections,) bool.
            found (np.ndarray): (n,) detections.
            of_class (np.ndarray): (n,) their classes.
        """
        number = np.append(0, counts[self.order].cumsum())
        return (
            number[self.position[found] + 1]
            - number[self.class_from[of_class]]
        )
