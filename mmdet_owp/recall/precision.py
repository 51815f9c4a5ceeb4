"""Precision at given recalls, as pycocotools."""

from __future__ import annotations

import numpy as np

from mmdet_owp.recall.matching import Hits
from mmdet_owp.recall.tables import keep, ranks_within

RECALLS = np.linspace(0, 1, 101)


def precision_at_recalls(
    hits: Hits,
    ignored: Hits,
    counts: np.ndarray,
    scores: np.ndarray,
    num_objects: int,
    num_thresholds: int,
) -> np.ndarray:
    """Compute class-agnostic precision at recall 0, 0.01, …, 1.

    Args:
        hits (Hits): objects found.
        ignored (Hits): ignored objects that were matched; their proposals are
            neither true nor false positives.
        counts (np.ndarray): (num_proposals,) bool, proposals that count.
        scores (np.ndarray): (num_proposals,).
        num_objects (int): objects that could be found.
        num_thresholds (int): number of IoU thresholds.

    Returns:
        np.ndarray: (num_thresholds, 101), NaN if there is no object.
    """
    num = np.full(num_thresholds, num_objects)
    hits, ignored = (keep(h, counts[h.proposal]) for h in (hits, ignored))
    ranks = _MarkedRanks(scores, hits.proposal)
    number = ranks.count_up_to_each(np.flatnonzero(counts))
    hit_ranks = ranks.of_mark[hits.proposal]
    is_true = np.arange(len(hit_ranks) + len(ignored.proposal))
    is_true = is_true < len(hit_ranks)
    return precision_of_curves(
        np.append(hits.threshold, ignored.threshold),
        np.append(hit_ranks, ranks.before(ignored.proposal)),
        np.append(number[hit_ranks], np.zeros_like(ignored.proposal)),
        is_true,
        np.ones_like(is_true),
        num,
    )


def precision_of_curves(
    curve: np.ndarray,
    rank: np.ndarray,
    number: np.ndarray,
    is_true: np.ndarray,
    counts: np.ndarray,
    num_objects: np.ndarray,
) -> np.ndarray:
    """Compute precision at recall 0, 0.01, …, 1 for several lists at once.

    Args:
        curve (np.ndarray): (n,) list that each matched proposal belongs to.
        rank (np.ndarray): (n,) its rank. Where a true positive and an ignored
            one have the same, the ignored one comes first.
        number (np.ndarray): (n,) proposals up to it that are false positives
            unless matched; used of true positives.
        is_true (np.ndarray): (n,) bool, true positives; the others matched
            ignored objects.
        counts (np.ndarray): (n,) bool, whether it is among those numbered.
        num_objects (np.ndarray): (num_curves,) objects that could be found.

    Returns:
        np.ndarray: (num_curves, 101), NaN if there is no object.
    """
    size = rank.max(initial=0) + 1
    order = np.argsort((curve * size + rank) * 2 + is_true)
    is_true, number = is_true[order], number[order]
    matched = ranks_within(curve[order], counts[order]) + 1
    false = (number - matched)[is_true]
    curve = curve[order][is_true]
    true = ranks_within(curve) + 1
    precision = true / (true + false + np.spacing(1))
    # Each curve is cut where recall reaches 0, 0.01, …; the best of all parts
    # behind a cut is the precision there.
    ends = np.bincount(curve, minlength=len(num_objects)).cumsum()[:, None]
    starts = np.append(0, ends[:-1])[:, None]
    sizes, of_curve = np.unique(num_objects, return_inverse=True)
    needed = [np.searchsorted(np.arange(1, n + 1) / n, RECALLS) for n in sizes]
    cuts = np.minimum(starts + np.array(needed)[of_curve], ends)
    best = np.maximum.reduceat(np.append(precision, 0), cuts.ravel())
    best = np.where(cuts < ends, best.reshape(cuts.shape), 0)
    best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
    return np.where(num_objects[:, None] > 0, best, np.nan)


class _MarkedRanks:
    """Ranks of proposals among marked ones, without sorting all proposals.

    Proposals are ranked by descending score, at equal scores by index, that
    is, by image and rank in the image.

    Args:
        scores (np.ndarray): (num_proposals,).
        marks (np.ndarray): indices of marked proposals, may repeat.

    Attributes:
        of_mark (np.ndarray): (num_proposals,) rank of each mark among the
            marks, 0 for the rest.
    """

    def __init__(self, scores: np.ndarray, marks: np.ndarray) -> None:
        self.scores = scores
        self.of_mark = np.zeros(len(scores), np.int32)
        self.of_mark[marks] = 1
        marks = np.flatnonzero(self.of_mark)
        marks = marks[np.argsort(-scores[marks], kind='stable')]
        self.of_mark[marks] = np.arange(len(marks))
        self.marks = -scores[marks]  # ascending
        first = np.searchsorted(self.marks, self.marks)
        self.ties = first * len(scores) + marks  # ascending, too
        # A grid over the marks: scores in empty cells need no binary search.
        self.num_cells = 8 * len(marks)
        if len(marks):
            self.cell_from = np.searchsorted(
                self._cells(self.marks), np.arange(self.num_cells + 2)
            )

    def _cells(self, scores: np.ndarray) -> np.ndarray:
        """Return each score's cell in the grid, ascending with the score."""
        low, high = self.marks[0], self.marks[-1]
        with np.errstate(over='ignore'):  # if all marks are equal
            steps = (scores - low) * (self.num_cells / max(high - low, 1e-300))
        return np.clip(steps, 0, self.num_cells, out=steps).astype(np.int32)

    def before(self, proposals: np.ndarray) -> np.ndarray:
        """Count the marks ranked before each proposal."""
        if not len(self.marks):
            return np.zeros(len(proposals), int)
        scores = -self.scores[proposals]
        cell = self._cells(scores)
        rank = self.cell_from[cell]
        unsure = np.flatnonzero(self.cell_from[cell + 1] > rank)
        rank[unsure] = np.searchsorted(self.marks, scores[unsure])
        tie = unsure[
            np.append(self.marks, np.nan)[rank[unsure]] == scores[unsure]
        ]
        rank[tie] = np.searchsorted(
            self.ties, rank[tie] * len(self.scores) + proposals[tie]
        )
        return rank

    def count_up_to_each(self, proposals: np.ndarray) -> np.ndarray:
        """Count the proposals ranked up to and including each mark."""
        rank = self.before(proposals)
        return np.bincount(rank, minlength=len(self.marks) + 1)[:-1].cumsum()
