"""Which boxes of a model's output are its proposals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log


class TakeProposals:
    """Takes the proposals out of samples.

    They are ``sample.proposals``; of a model that makes none,
    ``pred_instances`` by score, which is said once.
    """

    def __init__(self) -> None:
        self._said = False

    def __call__(self, sample: Mapping) -> Any:
        """Take those of one sample.

        Args:
            sample (Mapping | DetDataSample): output of a model.

        Returns:
            InstanceData | dict: with ``bboxes`` and ``scores``.
        """
        proposals = sample.get('proposals')
        if proposals is not None:
            return proposals
        if not self._said:
            print_log(
                'The model gives no `proposals`: its detections, of whatever '
                'class, are taken by their scores instead.',
                logger='current',
            )
            self._said = True
        return sample.get('pred_instances')
