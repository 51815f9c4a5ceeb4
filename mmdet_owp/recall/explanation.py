"""Why objects are missed: by ranking, by NMS, or for want of better boxes.

Example:
    >>> coco = dict(
    ...     images=[dict(id=7)],
    ...     annotations=[dict(image_id=7, category_id=1, bbox=[0, 0, 9, 9])])
    >>> truth = GroundTruth.from_coco(coco)
    >>> proposals = Proposals.from_rows(
    ...     truth.image_ids, [7, 7], [[50, 50, 9, 9], [0, 0, 9, 9]], [.9, .5])
    >>> why = explain(RecallEvaluator(truth, proposals), [1])
    >>> why.counts(k=1, level=0)
    {'met': 0, 'beyond': 1, 'taken': 0, 'suppressed': 0, 'near': 0, 'none': 0}
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.evaluator import RecallEvaluator
from mmdet_owp.recall.overlaps import find_pairs
from mmdet_owp.recall.tables import GroundTruth, Proposals

# Below this IoU a proposal has nothing to do with an object.
NEAR_IOU = 0.3
# Objects that no proposal meets, by what is entered in place of a rank.
TAKEN, SUPPRESSED, NEAR, NONE = -1, -2, -3, -4
REASONS = {
    'met': 'met',
    'beyond': 'met, but ranked beyond k',
    'taken': 'taken: the proposal was matched to another object',
    'suppressed': 'suppressed: only a candidate before NMS is good enough',
    'near': f'badly localized: best IoU from {NEAR_IOU} to the threshold',
    'none': f'none near: best IoU below {NEAR_IOU}',
}
_UNMET = dict(taken=TAKEN, suppressed=SUPPRESSED, near=NEAR, none=NONE)


class Explanation(NamedTuple):
    """How each object to be found is met, or why not.

    Objects of all sizes are matched together, so that counts of sizes and
    classes add up. The AR per size of an ``Evaluation`` comes from a matching
    per size instead and may differ a little.

    Attributes:
        objects (np.ndarray): (n,) indices of the objects to be found in the
            ground truth.
        iou_thrs (np.ndarray): (num_thresholds,).
        outcome (np.ndarray): (num_thresholds, n) int32, rank of the proposal
            that meets the object among those of its image that count under
            the protocol, from 0; ``TAKEN``, ``SUPPRESSED``, ``NEAR`` or
            ``NONE`` where none does.
        best_iou (np.ndarray): (n,) highest IoU with any proposal; 0 if it is
            below ``NEAR_IOU``.
    """

    objects: np.ndarray
    iou_thrs: np.ndarray
    outcome: np.ndarray
    best_iou: np.ndarray

    def counts(
        self, k: int, level: int, rows: np.ndarray | slice = slice(None)
    ) -> dict[str, int]:
        """Count objects by the keys of ``REASONS``.

        Args:
            k (int): proposals per image.
            level (int): index of the IoU threshold.
            rows (np.ndarray): which of the objects to count, (n,) bool.
                Default: all.
        """
        outcome = self.outcome[level, rows]
        is_met = outcome >= 0
        numbers = dict(
            met=is_met & (outcome < k),
            beyond=is_met & (outcome >= k),
            **{name: outcome == code for name, code in _UNMET.items()},
        )
        return {key: int(np.count_nonzero(n)) for key, n in numbers.items()}


def explain(
    evaluator: RecallEvaluator,
    target_ids: Collection[int],
    protocol: str = 'drop-base',
    candidate_iou: np.ndarray | None = None,
) -> Explanation:
    """Explain which objects the proposals meet, and why others are missed.

    Args:
        evaluator (RecallEvaluator): of proposals and objects.
        target_ids (Collection[int]): categories whose objects count.
        protocol (str): a name in ``PROTOCOLS``.
        candidate_iou (np.ndarray, optional): (num_objects,) highest IoU of
            each object of the ground truth with a box before NMS. Default:
            no miss counts as suppressed.
    """
    truth, proposals = evaluator.ground_truth, evaluator.proposals
    longest = np.bincount(proposals.image).max(initial=1)
    found = evaluator.evaluate(target_ids, protocol, [int(longest)])
    best = best_ious(truth, proposals)
    objects = np.flatnonzero(found.wanted['all'])
    outcome = np.full((len(found.iou_thrs), len(best)), NONE, np.int32)
    outcome[:, best >= NEAR_IOU] = NEAR
    thrs = found.iou_thrs[:, None]
    if candidate_iou is not None:
        outcome[candidate_iou >= thrs] = SUPPRESSED
    # Every proposal in question is matched, else it would have met the object.
    outcome[best >= thrs] = TAKEN
    hits = found.found['all']
    outcome[hits.threshold, hits.object] = hits.rank
    return Explanation(
        objects, found.iou_thrs, outcome[:, objects], best[objects]
    )


def best_ious(truth: GroundTruth, proposals: Proposals) -> np.ndarray:
    """Return the highest IoU of each object, 0 below ``NEAR_IOU``, (n,)."""
    best = np.zeros(len(truth.image))
    for pairs in find_pairs(truth, proposals, NEAR_IOU):
        np.maximum.at(best, pairs.object, pairs.iou)
    return best
