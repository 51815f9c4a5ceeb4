"""Compare the proposals of an ONNX model with those of the detector."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Tuple

import cv2
import numpy as np
import torch
from mmcv.ops import nms
from mmcv.transforms import Compose
from mmdet.models.detectors import SingleStageDetector
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdet_owp.deployment.onnx_export import check_installed
from mmdet_owp.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Boxes (n, 4) as (x1, y1, x2, y2) in pixels of the image, scores (n, ).
Proposals = Tuple[np.ndarray, np.ndarray]  # noqa: UP006 (run by Python 3.8)


def open_model(path: str, threads: int = 1) -> InferenceSession:
    """Open an exported model on the CPU, ``threads`` threads per operator.

    Raises:
        UserError: if onnxruntime is not installed.
    """
    check_installed()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads leave the CPU to other processes.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider']
    )


def read_images(config: Config, paths: Sequence[str]) -> Iterator[np.ndarray]:
    """Read images by the test pipeline of a complete config.

    Yields:
        np.ndarray: (height, width, 3) uint8, resized.

    Raises:
        UserError: if a file is missing or not an image.
    """
    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose(get_test_pipeline_cfg(config))
    for number, path in enumerate(paths):
        if not osp.isfile(path):
            raise UserError(f'{path}: no such image')
        try:
            data = pipeline(dict(img_path=path, img_id=number))
        # mmcv raises these for a damaged and for an empty file.
        except (AssertionError, cv2.error) as error:
            raise UserError(
                f'{path}: not an image that OpenCV can read, or a damaged one'
            ) from error
        yield data['inputs'].permute(1, 2, 0).numpy()


@torch.no_grad()
def propose_eagerly(
    detector: SingleStageDetector, images: np.ndarray
) -> list[Proposals]:
    """Propose boxes with the detector itself.

    Args:
        detector (SingleStageDetector): with an ``OWPFCOSHead``.
        images (np.ndarray): (batch, height, width, 3) uint8.

    Returns:
        list[Proposals]: per image.
    """
    size = images.shape[1:3]
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    samples = detector.test_step(
        dict(
            inputs=list(torch.from_numpy(images).permute(0, 3, 1, 2)),
            data_samples=[DetDataSample(metainfo=meta) for _ in images],
        )
    )
    found = [sample.proposals.numpy() for sample in samples]
    return [(proposals.bboxes, proposals.scores) for proposals in found]


def propose_by_onnx(
    session: InferenceSession, images: np.ndarray, cfg: dict
) -> list[Proposals]:
    """Propose boxes with an exported model.

    Args:
        session (InferenceSession): as :func:`open_model` returns it.
        images (np.ndarray): (batch, height, width, 3) uint8.
        cfg (dict): ``nms`` and ``max_per_img``, for a model without NMS.

    Returns:
        list[Proposals]: as :func:`propose_eagerly`.
    """
    boxes, scores, *image = session.run(None, dict(images=images))
    if image:
        return [
            (boxes[image[0] == i], scores[image[0] == i])
            for i in range(len(images))
        ]
    proposals = []
    for box, score in zip(boxes, scores):
        box, score = box[score >= 0], score[score >= 0]
        _, kept = nms(box, score, cfg['nms']['iou_threshold'])
        kept = kept[: cfg['max_per_img']]
        proposals.append((box[kept], score[kept]))
    return proposals


def largest_difference(
    one: Proposals, other: Proposals
) -> tuple[float, float]:
    """Compare two sets of proposals of an image, in any order.

    Returns:
        tuple[float, float]: the largest difference of a coordinate, in
        pixels, and of a score between a proposal and the most similar one of
        the other set. Infinite if only one set is empty.
    """
    if not len(one[0]) or not len(other[0]):
        worst = 0.0 if len(one[0]) == len(other[0]) else float('inf')
        return worst, worst
    box = np.abs(one[0][:, None] - other[0]).max(2)
    score = np.abs(one[1][:, None] - other[1])
    # Similar weights: scores are in [0, 1], coordinates in [0, 1000].
    difference = box / 1000 + score
    rows, columns = np.arange(len(box)), np.arange(len(box[0]))
    pairs = (
        np.concatenate([rows, difference.argmin(0)]),
        np.concatenate([difference.argmin(1), columns]),
    )
    return float(box[pairs].max()), float(score[pairs].max())
