"""Images in, proposals out."""

from __future__ import annotations

import collections
import contextlib
import copy
import glob
import itertools
import logging
import os
import os.path as osp
import queue
import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, NamedTuple, Union

import mmcv
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import nn
from tqdm import tqdm

from mmdet_owp.apis.default_model import default_model
from mmdet_owp.apis.inputs import find_images
from mmdet_owp.apis.ranked_boxes import draw_ranked_boxes
from mmdet_owp.cores import num_cores
from mmdet_owp.datasets.image_files import has_float_pixels
from mmdet_owp.engine.checkpoint import RefusedCheckpointError
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.engine.launch import read_config
from mmdet_owp.engine.multi_view import views_pipeline
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.sample_proposals import proposals_of
from mmdet_owp.models.test_time_augs.proposal_tta import ProposalTTAModel

ImageType = Union[str, os.PathLike, np.ndarray]
InputsType = Union[ImageType, Iterable[ImageType]]


class Unreadable(NamedTuple):
    """An input without a prediction.

    Attributes:
        index (int): its position in the inputs, from 0.
        name (str): its path, or ``'array 3'``.
        reason (str): why, on one line.
    """

    index: int  # type: ignore[assignment]  # tuple.index
    name: str
    reason: str


class ProposalInferencer(DetInferencer):
    """Propose objects on images, with any detector of this package or mmdet.

    It is used as mmdet's ``DetInferencer``, except that

    - without config and checkpoint it uses the model in the package; no
      config is read from a checkpoint, and nothing in it is executed;
    - an image that cannot be read is skipped and listed in ``unreadable``;
    - :meth:`stream` keeps no prediction in memory.

    Proposals are ``sample.proposals``; for a detector without them, its class
    detections ranked by score. Boxes are in pixels of the image as loaded,
    which is upright if its EXIF data give an orientation.

    Args:
        config (str | Config, optional): a config or its path. None, like
            ``checkpoint``: the model in the package.
        checkpoint (str, optional): a path or URL of weights trained with that
            config.
        device (str, optional): such as ``'cuda:0'``. None: the best there is.
        top_k (int, optional): maximum number of proposals per image. None: as
            many as the config keeps.
        score_thr (float): minimum score of proposals and detections.
        nms (float, optional): IoU threshold of the NMS, instead of the
            config's.
        scales (Sequence[int], optional): sizes of which the predictions are
            merged: the smaller number of the ``scale`` of ``Resize`` in the
            test pipeline, the other one grows alike. None: ``proposal_scales``
            of the config, else the test pipeline as it is.
        flip (bool): whether to merge the predictions for the mirror image,
            too.
        trust (bool): let the checkpoint, a local file, call any function
            while it is loaded.
        show_progress (bool): whether calls show a progress bar.

    Attributes:
        unreadable (list[Unreadable]): inputs that the last call or stream
            skipped.

    Raises:
        UserError: if config or checkpoint is missing, the checkpoint is
            damaged, refused or from another config, the config has no NMS to
            set, or there is no such device.

    With the model and the data of ``tools/quickstart.sh``::

        inferencer = ProposalInferencer(
            'configs/shapes/fcos_iou_cs_is_shapes.py',
            'work_dirs/quickstart/fcos_iou_cs_is_shapes/epoch_3.pth',
            device='cpu', top_k=100)
        for sample in inferencer.stream('data/shapes/val'):
            best = sample.proposals.bboxes[0]  # x1, y1, x2, y2
            print(sample.img_path, best, sample.proposals.scores[0])
        image = np.zeros((240, 320, 3), np.uint8)  # BGR
        result = inferencer(image)['predictions'][0]  # bboxes, scores, ...
    """

    def __init__(
        self,
        config: str | Config | None = None,
        checkpoint: str | None = None,
        device: str | None = None,
        *,
        top_k: int | None = None,
        score_thr: float = 0.0,
        nms: float | None = None,
        scales: Sequence[int] | None = None,
        flip: bool = False,
        trust: bool = False,
        show_progress: bool = True,
    ) -> None:
        if config is None and checkpoint is None:
            config, checkpoint = default_model()
        if config is None or checkpoint is None:
            raise UserError(
                'give both a config and its checkpoint, or neither for the '
                'model in the package'
            )
        if isinstance(config, str):
            config = read_config(config)
        config = copy.deepcopy(config)
        if 'test_dataloader' not in config:
            raise UserError(
                f'{config.filename}: has no test_dataloader, whose pipeline '
                'prepares the images'
            )
        if nms is not None:
            _set_nms(config, nms)
        self.top_k = top_k
        self.score_thr = score_thr
        self.unreadable = []
        scales = scales or config.get('proposal_scales') or ()
        self._merges_views = bool(scales or flip)
        if self._merges_views:
            _set_views(config, scales, flip, nms)
        self._trust = trust
        self._fallback_logged = False
        device = get_device() if device is None else device
        # On a CPU, predicting takes all cores and reading little time.
        on_cuda = str(device).startswith('cuda')
        self._num_readers = min(8, num_cores()) if on_cuda else 1
        super().__init__(
            config,
            checkpoint,
            device,
            scope=config.get('default_scope', 'mmdet'),
            show_progress=show_progress,
        )

    def _init_model(self, cfg: Config, weights: str, device: str) -> nn.Module:
        """Build the model and load all its weights, safely."""
        try:
            model = load_detector(cfg, weights, device, self._trust)
        except RefusedCheckpointError as error:
            raise RefusedCheckpointError(
                f'{error}; --trust (trust=True) loads it and executes '
                'what it carries'
            ) from error
        self.classes = tuple(model.dataset_meta['classes'])
        if self._merges_views:
            return ProposalTTAModel(cfg.tta_model.tta_cfg, module=model).eval()
        return model

    def _init_collate(self, cfg: Config) -> Callable:
        """Return the function that detectors need, without a warning."""
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """Return None: :meth:`visualize` needs no visualizer of mmengine."""

    def _inputs_to_list(self, inputs: InputsType) -> Iterable[ImageType]:
        """Return the images, those in a folder or of a pattern too."""
        if isinstance(inputs, os.PathLike):
            inputs = os.fspath(inputs)
        if isinstance(inputs, str):
            if osp.isdir(inputs) or glob.has_magic(inputs):
                found = find_images([inputs])
                return [osp.join(found.folder, name) for name in found.names]
            return [inputs]
        return [inputs] if isinstance(inputs, np.ndarray) else inputs

    def _get_chunk_data(
        self, inputs: Iterable[ImageType], chunk_size: int
    ) -> Iterator[list[dict]]:
        """Yield what can be read of each ``chunk_size`` inputs."""
        packed = self._read_ahead(inputs, max(chunk_size, self._num_readers))
        with contextlib.closing(packed):
            while chunk := list(itertools.islice(packed, chunk_size)):
                readable = []
                for one in chunk:
                    if isinstance(one, Unreadable):
                        self.unreadable.append(one)
                    else:
                        readable.append(one)
                yield readable

    def _read_ahead(
        self, inputs: Iterable[ImageType], ahead: int
    ) -> Generator[dict | Unreadable, None, None]:
        """Yield the inputs in order, read by threads meanwhile.

        Args:
            inputs (Iterable): taken one by one, in a thread.
            ahead (int): number of images that may be read ahead.
        """
        numbered, room = enumerate(inputs), threading.Semaphore(ahead)
        taken: queue.SimpleQueue = queue.SimpleQueue()
        closed = threading.Event()
        readers = ThreadPoolExecutor(self._num_readers)

        def take() -> None:
            try:
                while room.acquire() and not closed.is_set():
                    item = next(numbered, None)
                    if item is None:
                        break
                    taken.put(readers.submit(self._read, *item))
                taken.put(None)
            except BaseException as error:  # raised by the inputs
                taken.put(error)

        # A daemon: the process can end while the inputs, such as those of a
        # camera, wait for the next image.
        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        try:
            while (reading := taken.get()) is not None:
                if isinstance(reading, BaseException):
                    raise reading
                room.release()
                yield reading.result()
        finally:
            closed.set()
            room.release()
            taker.join(timeout=1)
            readers.shutdown()

    def _read(self, index: int, source: ImageType) -> dict | Unreadable:
        """Read an input and prepare it for the model."""
        if isinstance(source, os.PathLike):
            source = os.fspath(source)
        if isinstance(source, np.ndarray):
            source = as_bgr(source, f'array {index}')
        # A broken file can raise any exception.
        try:
            if (
                isinstance(source, str)
                and osp.isfile(source)
                and has_float_pixels(source)
            ):
                raise ValueError('floating-point pixels')
            packed = self.pipeline(source)
        except Exception as error:
            return _unreadable(index, source, error)
        for sample in _views(packed['data_samples']):
            sample.set_metainfo(dict(img_id=index))
        return packed

    def forward(self, inputs: dict) -> list[DetDataSample]:
        """Predict a batch.

        Args:
            inputs (dict): collated ``inputs`` and ``data_samples``.

        Returns:
            list[DetDataSample]: on the CPU, with ``proposals``, best first,
            and, where the model classifies, ``pred_instances``.
        """
        return [self._select(sample) for sample in super().forward(inputs)]

    def _select(self, sample: DetDataSample) -> DetDataSample:
        """Keep the best predictions of a sample only, on the CPU."""
        proposals = proposals_of(sample)
        if 'proposals' not in sample and not self._fallback_logged:
            self._fallback_logged = True
            print_log(
                'The model gives no `proposals`: its detections of all '
                'classes, ranked by score, are used instead.',
                logger='current',
                level=logging.WARNING,
            )
        selected = DetDataSample(metainfo=sample.metainfo)
        selected.proposals = self._best(proposals)[: self.top_k]
        if sample.pred_instances is not sample.get('proposals'):
            selected.pred_instances = self._best(sample.pred_instances)
        return selected

    def _best(self, instances: InstanceData) -> InstanceData:
        """Return those of at least the minimum score, best first."""
        fields = ('bboxes', 'scores', 'labels')
        best = InstanceData(**{key: instances[key].cpu() for key in fields})
        best = best[best.scores >= self.score_thr]
        return best[best.scores.argsort(descending=True, stable=True)]

    def stream(
        self, inputs: InputsType, batch_size: int = 1
    ) -> Iterator[DetDataSample]:
        """Predict image by image, without keeping earlier predictions.

        Args:
            inputs (str | Path | np.ndarray | Iterable): an image, a folder, a
                pattern such as ``'photos/*.jpg'``, an image as an array, see
                :func:`as_bgr`, or several images and arrays; a generator is
                read as needed, in a thread and a few images ahead.
            batch_size (int): number of images that are read and, if their
                sizes are the same, predicted at once. Predictions do not
                depend on it. With 1, no prediction waits for the next image.

        Yields:
            DetDataSample: on the CPU, with ``proposals`` (``bboxes`` as (x1,
            y1, x2, y2) in pixels of the image, ``scores``), best first; where
            the model classifies, ``pred_instances`` with ``labels`` too.
            ``img_id`` is the image's position in the inputs, from 0,
            ``img_path`` its path, ``ori_shape`` its height and width.

        Raises:
            UserError: if a batch does not fit in memory, or for an array
                that is no image.
        """
        self.unreadable = []
        chunks = self._get_chunk_data(self._inputs_to_list(inputs), batch_size)
        for chunk in chunks:
            # Padding to one size would change the proposals.
            by_size = collections.defaultdict(list)
            for packed in chunk:
                sizes = [view.shape for view in _views(packed['inputs'])]
                by_size[tuple(sizes)].append(packed)
            samples = []
            for batch in by_size.values():
                samples += self._predict(batch)
            yield from sorted(samples, key=lambda sample: sample.img_id)

    def _predict(self, batch: list[dict]) -> list[DetDataSample]:
        """Predict images of one size; skip one that does not fit in memory."""
        try:
            return self.forward(self.collate_fn(batch))
        except torch.cuda.OutOfMemoryError as error:
            largest = max(_views(batch[0]['inputs']), key=torch.numel)
            height, width = largest.shape[-2:]
            reason = f'no memory for images of {width} x {height}'
            if len(batch) > 1:
                raise UserError(
                    f'{reason} in a batch of {len(batch)}; continue with a '
                    'smaller batch size'
                ) from error
            sample, *_ = _views(batch[0]['data_samples'])
            self.unreadable.append(
                _unreadable(sample.img_id, sample.img_path, reason)
            )
            return []

    def __call__(
        self,
        inputs: InputsType,
        batch_size: int = 1,
        return_datasamples: bool = False,
    ) -> dict[str, list]:
        """Predict all images; :meth:`stream` needs less memory.

        Args:
            inputs (str | Path | np.ndarray | Iterable): see :meth:`stream`.
            batch_size (int): see :meth:`stream`.
            return_datasamples (bool): return samples instead of dicts.

        Returns:
            dict[str, list]: ``predictions``, a dict of :meth:`pred2dict` or a
            sample for each image that can be read.
        """
        samples = self.stream(inputs, batch_size)
        if self.show_progress:
            inputs = self._inputs_to_list(inputs)
            samples = tqdm(
                samples,
                desc='Inference',
                total=len(inputs) if isinstance(inputs, list) else None,
            )
        return dict(
            predictions=[
                sample if return_datasamples else self.pred2dict(sample)
                for sample in samples
            ]
        )

    def pred2dict(self, data_sample: DetDataSample) -> dict:
        """Convert a prediction to lists and numbers.

        Args:
            data_sample (DetDataSample): of :meth:`stream`.

        Returns:
            dict: ``img_path``, ``bboxes`` (x1, y1, x2, y2) and ``scores`` of
            the proposals and, where the model classifies, ``detections`` with
            ``bboxes``, ``scores`` and ``labels``.
        """
        result = dict(
            img_path=data_sample.img_path,
            bboxes=data_sample.proposals.bboxes.tolist(),
            scores=data_sample.proposals.scores.tolist(),
        )
        if 'pred_instances' in data_sample:
            detections = data_sample.pred_instances
            result['detections'] = {
                key: detections[key].tolist()
                for key in ('bboxes', 'scores', 'labels')
            }
        return result

    def visualize(
        self,
        inputs: Sequence[str | np.ndarray],
        preds: Sequence[DetDataSample],
        num_boxes: int = 30,
    ) -> list[np.ndarray]:
        """Draw the best proposals.

        Args:
            inputs (Sequence[str | np.ndarray]): images, as given to
                :meth:`stream`.
            preds (Sequence[DetDataSample]): their predictions.
            num_boxes (int): proposals to draw per image.

        Returns:
            list[np.ndarray]: pictures (height, width, 3), BGR uint8.
        """
        return [
            draw_ranked_boxes(
                as_bgr(mmcv.imread(image), 'image'),
                pred.proposals.bboxes[:num_boxes].numpy(),
                pred.proposals.scores[:num_boxes].numpy(),
            )
            for image, pred in zip(inputs, preds)
        ]


def _views(value: Any) -> list:
    """Return the views of an image, or the one image there is, as a list."""
    return value if isinstance(value, list) else [value]


def _unreadable(
    index: int, source: str | np.ndarray | None, error: Exception | str
) -> Unreadable:
    name, reason = f'array {index}', error_line(error)
    if isinstance(source, str):
        name = source
        if osp.isfile(source) and not osp.getsize(source):
            reason = 'an empty file'
    return Unreadable(index, name, reason)


def error_line(error: Exception | str) -> str:
    """Return what an error says, on one line."""
    # OpenCV starts with its version and a line of its source.
    text = re.sub(r'^OpenCV\S* \S+ error: ', '', str(error))
    return ' '.join(text.split()) or type(error).__name__


def as_bgr(image: np.ndarray, name: str) -> np.ndarray:
    """Return an array as OpenCV would load the file of such an image.

    Args:
        image (np.ndarray): (height, width), (height, width, 1), BGR or BGRA;
            uint8 or uint16.
        name (str): of the image, for messages.

    Returns:
        np.ndarray: (height, width, 3) uint8, BGR.

    Raises:
        UserError: for another shape or type.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    channels = image.shape[2] if image.ndim == 3 else 1
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or channels not in (1, 3, 4)
        or not image.size
    ):
        raise UserError(
            f'{name}: {image.dtype} of shape {image.shape}; give (height, '
            'width), (height, width, 3) or (height, width, 4), BGR, uint8 '
            'from 0 to 255 or uint16'
        )
    if channels == 1:
        return image.reshape(*image.shape[:2], 1).repeat(3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _set_nms(config: Config, iou_threshold: float) -> None:
    """Set the NMS of the proposals, or else of the detections."""
    test_cfg = config.model.get('test_cfg') or {}
    for part in (test_cfg.get('proposals'), test_cfg.get('rcnn'), test_cfg):
        if part and 'nms' in part:
            part.nms.iou_threshold = iou_threshold
            return
    raise UserError(
        f'{config.filename}: its model.test_cfg has no NMS whose '
        'threshold could be set; leave --nms out'
    )


def _set_views(
    config: Config, scales: Sequence[int], flip: bool, nms: float | None
) -> None:
    """Set the views of an image and the NMS that merges their proposals."""
    dataset = config.test_dataloader.dataset
    try:
        dataset.pipeline = views_pipeline(dataset.pipeline, scales, flip)
    except UserError as error:
        raise UserError(f'{config.filename}: {error}') from error
    tta_cfg = config.get('tta_model', {}).get('tta_cfg') or {}
    if nms is not None:
        proposals = dict(tta_cfg.get('proposals', {}))
        merging = proposals.get('nms', dict(type='nms'))
        proposals['nms'] = dict(merging, iou_threshold=nms)
        tta_cfg = dict(tta_cfg, proposals=proposals)
    config.tta_model = dict(tta_cfg=tta_cfg)
