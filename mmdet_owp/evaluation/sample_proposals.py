"""The rule for which boxes of a model's output are its proposals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def proposals_of(sample: Mapping) -> Any:
    """Return the proposals of a sample.

    They are ``sample.proposals``; of a model without them, the class
    detections ``sample.pred_instances``, ranked by score.

    Args:
        sample (Mapping | DetDataSample): output of a model.

    Returns:
        InstanceData | dict: with ``bboxes`` and ``scores``.
    """
    proposals = sample.get('proposals')
    return sample.get('pred_instances') if proposals is None else proposals
