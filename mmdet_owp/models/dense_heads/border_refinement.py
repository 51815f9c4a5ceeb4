"""Features of the border of a predicted box, and the box they refine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.utils import OptConfigType
from torch import Tensor, nn


class BorderFeatures(nn.Module):
    """Describe each location by the features at its predicted box.

    The feature map of the box's own level is sampled bilinearly at the center
    of the box and at the middles of its four sides, and a 1x1 convolution
    merges the five samples. It is the idea of BorderDet (Qiu et al., 2020)
    and of the star convolution of VarifocalNet (Zhang et al., 2021) with
    operators that every device and ONNX have.

    Args:
        channels (int): channels of the feature map and of the result.
        conv_cfg (dict, optional): config of the convolution.
        norm_cfg (dict, optional): config of its norm.

    Example:
        >>> import torch
        >>> features = BorderFeatures(16)
        >>> features(torch.rand(2, 16, 8, 6), torch.rand(2, 4, 8, 6)).shape
        torch.Size([2, 16, 8, 6])
    """

    NUM_POINTS = 5

    def __init__(
        self,
        channels: int,
        conv_cfg: OptConfigType = None,
        norm_cfg: OptConfigType = None,
    ) -> None:
        super().__init__()
        self.merge = ConvModule(
            self.NUM_POINTS * channels,
            channels,
            1,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
        )

    def forward(self, feature: Tensor, distances: Tensor) -> Tensor:
        """Sample and merge.

        Args:
            feature (Tensor): (batch, channels, H, W).
            distances (Tensor): (batch, 4, H, W), (l, t, r, b) of each
                location's box in strides. They get no gradient.

        Returns:
            Tensor: (batch, channels, H, W).
        """
        batch, _, height, width = feature.shape
        points = border_points(distances.detach().float())
        # In single precision: half would move the points by whole strides.
        samples = F.grid_sample(
            feature.float(),
            points.flatten(1, 2),
            padding_mode='border',
            align_corners=False,
        )
        # The samples of a point follow each other as rows; unflatten() would
        # be traced with a constant height.
        samples = samples.reshape(batch, -1, height, width)
        return self.merge(samples.to(feature.dtype))


def border_points(distances: Tensor) -> Tensor:
    """Return the center of each box and the middles of its sides.

    Args:
        distances (Tensor): (batch, 4, H, W) as for :class:`BorderFeatures`.

    Returns:
        Tensor: (batch, 5, H, W, 2) as (x, y) in the coordinates of
        ``grid_sample``: the map extends from -1 to 1. Order: center, left,
        top, right, bottom.
    """
    height, width = distances.shape[-2:]
    left, top, right, bottom = distances.unbind(1)
    x = torch.arange(width, device=left.device).to(left) + 0.5
    y = torch.arange(height, device=left.device).to(left)[:, None] + 0.5
    center_x, center_y = x + (right - left) / 2, y + (bottom - top) / 2
    xs = torch.stack([center_x, x - left, center_x, x + right, center_x], 1)
    ys = torch.stack([center_y, center_y, y - top, center_y, y + bottom], 1)
    return torch.stack([xs * 2 / width - 1, ys * 2 / height - 1], -1)


def move_sides(distances: Tensor, shares: Tensor) -> Tensor:
    """Move each side of a box outward by a share of the box's size.

    Args:
        distances (Tensor): (batch, 4, H, W), (l, t, r, b) in any unit.
        shares (Tensor): (batch, 4, H, W), of the width for left and right, of
            the height for top and bottom; negative ones move inward.

    Returns:
        Tensor: (batch, 4, H, W) in the unit of ``distances``. As in
        ``FCOSHead`` the location stays in its box.
    """
    first, last = distances.split(2, dim=1)
    size = (first + last).repeat(1, 2, 1, 1)
    return (distances + shares * size).clamp(min=0)
