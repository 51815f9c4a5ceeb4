"""Writing proposals for a second stage."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.evaluation import DumpProposals
from mmdet.registry import METRICS


@METRICS.register_module()
class DumpClassAgnosticProposals(DumpProposals):
    """Writes ``sample.proposals`` in the format that ``LoadProposals`` reads.

    mmdet's ``DumpProposals`` writes ``pred_instances``: of a detector that
    classifies the few class detections. Those are written here only if a
    sample has no ``proposals``. Arguments are those of ``DumpProposals``.
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
                    pred_instances=sample.get(
                        'proposals', sample['pred_instances']
                    ),
                )
                for sample in data_samples
            ],
        )
