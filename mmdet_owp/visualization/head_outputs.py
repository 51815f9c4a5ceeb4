"""What a head says of each location, from the pass that is made anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead, objectness

_NAMES = dict(centerness='centerness', iou='IoU')


class HeadOutputs:
    """Keeps what an ``OWPFCOSHead`` puts out while this is entered.

    Args:
        model (nn.Module): a detector in test mode.

    Attributes:
        levels (tuple): class logits (or None), distances in pixels and cue
            logits of the last pass, each a list over levels of (batch, n, H,
            W).

    Raises:
        ValueError: in one line, if the detector has no such head.
    """

    def __init__(self, model: nn.Module) -> None:
        self.head = getattr(model, 'bbox_head', None)
        if not isinstance(self.head, OWPFCOSHead):
            raise ValueError(
                f'{type(model).__name__} has no objectness to draw: its '
                'bbox_head must be an OWPFCOSHead, and is of '
                f'{type(self.head).__name__}'
            )

    def __enter__(self) -> HeadOutputs:
        self._handle = self.head.register_forward_hook(self._keep)
        return self

    def __exit__(self, *_) -> None:
        self._handle.remove()

    def _keep(self, head: nn.Module, inputs: tuple, outputs: tuple) -> None:
        self.levels = outputs

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Sizes (height, width) of the levels, in locations."""
        return [level.shape[-2:] for level in self.levels[1]]

    def boxes(self) -> Tensor:
        """Predicted boxes of the only image.

        Returns:
            Tensor: (num_locations, 4) as (x1, y1, x2, y2) in pixels of the
            network input, level by level, in a level row by row.
        """
        distances = torch.cat([d[0].flatten(1).T for d in self.levels[1]])
        points = torch.cat(
            self.head.prior_generator.grid_priors(
                self.sizes, device=distances.device
            )
        )
        return self.head.bbox_coder.decode(points, distances)

    def objectness(self) -> list[Tensor]:
        """Mean of the cues, over levels, (batch, H, W) in [0, 1]."""
        return [objectness(level)[:, 0] for level in self.levels[2]]

    def _rankings(self) -> dict[str, tuple[str, list[Tensor]]]:
        """By name: ``proposal_score`` and cue logits to rank by."""
        cues = self.levels[2]
        names = [_NAMES[cue] for cue in self.head.objectness]
        rankings = {
            name: ('objectness', [level[:, i : i + 1] for level in cues])
            for i, name in enumerate(names)
        }
        mean = names[0]
        if len(names) > 1:
            mean = f'√({" × ".join(names)})'
            rankings[mean] = 'objectness', cues
        if self.head.with_cls:
            rankings = {f'class × {mean}': ('cls', cues), **rankings}
        return rankings

    def scores(self) -> dict[str, list[Tensor]]:
        """Scores of all locations, of each kind that one can rank by.

        Returns:
            dict[str, list[Tensor]]: with a classifier the best class score
            times objectness; ``'centerness'`` and ``'IoU'``, as far as they
            are learnt; their mean, where both are. Over levels, (batch, H,
            W) in [0, 1].
        """
        scores = {}
        for name, (kind, cues) in self._rankings().items():
            scores[name] = [objectness(level)[:, 0] for level in cues]
            if kind == 'cls':
                scores[name] = [
                    score * logits.float().sigmoid().amax(1)
                    for score, logits in zip(scores[name], self.levels[0])
                ]
        return scores

    def proposals(self, sample: DetDataSample) -> dict[str, InstanceData]:
        """Proposals of the only image, ranked by each of :meth:`scores`.

        Args:
            sample (DetDataSample): of the image.

        Returns:
            dict[str, InstanceData]: as :meth:`OWPFCOSHead.predict` makes
            them, in pixels of the image file.
        """
        head, found = self.head, {}
        usual = head.proposal_score
        for name, (head.proposal_score, cues) in self._rankings().items():
            (found[name],) = head.propose_by_feat(
                *self.levels[:2], cues, [sample.metainfo], rescale=True
            )
        head.proposal_score = usual
        return found


def score_map(
    levels: Sequence[Tensor],
    strides: Sequence[int],
    sample: DetDataSample,
    index: int = 0,
    mode: str = 'bilinear',
) -> np.ndarray:
    """Spread scores over the image: the highest of any level at each pixel.

    Args:
        levels (Sequence[Tensor]): (batch, H, W) a level.
        strides (Sequence[int]): pixels between locations, per level.
        sample (DetDataSample): with ``img_shape`` and ``ori_shape``.
        index (int): of the image in the batch.
        mode (str): ``'bilinear'``, or ``'nearest'``, which makes a square as
            wide as the stride of each location.

    Returns:
        ndarray: (height, width) of the image file.
    """
    height, width = sample.img_shape[:2]  # without padding
    maps = [
        F.interpolate(
            level[None, index, None].float(),
            scale_factor=float(stride),
            mode=mode,
        )[..., :height, :width]
        for level, stride in zip(levels, strides)
    ]
    heat = torch.stack(maps).amax(0)
    heat = F.interpolate(heat, sample.ori_shape[:2], mode=mode)
    return heat[0, 0].cpu().numpy()
