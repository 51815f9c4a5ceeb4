"""Writing proposals for a second stage."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.evaluation import DumpProposals
from mmdet.registry import METRICS

from mmdet_owp.evaluation.sample_proposals import proposals_of


@METRICS.register_module()
class DumpClassAgnosticProposals(DumpProposals):
    """Writes ``sample.proposals`` in the format that ``LoadProposals`` reads.

    mmdet's ``DumpProposals`` writes ``pred_instances``, which are class
    detections if the model classifies. This class writes them only where a
    sample has no ``proposals``. It takes the arguments of ``DumpProposals``.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the proposals of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model, boxes in
                pixels of the image file.
        """
        super().process(
            data_batch,
            [
                dict(
                    img_path=sample['img_path'],
                    pred_instances=proposals_of(sample),
                )
                for sample in data_samples
            ],
        )
