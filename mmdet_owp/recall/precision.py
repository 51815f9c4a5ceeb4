"""Class-agnostic precision at given recalls, as pycocotools."""

from __future__ import annotations

import numpy as np

from mmdet_owp.recall.matching import Hits
from mmdet_owp.recall.tables import keep


def precision_at_recalls(
    hits: Hits,
    ignored: Hits,
    counts: np.ndarray,
    scores: np.ndarray,
    num_objects: int,
    num_thresholds: int,
) -> np.ndarray:
    """Compute precision at recall 0, 0.01, …, 1 per threshold.

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
    recalls = np.linspace(0, 1, 101)
    precisions = np.zeros((num_thresholds, len(recalls)))
    if not num_objects:
        return np.full_like(precisions, np.nan)
    hits, ignored = (keep(h, counts[h.proposal]) for h in (hits, ignored))
    ranks = _MarkedRanks(scores, hits.proposal)
    number = ranks.count_up_to_each(np.flatnonzero(counts))
    hit_ranks = ranks.of_mark[hits.proposal]
    ignored_ranks = ranks.before(ignored.proposal)
    for t, row in enumerate(precisions):
        hit = np.sort(hit_ranks[hits.threshold == t])
        skipped = np.sort(ignored_ranks[ignored.threshold == t])
        true = np.arange(1, len(hit) + 1)
        total = number[hit] - np.searchsorted(skipped, hit, 'right')
        precision = true / (total + np.spacing(1))
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(true / num_objects, recalls)
        reached = at < len(hit)
        row[reached] = envelope[at[reached]]
    return precisions


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
