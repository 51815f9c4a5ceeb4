"""Which proposals count when recall on one side is measured.

A protocol is a function of the table ``PROTOCOLS``. To add one, write it
here and add its name: metrics, command lines and messages read the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.matching import Matcher

# `exclude-base` removes a proposal that matches another object at this IoU.
EXCLUDE_IOU = 0.5


class Rules(NamedTuple):
    """What counts under a protocol.

    At every IoU threshold the proposals ``matched`` are matched to the
    ``objects``. Target objects matched by a proposal that is ``kept`` are
    found; k counts the proposals that are kept.

    Attributes:
        kept (np.ndarray): (num_proposals,) bool.
        matched (np.ndarray): (num_proposals,) bool.
        objects (np.ndarray): (num_objects,) bool, all targets among them.
    """

    kept: np.ndarray
    matched: np.ndarray
    objects: np.ndarray


def drop_base(matcher: Matcher, target: np.ndarray) -> Rules:
    """Forget the other objects: a proposal on one is a false positive.

    Args:
        matcher (Matcher): of all proposals and objects.
        target (np.ndarray): (num_objects,) bool, objects whose recall is
            measured.
    """
    everyone = np.ones(matcher.num_proposals, bool)
    return Rules(everyone, everyone, target)


def exclude_base(matcher: Matcher, target: np.ndarray) -> Rules:
    """Remove the proposals that match another object at IoU 0.5.

    In this matching, proposals prefer target objects, then crowd regions and
    other objects by IoU. The proposals left are ranked and matched anew.
    """
    hits = matcher.match([EXCLUDE_IOU], ~target)
    kept = np.ones(matcher.num_proposals, bool)
    kept[hits.proposal[~target[hits.object]]] = False
    return Rules(kept, kept, target)


PROTOCOLS: dict[str, Callable[[Matcher, np.ndarray], Rules]] = {
    'drop-base': drop_base,
    'exclude-base': exclude_base,
}
