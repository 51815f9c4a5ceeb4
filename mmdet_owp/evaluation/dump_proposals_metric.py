"""Writing proposals for a second stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmdet.evaluation import DumpProposals
from mmdet.registry import METRICS

from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.sample_proposals import proposals_of


def check_proposal_names(
    paths: Iterable[str], seen: dict[str, str] | None = None
) -> None:
    """Check that a proposal file of mmdet can hold all images.

    It knows an image by the last folder and the name of its file.

    Args:
        paths (Iterable[str]): of image files.
        seen (dict[str, str], optional): paths by name, of earlier calls.

    Raises:
        UserError: if two images have the same name.
    """
    seen = {} if seen is None else seen
    for path in paths:
        name = '/'.join(path.replace('\\', '/').split('/')[-2:])
        if seen.setdefault(name, path) != path:
            raise UserError(
                f'{seen[name]} and {path}: a proposal file names images by '
                'their last folder and file, which are the same; rename a '
                'folder, on the disk and in the annotation file'
            )


@METRICS.register_module()
class DumpClassAgnosticProposals(DumpProposals):
    """Writes ``sample.proposals`` in the format that ``LoadProposals`` reads.

    mmdet's ``DumpProposals`` writes ``pred_instances``, which are class
    detections if the model classifies. This class writes them only where a
    sample has no ``proposals``. It takes the arguments of ``DumpProposals``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._paths: dict[str, str] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the proposals of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model, boxes in
                pixels of the image file.

        Raises:
            UserError: as :func:`check_proposal_names`.
        """
        paths = [sample['img_path'] for sample in data_samples]
        check_proposal_names(paths, self._paths)
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
