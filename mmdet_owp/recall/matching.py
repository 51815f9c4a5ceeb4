"""Greedy matching of proposals to objects, as pycocotools does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.overlaps import Pairs
from mmdet_owp.recall.tables import concatenate, keep


class Hits(NamedTuple):
    """Matched objects: the index of threshold, proposal and object."""

    threshold: np.ndarray
    proposal: np.ndarray
    object: np.ndarray


class Matcher(NamedTuple):
    """Matches proposals to the objects they overlap.

    Attributes:
        pairs (list[Pairs]): the overlaps.
        crowd (np.ndarray): (num_objects,) bool, crowd regions.
        num_proposals (int): number of proposals.
    """

    pairs: list[Pairs]
    crowd: np.ndarray
    num_proposals: int

    def select(self, proposals: np.ndarray, objects: np.ndarray) -> Matcher:
        """Leave only some proposals and objects to be matched.

        Args:
            proposals (np.ndarray): (num_proposals,) bool.
            objects (np.ndarray): (num_objects,) bool.
        """
        return self._replace(
            pairs=[
                keep(p, objects[p.object] & proposals[p.proposal])
                for p in self.pairs
            ]
        )

    def match(
        self, iou_thrs: Sequence[float] | np.ndarray, ignored: np.ndarray
    ) -> Hits:
        """Match the proposals in the order of their scores.

        Each is matched to a free object: preferably one that is not ignored,
        among those the one of highest IoU. Crowd regions are always free.

        Args:
            iou_thrs (Sequence[float]): IoU thresholds, matched independently.
            ignored (np.ndarray): (num_objects,) bool. Crowd regions are
                always ignored.
        """
        ignored = ignored | self.crowd
        return concatenate(
            [_match(p, iou_thrs, ignored, self.crowd) for p in self.pairs],
            Hits(*[np.empty(0, int)] * 3),
        )


def _match(
    pairs: Pairs,
    iou_thrs: Sequence[float] | np.ndarray,
    ignored: np.ndarray,
    crowd: np.ndarray,
) -> Hits:
    """Match the proposals of some images at all thresholds at once.

    Deferred acceptance: every proposal asks the object it prefers, an object
    keeps the best-ranked proposal that asked, the others ask their next. As
    all objects rank the proposals alike, this gives the matching of one
    proposal after the other.
    """
    last = ignored[pairs.object]
    if last.any():
        pairs = keep(pairs, np.lexsort((last, pairs.proposal)))
    rows = [np.flatnonzero(pairs.iou >= thr) for thr in iou_thrs]
    level = np.arange(len(rows)).repeat([len(r) for r in rows])
    rows = np.concatenate(rows)
    objects = pairs.object[rows]
    proposals = pairs.proposal[rows]
    # A bidder is a proposal at a threshold; it goes through a run of rows.
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (proposals[1:] != proposals[:-1]) | (
        level[1:] != level[:-1]
    )
    asked = np.flatnonzero(is_first)  # the row that a bidder has reached
    end = np.append(asked[1:], len(rows))
    nobody = len(asked)
    # A good is an object at a threshold.
    base = objects.min(initial=0)
    good = level * (objects.max(initial=0) - base + 1) + objects - base
    holder = np.full(good.max(initial=-1) + 1, nobody)
    shared = crowd[objects]
    matched = np.full(nobody, -1)
    asking = np.arange(nobody)
    while len(asking):
        row = asked[asking]
        matched[asking] = row
        row_shared = shared[row]
        if row_shared.any():  # a crowd region accepts every bidder
            asking, row = asking[~row_shared], row[~row_shared]
        target = good[row]
        before = holder[target]
        np.minimum.at(holder, target, asking)
        won = holder[target] == asking
        displaced = before[won]
        asking = np.concatenate([asking[~won], displaced[displaced < nobody]])
        matched[asking] = -1
        asked[asking] += 1
        asking = asking[asked[asking] < end[asking]]
    matched = matched[matched >= 0]
    return Hits(level[matched], proposals[matched], objects[matched])
