"""Class-agnostic recall and precision of proposals, on plain arrays.

Recalls are those of pycocotools with ``useCats=0``, to the last bit. What it
computes image by image, threshold by threshold is done here for many images
at once, by numpy in several threads; neither torch nor mmdet is needed.

Example:
    >>> coco = dict(
    ...     images=[dict(id=7)],
    ...     annotations=[dict(image_id=7, category_id=1, bbox=[0, 0, 9, 9])])
    >>> truth = GroundTruth.from_coco(coco)
    >>> proposals = Proposals.from_rows(truth.image_ids, [7], [[0, 0, 9, 9]],
    ...                                 [.5])
    >>> found = RecallEvaluator(truth, proposals).evaluate([1])
    >>> found.average_recall(k=1)
    1.0
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from mmdet_owp.errors import UserError

PROTOCOLS = ('drop-base', 'exclude-base')
IOU_THRS = tuple(np.linspace(0.5, 0.95, 10))
# Of the objects' areas, in pixels; both ends belong to the range.
AREA_RANGES = dict(
    all=(0, 1e10), s=(0, 32**2), m=(32**2, 96**2), l=(96**2, 1e10)
)
# `exclude-base` takes a proposal out that meets another object at this IoU.
EXCLUDE_IOU = 0.5
# AUC is over 1 to this many proposals.
AUC_MAX = 1000
# Cells of a table of proposals x objects: few enough for the cache.
_BLOCK = 1 << 16
# Cells that a thread takes at a time.
_TASK = 1 << 20

_Table = TypeVar('_Table', bound=tuple)
_T = TypeVar('_T')


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
        category (np.ndarray): (num_objects, ) category ids.
    """

    image_ids: np.ndarray
    image: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    category: np.ndarray

    @classmethod
    def from_coco(
        cls, annotations: Mapping, category_ids: Collection[int] | None = None
    ) -> GroundTruth:
        """Take the objects from the content of a COCO annotation file.

        Args:
            annotations (dict): with ``images`` and ``annotations``. Without
                an ``area`` an object's is that of its box.
            category_ids (Collection[int], optional): categories to take, of
                both sides of a partition. None: all.

        Raises:
            ValueError: in one line, if an object has no box or a wrong one.
        """
        image_ids = np.unique([i['id'] for i in annotations['images']])
        known = set(image_ids.tolist())
        wanted = None if category_ids is None else set(category_ids)
        objects = [
            a
            for a in annotations['annotations']
            if a['image_id'] in known
            and (wanted is None or a['category_id'] in wanted)
        ]
        for a in objects:
            if len(a.get('bbox', ())) != 4:
                raise UserError(
                    f'annotation {a.get("id")} of image {a["image_id"]} has '
                    'no bbox of x, y, width, height'
                )
        boxes = np.array([a['bbox'] for a in objects], float).reshape(-1, 4)
        areas = np.array([a.get('area', np.nan) for a in objects], float)
        areas = np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas)
        if not _are_boxes(boxes):
            a = objects[np.flatnonzero(~_is_box(boxes))[0]]
            raise UserError(
                f'annotation {a.get("id")} of image {a["image_id"]} has the '
                f'box {a["bbox"]}: x, y, width, height must be finite, the '
                'latter two not negative'
            )
        image = np.searchsorted(image_ids, [a['image_id'] for a in objects])
        category = np.array([a['category_id'] for a in objects], int)
        crowd = np.array([a.get('iscrowd', 0) for a in objects], bool)
        order = np.lexsort((category, image))  # keeps the order of the file
        return cls(
            image_ids,
            image[order],
            boxes[order],
            areas[order],
            crowd[order],
            category[order],
        )

    def select(self, category_ids: Collection[int]) -> GroundTruth:
        """Keep the objects of some categories, and all images."""
        chosen = np.isin(self.category, list(category_ids))
        return GroundTruth(self.image_ids, *(c[chosen] for c in self[1:]))


class Proposals(NamedTuple):
    """Proposals, image after image, each image's by falling score.

    Those of equal score keep the order in which they were given.

    Attributes:
        image (np.ndarray): of each proposal the position of its image in
            ``GroundTruth.image_ids``, (num_proposals, ).
        boxes (np.ndarray): (num_proposals, 4) x, y, width, height in pixels
            of the image file, float64.
        scores (np.ndarray): (num_proposals, ) float64.
        num_images (int): how many images have proposals, if only a list of
            none.
    """

    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    num_images: int

    @classmethod
    def from_rows(
        cls,
        known_ids: np.ndarray,
        image_ids: Sequence[int],
        boxes: np.ndarray,
        scores: np.ndarray,
    ) -> Proposals:
        """Check proposals and put them in order.

        Args:
            known_ids (np.ndarray): ``GroundTruth.image_ids``.
            image_ids (Sequence[int]): the image of each proposal, in any
                order.
            boxes (np.ndarray): (num_proposals, 4) x, y, width, height.
            scores (np.ndarray): (num_proposals, ).

        Raises:
            ValueError: in one line, for an unknown image, or boxes and scores
                that are none, naming image and row.
        """
        image_ids = np.asarray(image_ids)
        image = image_positions(known_ids, image_ids)
        num_images = np.count_nonzero(
            np.bincount(image, minlength=len(known_ids))
        )
        return cls._in_order(known_ids, image, boxes, scores, num_images)

    @classmethod
    def from_images(
        cls,
        known_ids: np.ndarray,
        image_ids: Sequence[int],
        boxes: Sequence[np.ndarray],
        scores: Sequence[np.ndarray],
    ) -> Proposals:
        """Check lists of proposals, one an image, and put them in order.

        Args:
            known_ids (np.ndarray): ``GroundTruth.image_ids``.
            image_ids (Sequence[int]): images, each once, in any order.
            boxes (Sequence[np.ndarray]): each (n, 4) x, y, width, height.
            scores (Sequence[np.ndarray]): each (n, ).

        Raises:
            ValueError: as :meth:`from_rows`; or if an image comes twice or
                the lists are of different lengths.
        """
        if not len(image_ids) == len(boxes) == len(scores):
            raise UserError(
                f'{len(image_ids)} images, but boxes of '
                f'{len(boxes)} and scores of {len(scores)}'
            )
        counts = np.array([len(b) for b in boxes], int)
        for image_id, count, score in zip(image_ids, counts, scores):
            if count != len(score):
                raise UserError(
                    f'image {image_id}: {count} boxes, but {len(score)} scores'
                )
        image = image_positions(known_ids, np.asarray(image_ids))
        times = np.bincount(image, minlength=len(known_ids))
        if len(times) and times.max() > 1:
            raise UserError(
                f'image {known_ids[times.argmax()]} has more '
                'than one set of proposals'
            )
        boxes = [np.reshape(b, (-1, 4)) for b in boxes]
        return cls._in_order(
            known_ids,
            image.repeat(counts),
            np.concatenate([np.empty((0, 4)), *boxes], dtype=float),
            np.concatenate([np.empty(0), *scores], dtype=float),
            len(image_ids),
        )

    @classmethod
    def _in_order(
        cls,
        known_ids: np.ndarray,
        image: np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        num_images: int,
    ) -> Proposals:
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        scores = np.asarray(scores, float)
        if not (_are_boxes(boxes) and np.isfinite(scores).all()):
            row = np.flatnonzero(~_is_box(boxes) | ~np.isfinite(scores))[0]
            raise UserError(
                f'image {known_ids[image[row]]}: proposal '
                f'{np.count_nonzero(image[:row] == image[row])} (row {row}) '
                f'has the box {boxes[row].tolist()} and the score '
                f'{scores[row]}: x, y, width, height must be finite, the '
                'latter two not negative, and the score a finite number'
            )
        # Integers of 16 bits sort fastest. Each sort is stable, as those of
        # pycocotools.
        image = image.astype(np.min_scalar_type(len(known_ids)))
        if (image[1:] < image[:-1]).any():
            order = np.argsort(image, kind='stable')
            image, scores = image[order], scores[order]
            boxes = boxes.take(order, axis=0)
        new_image = image[1:] != image[:-1]
        if not (new_image | (scores[1:] <= scores[:-1])).all():
            order = np.concatenate(
                _in_threads(
                    lambda s: s.start + _by_score(image[s], scores[s]),
                    _parts(np.flatnonzero(new_image) + 1, len(image)),
                )
            )
            boxes, scores = boxes.take(order, axis=0), scores[order]
        return cls(image, boxes, scores, num_images)


class _Pairs(NamedTuple):
    """Proposals and objects that overlap, by proposal.

    Of a proposal's objects that of highest IoU comes first, the later if
    equal.
    """

    proposal: np.ndarray
    object: np.ndarray
    iou: np.ndarray


class _Hits(NamedTuple):
    """Objects found, and by which proposal, at which threshold."""

    threshold: np.ndarray
    proposal: np.ndarray
    object: np.ndarray


class Evaluation(NamedTuple):
    """Which objects the proposals find.

    Attributes:
        iou_thrs (np.ndarray): (num_thresholds, ).
        found (dict[str, tuple]): by area range the ``threshold``,
            ``proposal`` and ``object`` of each object found: positions in
            ``iou_thrs``, :class:`Proposals` and :class:`GroundTruth`.
        wanted (dict[str, np.ndarray]): by area range, (num_objects, ) bool,
            the objects asked for.
        rank (np.ndarray): (num_proposals, ) place of a proposal among those
            of its image that count, from 0.
        kept (np.ndarray): (num_proposals, ) bool, the proposals that count:
            all, but with `exclude-base` those that are not taken out.
        precision (np.ndarray): (num_thresholds, 101) precision at recall 0,
            0.01, …, 1 by the largest k, NaN where there is no object.
        ground_truth (GroundTruth): the objects.
        proposals (Proposals): the proposals.
        proposal_nums (tuple[int, ...]): the k.
    """

    iou_thrs: np.ndarray
    found: dict[str, _Hits]
    wanted: dict[str, np.ndarray]
    rank: np.ndarray
    kept: np.ndarray
    precision: np.ndarray
    ground_truth: GroundTruth
    proposals: Proposals
    proposal_nums: tuple[int, ...]

    def recall(self, k: int, area: str = 'all') -> np.ndarray:
        """Recall by the k best of every image, (num_thresholds, ).

        NaN where there is no object.
        """
        hits = self.found[area]
        found = np.bincount(
            hits.threshold[self.rank[hits.proposal] < k],
            minlength=len(self.iou_thrs),
        )
        return _divide(found, np.count_nonzero(self.wanted[area]))

    def average_recall(self, k: int, area: str = 'all') -> float:
        """AR@k: mean recall over IoU thresholds."""
        return float(np.mean(self.recall(k, area)))

    def average_recalls(self, max_k: int) -> np.ndarray:
        """AR@k of k = 1, …, max_k, (max_k, ); NaN if there is no object."""
        hits = self.found['all']
        rank = self.rank[hits.proposal]
        found = np.bincount(rank[rank < max_k], minlength=max_k).cumsum()
        return _divide(
            found, len(self.iou_thrs) * np.count_nonzero(self.wanted['all'])
        )

    def average_precision(self) -> float:
        """Class-agnostic AP with the largest k."""
        return float(np.mean(self.precision))

    def area_under_curve(self) -> float:
        r"""AUC: the area under AR over the logarithm of k, from 0 to 1.

        .. math:: \frac{1}{\ln 1000} \sum_{k=1}^{999}
            \frac{AR@k + AR@(k+1)}{2} \, \ln\frac{k+1}{k}
        """
        recall = self.average_recalls(AUC_MAX)
        steps = np.diff(np.log(np.arange(1, AUC_MAX + 1)))
        return float(
            ((recall[1:] + recall[:-1]) / 2 * steps).sum() / np.log(AUC_MAX)
        )

    def average_recall_by_class(self, k: int) -> dict[int, float]:
        """AR@k of each category that has objects, by category id."""
        hits = self.found['all']
        ids, position = np.unique(
            self.ground_truth.category, return_inverse=True
        )
        found = np.bincount(
            position[hits.object[self.rank[hits.proposal] < k]],
            minlength=len(ids),
        )
        number = np.bincount(position[self.wanted['all']], minlength=len(ids))
        recall = _divide(found, number * len(self.iou_thrs))
        return {
            i: value
            for i, value, n in zip(ids.tolist(), recall.tolist(), number)
            if n
        }

    def details(self, names: Mapping[int, str]) -> dict[str, float]:
        """Recall by class and by IoU threshold, with the largest k, by name.

        Args:
            names (dict[int, str]): names of the target categories.

        Returns:
            dict[str, float]: ``AR@100/giraffe``, … of each class that has
            objects; ``recall@100/0.50``, ….
        """
        k = max(self.proposal_nums)
        by_class = self.average_recall_by_class(k)
        return {
            **{f'AR@{k}/{names[i]}': value for i, value in by_class.items()},
            **{
                f'recall@{k}/{thr:.2f}': float(value)
                for thr, value in zip(self.iou_thrs, self.recall(k))
            },
        }

    def counts_by_image(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """What AR@k is the ratio of, image by image.

        Returns:
            tuple: of each image, in the order of ``GroundTruth.image_ids``,
            the objects found, as a mean over thresholds, and the number
            asked for; each (num_images, ).
        """
        hits = self.found['all']
        image = self.ground_truth.image
        num = len(self.ground_truth.image_ids)
        found = np.bincount(
            image[hits.object[self.rank[hits.proposal] < k]], minlength=num
        )
        return (
            found / len(self.iou_thrs),
            np.bincount(image[self.wanted['all']], minlength=num),
        )

    def cut_short(self) -> str:
        """Warn, in one line, if lists end before the largest k is reached.

        That is where proposals were taken out of images, which leaves fewer
        than the largest k, though no list is longer, and more than one as
        long: most likely lists were cut (``max_per_img``), and recall is
        understated. Without such images the line is empty.
        """
        num = len(self.ground_truth.image_ids)
        length = np.bincount(self.proposals.image, minlength=num)
        left = np.bincount(self.proposals.image[self.kept], minlength=num)
        longest, k = length.max(initial=0), max(self.proposal_nums)
        cut = length == longest
        images = np.count_nonzero(cut & (left < length) & (left < k))
        if not images or np.count_nonzero(cut) < min(2, num):
            return ''
        return (
            f'{images} images have {longest} proposals, no image has '
            f'more, and without those taken out fewer than k={k} are '
            'left: if lists were cut at that length, recall is '
            'understated; raise max_per_img of test_cfg.proposals (1500 '
            'in the configs of mmdet_owp)'
        )

    def metrics(self) -> dict[str, float]:
        """All numbers by name.

        Returns:
            dict[str, float]: ``AR@10``, ``AR_s@10``, … for each k and area
            range, ``AUC``, ``AP``, from 0 to 1 and NaN where there is no
            object; ``proposals``, the mean number an image of those that
            count.
        """
        metrics = {
            f'AR@{k}'
            if area == 'all'
            else f'AR_{area}@{k}': self.average_recall(k, area)
            for area in self.found
            for k in self.proposal_nums
        }
        metrics['AUC'] = self.area_under_curve()
        metrics['AP'] = self.average_precision()
        metrics['proposals'] = float(
            _divide(np.count_nonzero(self.kept), self.proposals.num_images)
        )
        return metrics


class RecallEvaluator:
    """Matches proposals to objects and counts what is found.

    Overlaps are computed once, for any number of :meth:`evaluate` calls.

    Args:
        ground_truth (GroundTruth): the objects. Those of images without
            proposals are missed.
        proposals (Proposals): with the same images.
        iou_thrs (Sequence[float]): IoU from which an object is found.
        area_ranges (dict[str, tuple[float, float]]): smallest and largest
            area of a range by name, ``'all'`` among them.
    """

    def __init__(
        self,
        ground_truth: GroundTruth,
        proposals: Proposals,
        *,
        iou_thrs: Sequence[float] = IOU_THRS,
        area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
    ) -> None:
        if 'all' not in area_ranges:
            raise UserError(
                f"area_ranges must have 'all', not only {list(area_ranges)}"
            )
        self.ground_truth = ground_truth
        self.proposals = proposals
        # pycocotools, too, stays below 1.
        self.iou_thrs = np.minimum(iou_thrs, 1 - 1e-10)
        self.area_ranges = dict(area_ranges)
        images = np.arange(len(ground_truth.image_ids) + 1)
        # Where the proposals and the objects of each image begin.
        self._proposals_from = np.searchsorted(proposals.image, images)
        self._objects_from = np.searchsorted(ground_truth.image, images)
        self._pairs = self._overlaps(min(EXCLUDE_IOU, self.iou_thrs.min()))

    def evaluate(
        self,
        target_ids: Collection[int],
        protocol: str = 'drop-base',
        proposal_nums: Sequence[int] = (10, 100),
    ) -> Evaluation:
        """Find out which objects the proposals find.

        AR@k is the recall of the target objects by the k best proposals of
        every image, averaged over IoU thresholds. Crowd objects, and those
        outside of the area range, are neither found nor missed. Of objects
        with equal IoU the later is met.

        `drop-base` forgets the other objects: a proposal on one is a miss,
        and one of the k. `exclude-base` takes proposals out before the k best
        are counted: those that, at IoU 0.5, meet another object. Proposals
        choose in the order of their score, a free target object first, then
        among crowd regions and other objects the one of highest IoU. An
        object is met once, a crowd region any number of times.

        Args:
            target_ids (Collection[int]): categories whose recall is asked
                for. The rest of the ground truth is the other side.
            protocol (str): ``'drop-base'`` or ``'exclude-base'``.
            proposal_nums (Sequence[int]): the k.

        Raises:
            ValueError: in one line, for an unknown protocol or a k below 1.
        """
        if protocol not in PROTOCOLS:
            raise UserError(
                f'protocol must be one of {PROTOCOLS}, not {protocol!r}'
            )
        proposal_nums = tuple(proposal_nums)
        if not proposal_nums or min(proposal_nums) < 1:
            raise UserError(
                f'proposal_nums must be positive integers, not {proposal_nums}'
            )
        truth = self.ground_truth
        target = np.isin(truth.category, list(target_ids))
        kept = np.ones(len(self.proposals.image), bool)
        if protocol == 'exclude-base':
            hits = self._match(
                self._pairs, np.array([EXCLUDE_IOU]), ~target | truth.crowd
            )
            kept[hits.proposal[~target[hits.object]]] = False
        # A place among all kept less that of the image's first.
        rank = kept.cumsum()
        first = np.append(0, rank)[self._proposals_from[:-1]]
        rank -= 1 + first.repeat(np.diff(self._proposals_from))
        counts = kept & (rank < max(proposal_nums))
        matters = kept & (rank < max(*proposal_nums, AUC_MAX))

        pairs = [
            _keep(p, target[p.object] & matters[p.proposal])
            for p in self._pairs
        ]
        found, wanted = {}, {}
        for name, (low, high) in self.area_ranges.items():
            ignored = truth.crowd | (truth.areas < low) | (truth.areas > high)
            hits = self._match(pairs, self.iou_thrs, ignored)
            counted = ~ignored[hits.object]
            found[name] = _keep(hits, counted)
            wanted[name] = target & ~ignored
            if name == 'all':
                precision = self._precision(
                    found[name],
                    _keep(hits, ~counted),
                    counts,
                    np.count_nonzero(wanted[name]),
                )
        return Evaluation(
            self.iou_thrs,
            found,
            wanted,
            rank,
            kept,
            precision,
            truth,
            self.proposals,
            proposal_nums,
        )

    def _overlaps(self, min_iou: float) -> list[_Pairs]:
        """Find the pairs of an image whose IoU is at least ``min_iou``.

        Returns:
            list[_Pairs]: those of some whole images each.
        """
        num_proposals = np.diff(self._proposals_from)
        num_objects = np.diff(self._objects_from)
        images = np.flatnonzero((num_proposals > 0) & (num_objects > 0))
        # Images of like many objects fit into one table.
        images = images[np.argsort(num_objects[images], kind='stable')]
        cells = (num_proposals[images] * num_objects[images]).cumsum()

        def overlaps(images: np.ndarray, cells: np.ndarray) -> _Pairs:
            blocks = np.split(
                images, np.flatnonzero(np.diff(cells // _BLOCK)) + 1
            )
            pairs = _concatenate(
                [self._block_overlaps(block, min_iou) for block in blocks]
            )
            return _keep(pairs, np.lexsort((-pairs.iou, pairs.proposal)))

        bounds = np.flatnonzero(np.diff(cells // _TASK)) + 1
        return _in_threads(
            overlaps, np.split(images, bounds), np.split(cells, bounds)
        )

    def _block_overlaps(self, images: np.ndarray, min_iou: float) -> _Pairs:
        """Find the pairs of some images, in one table.

        With a crowd region IoU is the share of the proposal that lies
        inside. Of a proposal's objects the later comes first.
        """
        truth = self.ground_truth
        start = self._proposals_from[images]
        counts = self._proposals_from[images + 1] - start
        local = np.arange(len(images)).repeat(counts)
        rows = (
            np.arange(len(local)) + (start - counts.cumsum() + counts)[local]
        )
        num_objects = (
            self._objects_from[images + 1] - self._objects_from[images]
        )
        slots = np.arange(num_objects.max(initial=0))[::-1]
        there = slots < num_objects[:, None]
        objects = np.where(there, self._objects_from[images, None] + slots, 0)
        g = truth.boxes[objects].transpose(2, 0, 1)
        # Contiguous columns, of proposals as column vectors.
        d = np.ascontiguousarray(self.proposals.boxes[rows].T)[..., None]

        # A first sieve on the whole table: IoU >= t is shared >= t / (1 + t)
        # times both areas; the bound is a little lower, for rounding. With
        # crowd regions it is lower than need be; absent objects get no pair.
        area = np.where(truth.crowd[objects], 0, g[2] * g[3])
        area = np.where(there, area, np.inf)
        shared = np.minimum(d[0] + d[2], (g[0] + g[2])[local])
        shared -= np.maximum(d[0], g[0][local])
        height = np.minimum(d[1] + d[3], (g[1] + g[3])[local])
        height -= np.maximum(d[1], g[1][local])
        shared *= np.maximum(height, 0, out=height)
        bound = area[local]
        bound += d[2] * d[3]
        bound *= min_iou / (1 + min_iou) * (1 - 1e-9)
        row, slot = np.divmod(
            np.flatnonzero(shared >= bound), max(len(slots), 1)
        )

        # Then the very operations of pycocotools.
        proposal, met = rows[row], objects[local[row], slot]
        d = self.proposals.boxes[proposal].T
        g = truth.boxes[met].T
        width = np.minimum(d[2] + d[0], g[2] + g[0]) - np.maximum(d[0], g[0])
        height = np.minimum(d[3] + d[1], g[3] + g[1]) - np.maximum(d[1], g[1])
        shared = width * height
        union = np.where(
            truth.crowd[met], d[2] * d[3], d[2] * d[3] + g[2] * g[3] - shared
        )
        iou = np.zeros(len(met))
        np.divide(shared, union, out=iou, where=(width > 0) & (height > 0))
        return _keep(_Pairs(proposal, met, iou), iou >= min_iou)

    def _match(
        self, pairs: list[_Pairs], iou_thrs: np.ndarray, ignored: np.ndarray
    ) -> _Hits:
        """Match proposals to objects greedily, as pycocotools does.

        In the order of the proposals, each takes among the free objects the
        one it prefers: one that isn't ignored, of those that of highest IoU.

        Args:
            pairs (list[_Pairs]): who may meet whom.
            iou_thrs (np.ndarray): IoU from which they may.
            ignored (np.ndarray): (num_objects, ) bool.
        """
        crowd = self.ground_truth.crowd
        return _concatenate(
            [_match_some(p, iou_thrs, ignored, crowd) for p in pairs],
            _Hits(*[np.empty(0, int)] * 3),
        )

    def _precision(
        self, hits: _Hits, ignored: _Hits, counts: np.ndarray, num_objects: int
    ) -> np.ndarray:
        """Precision at 101 recalls, over thresholds, as pycocotools.

        Args:
            hits (_Hits): objects found.
            ignored (_Hits): proposals on ignored objects, neither hits nor
                misses.
            counts (np.ndarray): (num_proposals, ) bool, those that count.
            num_objects (int): that could be found.
        """
        recalls = np.linspace(0, 1, 101)
        precisions = np.zeros((len(self.iou_thrs), len(recalls)))
        if not num_objects:
            return np.full_like(precisions, np.nan)
        hits, ignored = (_keep(h, counts[h.proposal]) for h in (hits, ignored))
        places = _Places(self.proposals.scores, hits.proposal)
        number = places.count_up_to_each(np.flatnonzero(counts))
        hit_places = places.of_mark[hits.proposal]
        ignored_places = places.before(ignored.proposal)
        for t, row in enumerate(precisions):
            hit = np.sort(hit_places[hits.threshold == t])
            skipped = np.sort(ignored_places[ignored.threshold == t])
            true = np.arange(1, len(hit) + 1)
            total = number[hit] - np.searchsorted(skipped, hit, 'right')
            precision = true / (total + np.spacing(1))
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            at = np.searchsorted(true / num_objects, recalls)
            reached = at < len(hit)
            row[reached] = envelope[at[reached]]
        return precisions


class _Places:
    """Places of proposals relative to some of them, the marks.

    The order is by falling score, and where equal by number, that is, by
    image and rank. It is found out without sorting all proposals.

    Args:
        scores (np.ndarray): (num_proposals, ).
        marks (np.ndarray): numbers of proposals, may repeat.
    """

    def __init__(self, scores: np.ndarray, marks: np.ndarray) -> None:
        self.scores = scores
        # Their place among the marks, and 0 for the rest.
        self.of_mark = np.zeros(len(scores), np.int32)
        self.of_mark[marks] = 1
        marks = np.flatnonzero(self.of_mark)
        marks = marks[np.argsort(-scores[marks], kind='stable')]
        self.of_mark[marks] = np.arange(len(marks))
        self.marks = -scores[marks]  # ascending
        first = np.searchsorted(self.marks, self.marks)
        self.ties = first * len(scores) + marks  # ascending, too
        # A grid spares the scores in cells without a mark a binary search.
        self.num_cells = 8 * len(marks)
        if len(marks):
            self.cell_from = np.searchsorted(
                self._cells(self.marks), np.arange(self.num_cells + 2)
            )

    def _cells(self, scores: np.ndarray) -> np.ndarray:
        """Cell of a grid over the marks of each score; rises with it."""
        low, high = self.marks[0], self.marks[-1]
        with np.errstate(over='ignore'):  # of equal marks
            steps = (scores - low) * (self.num_cells / max(high - low, 1e-300))
        return np.clip(steps, 0, self.num_cells, out=steps).astype(np.int32)

    def before(self, proposals: np.ndarray) -> np.ndarray:
        """Count the marks before each proposal."""
        if not len(self.marks):
            return np.zeros(len(proposals), int)
        scores = -self.scores[proposals]
        cell = self._cells(scores)
        place = self.cell_from[cell]
        unsure = np.flatnonzero(self.cell_from[cell + 1] > place)
        place[unsure] = np.searchsorted(self.marks, scores[unsure])
        tie = unsure[
            np.append(self.marks, np.nan)[place[unsure]] == scores[unsure]
        ]
        place[tie] = np.searchsorted(
            self.ties, place[tie] * len(self.scores) + proposals[tie]
        )
        return place

    def count_up_to_each(self, proposals: np.ndarray) -> np.ndarray:
        """Count the proposals up to and with each mark."""
        place = self.before(proposals)
        return np.bincount(place, minlength=len(self.marks) + 1)[:-1].cumsum()


def _match_some(
    pairs: _Pairs, iou_thrs: np.ndarray, ignored: np.ndarray, crowd: np.ndarray
) -> _Hits:
    """Match the proposals of some images, at all thresholds at once.

    Every proposal asks its favourite, an object keeps the foremost of those
    that ask, the others ask their next. Since all objects prefer the same
    order, this ends in the same matching as one proposal after the other.
    """
    last = ignored[pairs.object]
    if last.any():
        pairs = _keep(pairs, np.lexsort((last, pairs.proposal)))
    rows = [np.flatnonzero(pairs.iou >= thr) for thr in iou_thrs]
    level = np.arange(len(rows)).repeat([len(r) for r in rows])
    rows = np.concatenate(rows)
    objects = pairs.object[rows]
    proposals = pairs.proposal[rows]
    # Who asks: a proposal at a threshold. It goes through a run of rows.
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (proposals[1:] != proposals[:-1]) | (
        level[1:] != level[:-1]
    )
    asked = np.flatnonzero(is_first)
    end = np.append(asked[1:], len(rows))
    nobody = len(asked)
    # Whom they ask: an object at a threshold.
    base = objects.min(initial=0)
    whom = level * (objects.max(initial=0) - base + 1) + objects - base
    holder = np.full(whom.max(initial=-1) + 1, nobody)
    shared = crowd[objects]
    met = np.full(nobody, -1)
    asking = np.arange(nobody)
    while len(asking):
        row = asked[asking]
        met[asking] = row
        row_shared = shared[row]
        if row_shared.any():  # a crowd region takes whoever asks
            asking, row = asking[~row_shared], row[~row_shared]
        target = whom[row]
        before = holder[target]
        np.minimum.at(holder, target, asking)
        won = holder[target] == asking
        displaced = before[won]
        asking = np.concatenate([asking[~won], displaced[displaced < nobody]])
        met[asking] = -1
        asked[asking] += 1
        asking = asking[asked[asking] < end[asking]]
    met = met[met >= 0]
    return _Hits(level[met], proposals[met], objects[met])


def bootstrap_difference(
    first: Evaluation,
    second: Evaluation,
    k: int,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Compare AR@k of two lists of proposals for the same images.

    Paired bootstrap: images that have objects are drawn with replacement,
    each with what either list finds of its objects.

    Args:
        first (Evaluation): of one list.
        second (Evaluation): of the other, on the same ground truth.
        k (int): proposals an image.
        resamples (int): draws of as many images as there are.
        seed (int): of the draws.

    Returns:
        tuple: AR@k of the second less that of the first, and the ends of the
        interval from 2.5 to 97.5 percent of the draws.
    """
    found_first, number = first.counts_by_image(k)
    found_second, _ = second.counts_by_image(k)
    there = number > 0
    columns = np.stack([found_first, found_second, number])[:, there]
    num = columns.shape[1]
    if not num:
        return (float('nan'),) * 3
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [
            columns @ np.bincount(rng.integers(num, size=num), minlength=num)
            for _ in range(resamples)
        ]
    )
    difference = (drawn[:, 1] - drawn[:, 0]) / drawn[:, 2]
    low, high = np.quantile(difference, (0.025, 0.975))
    return (
        second.average_recall(k) - first.average_recall(k),
        float(low),
        float(high),
    )


def _are_boxes(boxes: np.ndarray) -> bool:
    """Tell whether all x, y, width, height are those of a box."""
    return bool(np.isfinite(boxes).all() and (boxes[:, 2:] >= 0).all())


def _is_box(boxes: np.ndarray) -> np.ndarray:
    """Tell which are, (n, ) bool; slower."""
    return np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= 0).all(axis=1)


def image_positions(
    known_ids: np.ndarray, image_ids: np.ndarray
) -> np.ndarray:
    """Find images among the known ones.

    Args:
        known_ids (np.ndarray): ids, ascending, (num_images, ).
        image_ids (np.ndarray): (n, ).

    Returns:
        np.ndarray: positions in ``known_ids``, (n, ).

    Raises:
        ValueError: in one line, if one is not among them.
    """
    if not len(image_ids):
        return np.empty(0, int)
    position = np.searchsorted(known_ids, image_ids)
    position[position == len(known_ids)] = 0
    if len(known_ids):
        wrong = known_ids[position] != image_ids
    else:
        wrong = np.ones(len(image_ids), bool)
    if wrong.any():
        unknown = np.unique(image_ids[wrong])
        raise UserError(
            f'{len(unknown)} images are not in the annotation file, the first '
            f'of id {unknown[0]}: proposals and annotations are of different '
            'data sets or splits'
        )
    return position


def _by_score(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Order by image, in an image by falling score."""
    order = np.argsort(-scores, kind='stable')
    return order[np.argsort(image[order], kind='stable')]


def _parts(bounds: np.ndarray, length: int) -> list[slice]:
    """Cut a length into slices of some ten thousand, at given bounds."""
    cuts = bounds[np.flatnonzero(np.diff(bounds // _BLOCK)) + 1]
    return [*map(slice, [0, *cuts], [*cuts, length])]


def _keep(table: _Table, rows: np.ndarray) -> _Table:
    """Choose, or put in order, the rows of a tuple of columns."""
    return type(table)(*(column[rows] for column in table))


def _concatenate(
    tables: Sequence[_Table], empty: _Table | None = None
) -> _Table:
    """Put tables of the same columns one below the other."""
    if not tables:
        return empty
    return type(tables[0])(*map(np.concatenate, zip(*tables)))


def _divide(found: np.ndarray | int, number: np.ndarray | int) -> np.ndarray:
    """Divide, with NaN where there is nothing to find."""
    with np.errstate(invalid='ignore'):
        return np.true_divide(found, number)


def _in_threads(function: Callable[..., _T], *tasks: Iterable) -> list[_T]:
    """Map a function over tasks; numpy lets threads run side by side."""
    if len(tasks[0]) < 2:
        return list(map(function, *tasks))
    threads = (
        len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count()
    )
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, *tasks))
