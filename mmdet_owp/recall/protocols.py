"""Which proposals count when recall on one side is measured.

A protocol is a function of the table ``PROTOCOLS``. To add one, write it
here and add its name: metrics, command lines and messages read the table.
docs/protocols.md describes the protocols for users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.evaluation import AUC_MAX
from mmdet_owp.recall.matching import Matcher

# `exclude-base` removes a proposal that matches another object at this IoU.
EXCLUDE_IOU = 0.5
# `oln` looks at this many proposals per image, or at the largest k.
OLN_LENGTH = 1500


class Rules(NamedTuple):
    """What counts under a protocol.

    For each area range and IoU threshold ``proposals`` are matched to
    ``objects``: to those whose recall is measured first, then to the others,
    which are ignored. k counts the proposals that are not removed.

    Attributes:
        proposals (np.ndarray): (num_proposals,) bool.
        objects (np.ndarray): (num_objects,) bool, all targets among them.
        removes_matched (bool): whether proposals that are matched to another
            object at the first threshold are removed from the matching of
            all thresholds. The rest is not matched anew.
        list_length (int): proposals per image to match, the best; if more,
            the largest k.
    """

    proposals: np.ndarray
    objects: np.ndarray
    removes_matched: bool = False
    list_length: int = AUC_MAX


def drop_base(matcher: Matcher, target: np.ndarray) -> Rules:
    """Forget the other objects: a proposal on one is a false positive.

    Args:
        matcher (Matcher): of all proposals and objects.
        target (np.ndarray): (num_objects,) bool, objects whose recall is
            measured.
    """
    everyone = np.ones(matcher.num_proposals, bool)
    return Rules(everyone, target)


def exclude_base(matcher: Matcher, target: np.ndarray) -> Rules:
    """Remove the proposals that match another object at IoU 0.5.

    In this matching, proposals prefer target objects, then crowd regions and
    other objects by IoU. The proposals left are ranked and matched anew.
    """
    hits = matcher.match([EXCLUDE_IOU], ~target)
    kept = np.ones(matcher.num_proposals, bool)
    kept[hits.proposal[~target[hits.object]]] = False
    return Rules(kept, target)


def oln(matcher: Matcher, target: np.ndarray) -> Rules:
    """Count as the evaluator that OLN's authors released.

    Proposals are matched to the objects of both sides. For each area range,
    those that match an object of the other side at the first IoU threshold
    are removed. At a higher threshold they may have taken a target object,
    which then is missed.
    """
    everyone = np.ones(matcher.num_proposals, bool)
    return Rules(everyone, np.ones_like(target), True, OLN_LENGTH)


PROTOCOLS: dict[str, Callable[[Matcher, np.ndarray], Rules]] = {
    'drop-base': drop_base,
    'exclude-base': exclude_base,
    'oln': oln,
}
