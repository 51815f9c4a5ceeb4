"""Box head that also scores its input proposals."""

from __future__ import annotations

import torch
from mmcv.ops import batched_nms
from mmdet.models.roi_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps, scale_boxes
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig, reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_owp.models.losses.quality_loss import quality_loss


@MODELS.register_module()
class Shared2FCBBoxScoreHead(Shared2FCBBoxHead):
    """Second stage of OLN: class-agnostic boxes and their scores.

    Kim et al., *Learning Open-World Object Proposals without Learning to
    Classify*, Sec. III. Two shared fully connected layers predict
    class-agnostic box deltas and a *box score*. Its target is the IoU of the
    input proposal (not of the refined box) and its object. It is trained on
    positive RoIs only; as in the released code, its loss is divided by the
    number of all RoIs.

    Args:
        num_classes (int): number of classes of the data set, also without a
            classifier: larger labels mark background.
        loss_cls (dict, optional): classification loss. None: no classifier.
        loss_bbox (dict): loss of the box deltas.
        loss_bbox_score (dict): loss of the box score, of its logit where the
            loss has ``use_sigmoid=True``, else of its sigmoid.
        init_cfg (dict | list[dict], optional): initialization. None: that of
            ``Shared2FCBBoxHead``; the box score like the classes.
        **kwargs: those of mmdet's ``Shared2FCBBoxHead``, without ``with_cls``
            and ``reg_class_agnostic``.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        loss_cls: OptConfigType = None,
        loss_bbox: ConfigType = dict(type='L1Loss', loss_weight=1.0),
        loss_bbox_score: ConfigType = dict(type='L1Loss', loss_weight=1.0),
        init_cfg: OptMultiConfig = None,
        **kwargs,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            with_cls=loss_cls is not None,
            reg_class_agnostic=True,
            # The parent requires a loss; without a classifier it is unused.
            loss_cls=loss_cls or dict(type='CrossEntropyLoss'),
            loss_bbox=loss_bbox,
            init_cfg=init_cfg,
            **kwargs,
        )
        self.loss_bbox_score = MODELS.build(loss_bbox_score)
        self.fc_bbox_score = nn.Linear(self.shared_out_channels, 1)
        if init_cfg is None:
            self.init_cfg.append(
                dict(
                    type='Normal',
                    std=0.01,
                    override=dict(name='fc_bbox_score'),
                )
            )

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Predict from the features of RoIs.

        Args:
            x (Tensor): (num_rois, in_channels, h, w).

        Returns:
            tuple: class logits (num_rois, num_classes + 1) or None; box
            deltas (num_rois, 4); box score logits (num_rois, ).
        """
        if self.with_avg_pool:
            x = self.avg_pool(x)
        x = x.flatten(1)
        for fc in self.shared_fcs:
            x = self.relu(fc(x))
        return (
            self.fc_cls(x) if self.with_cls else None,
            self.fc_reg(x),
            self.fc_bbox_score(x).squeeze(1),
        )

    def score_loss(
        self, bbox_scores: Tensor, sampling_results: list[SamplingResult]
    ) -> Tensor:
        """Compute the loss of the box score.

        Args:
            bbox_scores (Tensor): (num_rois, ) logits, per image first the
                positive, then the negative RoIs.
            sampling_results (list[SamplingResult]): one per image.
        """
        num_rois = [len(result.priors) for result in sampling_results]
        positive = [
            scores[: len(result.pos_priors)]
            for scores, result in zip(
                bbox_scores.split(num_rois), sampling_results
            )
        ]
        targets = bbox_overlaps(
            torch.cat([result.pos_priors for result in sampling_results]),
            torch.cat([result.pos_gt_bboxes for result in sampling_results]),
            is_aligned=True,
        )
        avg_factor = reduce_mean(bbox_scores.new_tensor(sum(num_rois)))
        return quality_loss(
            self.loss_bbox_score,
            torch.cat(positive),
            targets,
            avg_factor=avg_factor.clamp(min=1),
        )

    def propose(
        self,
        roi: Tensor,
        rpn_score: Tensor,
        bbox_pred: Tensor,
        bbox_score: Tensor,
        img_meta: dict,
        cfg: ConfigType,
        rescale: bool = False,
    ) -> InstanceData:
        """Return the class-agnostic proposals of an image.

        Their score is the geometric mean of both stages' scores.

        Args:
            roi (Tensor): (num_rois, 5) image index and (x1, y1, x2, y2).
            rpn_score (Tensor): (num_rois, ) scores of the first stage, from
                0 to 1.
            bbox_pred (Tensor): (num_rois, 4) box deltas.
            bbox_score (Tensor): (num_rois, ) box score logits.
            img_meta (dict): ``img_shape`` and, to rescale, ``scale_factor``.
            cfg (dict): ``nms`` and ``max_per_img``.
            rescale (bool): whether boxes are in pixels of the original image
                instead of the network input.

        Returns:
            InstanceData: ``bboxes`` (n, 4) as (x1, y1, x2, y2), ``scores``
            (n, ), descending, and ``labels``, all 0.
        """
        bboxes = self.bbox_coder.decode(
            roi[:, 1:], bbox_pred, max_shape=img_meta['img_shape']
        )
        if rescale:
            bboxes = scale_boxes(
                bboxes, [1 / s for s in img_meta['scale_factor']]
            )
        scores = (rpn_score * bbox_score.float().sigmoid()).sqrt()
        labels = torch.zeros_like(scores, dtype=torch.long)
        # Without an offset per class, for which it needs at least one box.
        nms = dict(cfg['nms'], class_agnostic=True)
        kept, inds = batched_nms(bboxes.float(), scores, labels, nms)
        inds = inds[: cfg['max_per_img']]
        return InstanceData(
            bboxes=bboxes[inds],
            scores=kept[: len(inds), 4],
            labels=labels[inds],
        )
