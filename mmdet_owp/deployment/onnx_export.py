"""From pixels to proposals as one ONNX graph, for any size of image."""

from __future__ import annotations

import importlib.util
import os
import os.path as osp
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.ops import nms
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmdet_owp.engine.checkpoint import load_checkpoint, load_weights
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead

# The least that has all operators; runtimes of 2022 and later read it.
OPSET = 17
# Given to boxes that are none, where eager proposals leave them out.
NO_BOX = -1.0


def check_installed() -> None:
    """Check that exported models can be written and run.

    Raises:
        ValueError: in one line, naming what is not installed.
    """
    missing = [
        name
        for name in ('onnx', 'onnxruntime')
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ValueError(
            f'{" and ".join(missing)}: not installed; run `pip '
            'install onnx onnxruntime`'
        )


def load_detector(
    config: Config, checkpoint: str | None, device: str = 'cpu'
) -> SingleStageDetector:
    """Build the detector of a config with trained weights, in eval mode.

    Args:
        config (Config): a whole config.
        checkpoint (str, optional): a file, in which nothing is executed.
            None leaves the weights random.
        device (str): to build it on.

    Returns:
        SingleStageDetector: with an :class:`OWPFCOSHead`.

    Raises:
        FileNotFoundError: in one line, if there is no such checkpoint.
        ValueError: likewise, if it is of another config, or the config is
            not of such a detector.
    """
    # Registers what the names in the config mean.
    import mmdet_owp.register  # noqa: F401

    head = config.model.get('bbox_head', {}).get('type')
    if head != 'OWPFCOSHead':
        raise ValueError(
            f'{config.filename}: its head is {head}, of which no proposals '
            'are exported; take a config with an OWPFCOSHead, such as '
            'configs/owp/fcos_iou_cs_is_coco.py'
        )
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
    if checkpoint is not None:
        load_weights(model, load_checkpoint(checkpoint), checkpoint)
    return model.to(device).eval()


class ProposalNetwork(nn.Module):
    """A detector's way from pixels to proposals, which can be traced.

    Args:
        detector (SingleStageDetector): with an :class:`OWPFCOSHead`.
        with_nms (bool): whether to suppress and cut; else all candidates are
            given.

    Raises:
        ValueError: if ``test_cfg`` asks for a suppression that ONNX has not.
    """

    def __init__(self, detector: SingleStageDetector, with_nms: bool) -> None:
        super().__init__()
        self.detector = detector
        self.with_nms = with_nms
        head: OWPFCOSHead = detector.bbox_head
        self.cfg = head.proposal_cfg
        # What makes no difference where all boxes are of one class.
        options = set(self.cfg.nms) - {'split_thr', 'class_agnostic'}
        if with_nms and (
            options != {'type', 'iou_threshold'} or self.cfg.nms.type != 'nms'
        ):
            raise ValueError(
                f'NMS with {dict(self.cfg.nms)} cannot be exported, only '
                "dict(type='nms', iou_threshold=...): leave it outside (--nms "
                'outside)'
            )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Propose boxes.

        Args:
            images (Tensor): (batch, height, width, 3) uint8, the channels in
                the order that the images were trained in: BGR.

        Returns:
            tuple[Tensor, ...]: with NMS ``boxes`` (n, 4) as (x1, y1, x2, y2)
            in pixels of the images, ``scores`` (n, ) and ``image`` (n, ), the
            number of each box's image, sorted by image and then by falling
            score. Else ``boxes`` (batch, n, 4) and ``scores`` (batch, n),
            falling; boxes that are too small end the list, with score -1.
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
        """What the detector's ``data_preprocessor`` does, for a traced size.

        Args:
            images (Tensor): (batch, height, width, 3) uint8.

        Returns:
            Tensor: (batch, 3, padded height, padded width), normalised.
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
        """Suppress and cut the candidates of each image.

        Args:
            boxes (Tensor): (batch, n, 4).
            scores (Tensor): (batch, n).

        Returns:
            tuple[Tensor, Tensor, Tensor]: as :meth:`forward`.
        """
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
    """The ONNX operator of this name, and mmcv's NMS where it isn't traced."""

    @staticmethod
    def forward(
        ctx: object,
        boxes: Tensor,
        scores: Tensor,
        max_num: int,
        iou_threshold: float,
    ) -> Tensor:
        """Suppress boxes of one class.

        Args:
            ctx (object): unused.
            boxes (Tensor): (batch, n, 4) as (x1, y1, x2, y2).
            scores (Tensor): (batch, 1, n).
            max_num (int): boxes an image to keep at most.
            iou_threshold (float): from which on boxes are suppressed.

        Returns:
            Tensor: (kept, 3) number of the image, of the class, which is 0,
            and of the box; by image and falling score.
        """
        rows = []
        for i, (box, score) in enumerate(zip(boxes, scores[:, 0])):
            valid = (score > NO_BOX).nonzero().squeeze(1)
            _, kept = nms(box[valid], score[valid], iou_threshold)
            kept = valid[kept[:max_num]]
            rows.append(
                torch.stack(
                    [torch.full_like(kept, i), torch.zeros_like(kept), kept], 1
                )
            )
        return torch.cat(rows)

    @staticmethod
    def symbolic(
        g: torch.Graph,
        boxes: torch.Value,
        scores: torch.Value,
        max_num: int,
        iou_threshold: float,
    ) -> torch.Value:
        """Stand for it in a graph; arguments as in :meth:`forward`."""
        numbers = (
            torch.tensor([max_num]),
            torch.tensor([iou_threshold]),
            torch.tensor([NO_BOX / 2]),
        )
        return g.op(
            'NonMaxSuppression',
            boxes,
            scores,
            *(g.op('Constant', value_t=number) for number in numbers),
        )


def export_onnx(
    detector: SingleStageDetector, path: str, with_nms: bool = True
) -> None:
    """Write a detector's proposals as an ONNX model.

    The number of images, their height and width are left open; inputs and
    outputs are those of :class:`ProposalNetwork`.

    Args:
        detector (SingleStageDetector): as :func:`load_detector` returns it.
        path (str): of the file to write; its folder is made.
        with_nms (bool): whether to suppress inside the graph.

    Raises:
        ValueError: in one line, if ``onnx`` is not installed or ``test_cfg``
            asks for a suppression that ONNX has not.
    """
    check_installed()
    network = ProposalNetwork(detector, with_nms).eval()
    names = ['boxes', 'scores']
    axes = {name: {0: 'batch', 1: 'candidates'} for name in names}
    if with_nms:
        names.append('image')
        axes = {name: {0: 'proposals'} for name in names}
    # Two images whose sides are no multiples of a stride: nothing of that
    # size may stay in the graph.
    device = next(detector.parameters()).device
    images = np.random.default_rng(0).integers(0, 256, (2, 70, 100, 3))
    images = torch.from_numpy(images.astype(np.uint8)).to(device)
    os.makedirs(osp.dirname(path) or '.', exist_ok=True)
    trace(
        network,
        (images,),
        path,
        input_names=['images'],
        output_names=names,
        dynamic_axes=dict(axes, images={0: 'batch', 1: 'height', 2: 'width'}),
    )


def trace(
    network: nn.Module, inputs: tuple[Tensor, ...], path: str, **names
) -> None:
    """Write what a network does to its inputs as an ONNX model.

    Args:
        network (nn.Module): in eval mode.
        inputs (tuple[Tensor, ...]): of any of the sizes left open.
        path (str): of the file to write.
        **names: ``input_names``, ``output_names`` and ``dynamic_axes`` of
            :func:`torch.onnx.export`.
    """
    import onnx

    with warnings.catch_warnings(), torch.no_grad():
        # Of checks in mmdet and mmcv whose outcome no size changes, and of
        # the exporter's age: the newer one wants a further package, and
        # sizes that are multiples of the strides.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network, inputs, path, opset_version=OPSET, dynamo=False, **names
        )
    onnx.checker.check_model(path, full_check=True)
