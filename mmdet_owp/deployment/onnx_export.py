"""Export a detector from pixels to proposals as one ONNX graph."""

from __future__ import annotations

import importlib.util
import inspect
import os
import os.path as osp
import warnings

import torch
import torch.nn.functional as F
from mmcv.ops import nms
from mmdet.models.detectors import SingleStageDetector
from torch import Tensor, nn

from mmdet_owp.engine.head_outputs import objectness_head
from mmdet_owp.errors import UserError, writing

# The lowest with all operators; runtimes since 2022 read it.
OPSET = 17
# Score of invalid boxes, which the detector itself drops.
NO_BOX = -1.0


def check_installed() -> None:
    """Check that ONNX models can be written and run.

    Raises:
        UserError: if a package is not installed.
    """
    missing = [
        name
        for name in ('onnx', 'onnxruntime')
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(
            f'{" and ".join(missing)}: not installed; run `pip '
            'install onnx onnxruntime`'
        )


class ProposalNetwork(nn.Module):
    """A detector from pixels to proposals, in a form that can be traced.

    Args:
        detector (SingleStageDetector): with an :class:`OWPFCOSHead`.
        with_nms (bool): whether to include NMS and ``max_per_img``; otherwise
            all candidates are returned.

    Raises:
        UserError: if the detector has another head, or its ``test_cfg`` an
            NMS that ONNX lacks.
    """

    def __init__(self, detector: SingleStageDetector, with_nms: bool) -> None:
        super().__init__()
        self.detector = detector
        self.with_nms = with_nms
        self.cfg = objectness_head(detector).proposal_cfg
        # The options dropped here matter for several classes only.
        options = set(self.cfg.nms) - {'split_thr', 'class_agnostic'}
        if with_nms and (
            options != {'type', 'iou_threshold'} or self.cfg.nms.type != 'nms'
        ):
            raise UserError(
                f'NMS with {dict(self.cfg.nms)} cannot be exported, only '
                "dict(type='nms', iou_threshold=...); leave it outside "
                '(--nms outside)'
            )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Propose boxes.

        Args:
            images (Tensor): (batch, height, width, 3) uint8, BGR.

        Returns:
            tuple[Tensor, ...]: with NMS ``boxes`` (n, 4) as (x1, y1, x2, y2)
            in pixels of the images, ``scores`` (n, ) and ``image`` (n, ), the
            index of each box's image, sorted by image and descending score.
            Without NMS ``boxes`` (batch, n, 4) and ``scores`` (batch, n),
            descending; boxes that are too small come last, with score -1.
        """
        height, width = images.shape[1], images.shape[2]
        features = self.detector.extract_feat(self.preprocess(images))
        head = self.detector.bbox_head
        boxes, scores = head.candidates_by_feat(
            *head(features), nms_pre=self.cfg.get('nms_pre', -1)
        )
        sides = [torch.as_tensor(side) for side in (width, height)]
        limit = torch.stack(sides * 2).to(boxes)
        boxes = torch.minimum(boxes.clamp(min=0), limit)
        if self.cfg.get('min_bbox_size', -1) >= 0:
            shorter = (boxes[..., 2:] - boxes[..., :2]).amin(-1)
            scores = torch.where(
                shorter > self.cfg.min_bbox_size,
                scores,
                scores.new_tensor(NO_BOX),
            )
        if self.with_nms:
            return self.suppress(boxes, scores)
        scores, order = scores.sort(1, descending=True)
        return boxes.gather(1, order[..., None].expand(-1, -1, 4)), scores

    def preprocess(self, images: Tensor) -> Tensor:
        """Preprocess images of any size, as ``data_preprocessor`` does.

        Args:
            images (Tensor): as for :meth:`forward`.

        Returns:
            Tensor: (batch, 3, padded height, padded width), normalized.
        """
        settings = self.detector.data_preprocessor
        inputs = images.permute(0, 3, 1, 2)
        if settings._channel_conversion:
            inputs = inputs[:, [2, 1, 0]]
        inputs = inputs.float()
        if settings._enable_normalize:
            inputs = (inputs - settings.mean) / settings.std
        divisor = settings.pad_size_divisor
        lower, right = (
            (side + divisor - 1) // divisor * divisor - side
            for side in images.shape[1:3]
        )
        return F.pad(inputs, (0, right, 0, lower), value=settings.pad_value)

    def suppress(
        self, boxes: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Apply NMS and ``max_per_img``, from outputs without to with NMS."""
        kept = NonMaxSuppression.apply(
            boxes,
            scores.unsqueeze(1),
            self.cfg.max_per_img,
            self.cfg.nms.iou_threshold,
        )
        image = kept[:, 0]
        index = image * scores.shape[1] + kept[:, 2]
        return (
            boxes.flatten(0, 1).index_select(0, index),
            scores.flatten().index_select(0, index),
            image,
        )


class NonMaxSuppression(torch.autograd.Function):
    """The ONNX operator of this name; mmcv's NMS outside of tracing."""

    @staticmethod
    def forward(
        ctx: object,
        boxes: Tensor,
        scores: Tensor,
        max_num: int,
        iou_threshold: float,
    ) -> Tensor:
        """Suppress boxes of one class, (batch, n, 4) as (x1, y1, x2, y2).

        ``scores`` are (batch, 1, n); ``max_num`` boxes are kept per image.

        Returns:
            Tensor: (num_kept, 3), indices of image, class (0) and box, sorted
            by image and descending score.
        """
        rows = []
        for i, (box, score) in enumerate(zip(boxes, scores[:, 0])):
            valid = (score > NO_BOX).nonzero()
            _, kept = nms(box[valid[:, 0]], score[valid[:, 0]], iou_threshold)
            rows.append(F.pad(valid[kept[:max_num]], (2, 0)))
            rows[-1][:, 0] = i
        return torch.cat(rows)

    @staticmethod
    def symbolic(
        g: torch.Graph,
        boxes: torch.Value,
        scores: torch.Value,
        max_num: int,
        iou_threshold: float,
    ) -> torch.Value:
        """Add the operator to a graph; arguments as in :meth:`forward`."""
        constants = [
            g.op('Constant', value_t=torch.tensor([number]))
            for number in (max_num, iou_threshold, NO_BOX / 2)
        ]
        return g.op('NonMaxSuppression', boxes, scores, *constants)


def export_onnx(
    detector: SingleStageDetector, path: str, with_nms: bool = True
) -> None:
    """Write a detector as an ONNX model that proposes boxes.

    Batch size, height and width are dynamic; inputs and outputs are those of
    :class:`ProposalNetwork`.

    Args:
        detector (SingleStageDetector): in eval mode.
        path (str): of the file to write; its folder is created.
        with_nms (bool): whether NMS is part of the graph.

    Raises:
        UserError: as :class:`ProposalNetwork`, or if ``onnx`` is not
            installed or the file cannot be written.
    """
    check_installed()
    network = ProposalNetwork(detector, with_nms).eval()
    names = ['boxes', 'scores']
    axes = {name: {0: 'batch', 1: 'candidates'} for name in names}
    if with_nms:
        names.append('image')
        axes = {name: {0: 'proposals'} for name in names}
    # Sides that are no multiples of a stride: no size may become a constant.
    device = next(detector.parameters()).device
    images = torch.randint(256, (2, 70, 100, 3), device=device).byte()
    axes['images'] = {0: 'batch', 1: 'height', 2: 'width'}
    with writing(path):
        os.makedirs(osp.dirname(path) or '.', exist_ok=True)
        trace(
            network,
            (images,),
            path,
            input_names=['images'],
            output_names=names,
            dynamic_axes=axes,
        )


def trace(
    network: nn.Module, inputs: tuple[Tensor, ...], path: str, **names
) -> None:
    """Trace a network in eval mode and write it as an ONNX model.

    ``names`` are ``input_names``, ``output_names`` and ``dynamic_axes`` of
    :func:`torch.onnx.export`.
    """
    import onnx

    with warnings.catch_warnings(), torch.no_grad():
        # They concern checks in mmdet and mmcv that do not depend on the
        # size, and this exporter, which is deprecated: the new one needs
        # another package, and sizes that are multiples of the strides.
        warnings.simplefilter('ignore')
        # PyTorch before 2.5 has this exporter only.
        if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
            names['dynamo'] = False
        torch.onnx.export(network, inputs, path, opset_version=OPSET, **names)
    onnx.checker.check_model(path, full_check=True)
