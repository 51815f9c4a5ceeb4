"""RoI head that ranks proposals by localization quality: OLN-Box."""

from __future__ import annotations

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from torch import Tensor

from mmdet_owp.errors import UserError


@MODELS.register_module()
class OLNRoIHead(StandardRoIHead):
    """Second stage of OLN, for mmdet's ``FasterRCNN``.

    Its ``bbox_head`` is a :class:`Shared2FCBBoxScoreHead`. Each sample gets
    ``proposals``, scored by the geometric mean of the first stage's cue and
    the box score, and with a classifier also the class detections of
    ``StandardRoIHead``, from the same forward pass. Arguments are those of
    ``StandardRoIHead``, without masks.

    ``test_cfg.proposals`` (``nms``, ``max_per_img``) controls the proposals,
    the keys beside it the class detections.
    """

    def init_mask_head(self, *args, **kwargs) -> None:
        """Refuse a mask head: this head predicts no masks."""
        raise UserError('OLNRoIHead predicts no masks: remove mask_head')

    def _bbox_forward(self, x: tuple[Tensor], rois: Tensor) -> dict:
        """Predict from RoIs (num_rois, 5), including ``bbox_score``."""
        levels = x[: self.bbox_roi_extractor.num_inputs]
        bbox_feats = self.bbox_roi_extractor(levels, rois)
        if self.with_shared_head:
            bbox_feats = self.shared_head(bbox_feats)
        cls_score, bbox_pred, bbox_score = self.bbox_head(bbox_feats)
        return dict(
            cls_score=cls_score,
            bbox_pred=bbox_pred,
            bbox_score=bbox_score,
            bbox_feats=bbox_feats,
        )

    def bbox_loss(
        self, x: tuple[Tensor], sampling_results: list[SamplingResult]
    ) -> dict:
        """Compute the losses of sampled RoIs.

        Args:
            x (tuple[Tensor]): feature maps.
            sampling_results (list[SamplingResult]): one per image.

        Returns:
            dict: predictions and, as ``loss_bbox``, a dict of ``loss_bbox``,
            ``loss_bbox_score`` and mmdet's classification losses.
        """
        results = super().bbox_loss(x, sampling_results)
        results['loss_bbox']['loss_bbox_score'] = self.bbox_head.score_loss(
            results['bbox_score'], sampling_results
        )
        return results

    def predict(
        self,
        x: tuple[Tensor],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Predict the proposals and, with a classifier, class detections.

        Args:
            x (tuple[Tensor]): feature maps.
            rpn_results_list (list[InstanceData]): ``bboxes`` (n, 4) as (x1,
                y1, x2, y2), in pixels of the network input, and ``scores``
                (n, ) of the first stage.
            batch_data_samples (list[DetDataSample]): samples with
                ``metainfo``. Each gets ``proposals`` with ``bboxes``,
                ``scores``, descending, and ``labels``, all 0.
            rescale (bool): whether boxes are in pixels of the original image
                instead of the network input.

        Returns:
            list[InstanceData]: class detections of each image, or the
            proposals if there is no classifier.
        """
        if any('proposals' in sample for sample in batch_data_samples):
            raise UserError(
                'the samples hold proposals already, which the detector uses '
                'instead of its first stage: predict on new samples, as '
                'test_step does'
            )
        metas = [sample.metainfo for sample in batch_data_samples]
        num_rois = [len(results) for results in rpn_results_list]
        rois = bbox2roi([results.bboxes for results in rpn_results_list])
        outs = self._bbox_forward(x, rois)
        rois, bbox_preds, bbox_scores = (
            values.split(num_rois)
            for values in (rois, outs['bbox_pred'], outs['bbox_score'])
        )
        rpn_scores = [results.scores for results in rpn_results_list]
        proposals = [
            self.bbox_head.propose(
                *of_image, self.test_cfg.proposals, rescale=rescale
            )
            for of_image in zip(
                rois, rpn_scores, bbox_preds, bbox_scores, metas
            )
        ]
        for sample, of_image in zip(batch_data_samples, proposals):
            sample.proposals = of_image
        if not self.bbox_head.with_cls:
            return proposals
        return self.bbox_head.predict_by_feat(
            rois,
            outs['cls_score'].split(num_rois),
            bbox_preds,
            metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )
