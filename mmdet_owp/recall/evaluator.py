"""Evaluation of proposals for many images at once.

Recalls equal those of pycocotools with ``useCats=0`` to the last bit. What
pycocotools computes per image and threshold is computed here for many images
at once, by numpy in several threads, without torch or mmdet.

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

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mmdet_owp.errors import UserError
from mmdet_owp.recall.evaluation import Evaluation, Found
from mmdet_owp.recall.matching import Hits, Matcher
from mmdet_owp.recall.overlaps import find_pairs
from mmdet_owp.recall.precision import precision_at_recalls
from mmdet_owp.recall.protocols import EXCLUDE_IOU, PROTOCOLS
from mmdet_owp.recall.tables import GroundTruth, Proposals, keep, ranks_within

IOU_THRS = tuple(np.linspace(0.5, 0.95, 10))
# Of the objects' areas, in pixels; both ends belong to the range.
AREA_RANGES = dict(
    all=(0, 1e10), s=(0, 32**2), m=(32**2, 96**2), l=(96**2, 1e10)
)


class RecallEvaluator:
    """Matches proposals to objects and counts what is found.

    Overlaps are computed once, for any number of :meth:`evaluate` calls.

    Args:
        ground_truth (GroundTruth): the objects. Those of images without
            proposals are missed.
        proposals (Proposals): of the same images.
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
        # Below 1, as in pycocotools.
        self.iou_thrs = np.minimum(iou_thrs, 1 - 1e-10)
        self.area_ranges = dict(area_ranges)
        min_iou = min(EXCLUDE_IOU, self.iou_thrs.min())
        self._matcher = Matcher(
            find_pairs(ground_truth, proposals, min_iou),
            ground_truth.crowd,
            len(proposals.image),
        )

    def evaluate(
        self,
        target_ids: Collection[int],
        protocol: str = 'drop-base',
        proposal_nums: Sequence[int] = (10, 100),
    ) -> Evaluation:
        """Find out which objects the proposals find.

        Crowd regions and objects outside of the area range are neither found
        nor missed. :mod:`mmdet_owp.recall.protocols` says which proposals
        count, :meth:`Matcher.match` how they are matched.

        Args:
            target_ids (Collection[int]): categories whose recall is measured.
            protocol (str): a name in ``PROTOCOLS``.
            proposal_nums (Sequence[int]): the k of AR@k.

        Raises:
            UserError: if the protocol is unknown or a k is below 1.
        """
        proposal_nums = _checked(protocol, proposal_nums)
        truth = self.ground_truth
        target = np.isin(truth.category, list(target_ids))
        rules = PROTOCOLS[protocol](self._matcher, target)
        rank = ranks_within(self.proposals.image, rules.proposals)
        length = max(*proposal_nums, rules.list_length)
        listed = rules.proposals & (rank < length)
        found, wanted = {}, {}
        for name, (low, high) in self.area_ranges.items():
            in_range = (truth.areas >= low) & (truth.areas <= high)
            wanted[name] = target & in_range & ~truth.crowd
            counts = rules.proposals
            if rules.removes_matched:
                counts = self._remove_matched(listed, target, wanted[name])
                rank = ranks_within(self.proposals.image, counts)
            # Ignored objects matter for precision only, that of all areas.
            objects = rules.objects if name == 'all' else wanted[name]
            hits = self._match(self.iou_thrs, listed, objects, wanted[name])
            is_found = wanted[name][hits.object] & counts[hits.proposal]
            hits, others = keep(hits, is_found), keep(hits, ~is_found)
            found[name] = Found.of(hits, rank)
            if name == 'all':
                kept = counts
                precision = precision_at_recalls(
                    *(hits, others, kept & (rank < max(proposal_nums))),
                    self.proposals.scores,
                    np.count_nonzero(wanted[name]),
                    len(self.iou_thrs),
                )
        return Evaluation(
            self.iou_thrs,
            found,
            wanted,
            kept,
            length if rules.removes_matched else np.inf,
            precision,
            truth,
            self.proposals,
            proposal_nums,
        )

    def _match(
        self,
        iou_thrs: np.ndarray,
        proposals: np.ndarray,
        objects: np.ndarray,
        wanted: np.ndarray,
    ) -> Hits:
        """Match some proposals to some objects, the wanted ones first."""
        return self._matcher.select(proposals, objects).match(
            iou_thrs, ~wanted
        )

    def _remove_matched(
        self, proposals: np.ndarray, target: np.ndarray, wanted: np.ndarray
    ) -> np.ndarray:
        """Remove proposals that match the other side at the first IoU."""
        everything = np.ones_like(target)
        first = self._match(self.iou_thrs[:1], proposals, everything, wanted)
        left = proposals.copy()
        left[first.proposal[~target[first.object]]] = False
        return left


def _checked(protocol: str, proposal_nums: Sequence[int]) -> tuple[int, ...]:
    """Refuse an unknown protocol; return the k as a tuple."""
    if protocol not in PROTOCOLS:
        raise UserError(
            f'protocol must be one of {tuple(PROTOCOLS)}, not {protocol!r}'
        )
    proposal_nums = tuple(proposal_nums)
    if not proposal_nums or min(proposal_nums) < 1:
        raise UserError(
            f'proposal_nums must be positive integers, not {proposal_nums}'
        )
    return proposal_nums
