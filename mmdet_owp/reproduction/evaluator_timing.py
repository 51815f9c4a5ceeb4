"""Time evaluators on the same proposals or detections."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import numpy as np

from mmdet_owp.datasets.coco_file import LVIS_IMAGE_KEYS, read_coco
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.class_wise import COCO_NUMS, LVIS_NUM
from mmdet_owp.partitions import lvis_classes, parse_partition
from mmdet_owp.recall import (
    AREA_RANGES,
    Detections,
    Federation,
    GroundTruth,
    Proposals,
    RecallEvaluator,
    evaluate_classes,
)

# What is measured: class-agnostic recall, or class-wise AP and AR.
MEASURES = ('recall', 'coco', 'lvis')
EVALUATORS = ('pycocotools', 'lvis', 'faster-coco-eval', 'mmdet_owp')
AREA = (0, 1e10)
PROPOSAL_NUMS = (10, 100, 1000)
# One run of a slower evaluator is enough.
SLOW_SECONDS = 60


class Timing(NamedTuple):
    """Time, memory and results of one evaluator."""

    seconds: float  # of the fastest run
    parsing: float  # seconds to parse the annotation file
    objects: int
    peak: float  # memory in GiB
    before: float  # peak memory before the evaluation
    recall: np.ndarray  # with axes of classes and areas if class-wise
    precision: np.ndarray


def make_data(
    annotations: dict,
    num_images: int,
    num: int,
    seed: int,
    measure: str = 'recall',
) -> tuple[dict, np.ndarray]:
    """Repeat the images of an annotation file; make ``num`` proposals each.

    Half of the proposals are jittered objects, half are anywhere. If classes
    matter, the former are of the object's class and the latter of the class of
    any object of the image or, half of them, of any class. For ``lvis``,
    objects are of random classes of LVIS v1, and each image lists ten random
    classes as absent and one as not annotated exhaustively.

    Returns:
        tuple: annotations with ids from 1, and proposals (num_images * num,
        7): image id, x, y, width, height, score, a category id.
    """
    rng = np.random.default_rng(seed)
    if measure == 'lvis':
        annotations = _of_lvis(annotations, rng)
    objects: dict[int, list[dict]] = {}
    for a in annotations['annotations']:
        objects.setdefault(a['image_id'], []).append(a)
    categories = [c['id'] for c in annotations['categories']]
    images, repeated, rows = [], [], []
    for n in range(1, num_images + 1):
        info = annotations['images'][(n - 1) % len(annotations['images'])]
        images.append(dict(info, id=n))
        own = objects.get(info['id'], [])
        repeated += [dict(a, image_id=n) for a in own]
        size = np.array([info['width'], info['height']])
        corners = rng.random((num, 2)) * size * 0.9
        sides = rng.uniform(0.02, 0.5, (num, 2)) * size
        boxes = np.column_stack([corners, sides])
        # Those of the class-agnostic evaluation do not matter.
        labels = np.full(num, categories[0])
        if measure != 'recall':
            labels = rng.choice(categories, num)
        if own:
            near = np.array([a['bbox'] for a in own], float)
            chosen = rng.integers(len(near), size=num)
            near = near[chosen]
            jitter = rng.normal(size=(num, 4)) * rng.uniform(0, 0.5, (num, 1))
            near += jitter * near[:, [2, 3, 2, 3]]
            near[:, 2:] = np.maximum(np.abs(near[:, 2:]), 1)
            is_near = rng.random((num, 1)) < 0.5
            boxes = np.where(is_near, near, boxes)
            if measure != 'recall':
                of_object = is_near[:, 0] | (rng.random(num) < 0.5)
                known = np.array([a['category_id'] for a in own])[chosen]
                labels = np.where(of_object, known, labels)
        # Single precision, as a network returns them.
        scores = -np.sort(-rng.random(num).astype(np.float32))
        rows.append(np.column_stack([np.full(num, n), boxes, scores, labels]))
    repeated = [dict(a, id=n) for n, a in enumerate(repeated, 1)]
    data = dict(annotations, images=images, annotations=repeated)
    return data, np.concatenate(rows)


def _of_lvis(annotations: dict, rng: np.random.Generator) -> dict:
    """Give images and objects random classes of LVIS v1."""
    classes = lvis_classes()
    ids = [*classes]
    labels = rng.choice(ids, len(annotations['annotations']))
    return dict(
        images=[
            dict(i, **dict(zip(LVIS_IMAGE_KEYS, (lists[1:], lists[:1]))))
            for i in annotations['images']
            for lists in [rng.choice(ids, 11, replace=False).tolist()]
        ],
        annotations=[
            dict(a, category_id=label, iscrowd=0)
            for a, label in zip(annotations['annotations'], labels.tolist())
        ],
        categories=[
            dict(id=i, name=name, frequency=frequency)
            for i, (name, frequency) in classes.items()
        ],
    )


def _like_pycocotools(coco_class: type, eval_class: type) -> Callable:
    """Return an evaluation by classes with the interface of pycocotools."""

    def evaluate(
        annotations: dict,
        rows: np.ndarray,
        novel: Collection[int],
        nums: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        objects = [
            a for a in annotations['annotations'] if a['category_id'] in novel
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco_class()
            truth.dataset = dict(annotations, annotations=objects)
            truth.createIndex()
            evaluator = eval_class(truth, truth.loadRes(rows), 'bbox')
            params = evaluator.params
            params.useCats, params.maxDets = 0, list(nums)
            params.areaRng, params.areaRngLbl = [AREA], ['all']
            evaluator.evaluate()
            evaluator.accumulate()
        found = evaluator.eval
        return found['recall'][:, 0, 0], found['precision'][:, :, 0, 0, -1]

    return evaluate


def _evaluate_ours(
    annotations: dict,
    rows: np.ndarray,
    novel: Collection[int],
    nums: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    truth = GroundTruth.from_coco(annotations, novel)
    proposals = Proposals.from_rows(
        truth.image_ids, rows[:, 0].astype(int), rows[:, 1:5], rows[:, 5]
    )
    evaluator = RecallEvaluator(truth, proposals, area_ranges={'all': AREA})
    found = evaluator.evaluate(novel, proposal_nums=nums)
    return np.stack([found.recall(k) for k in nums], axis=1), found.precision


def _classes_like_pycocotools(
    coco_class: type, eval_class: type, **settings: bool
) -> Callable:
    """Return a class-wise evaluation with the interface of pycocotools."""

    def evaluate(
        annotations: dict,
        rows: np.ndarray,
        categories: Collection[int],
        nums: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco_class()
            truth.dataset = annotations
            truth.createIndex()
            found = truth.loadRes(rows)
            evaluator = eval_class(truth, found, 'bbox', **settings)
            params = evaluator.params
            params.catIds, params.maxDets = sorted(categories), list(nums)
            params.areaRng = [list(r) for r in AREA_RANGES.values()]
            params.areaRngLbl = list(AREA_RANGES)
            evaluator.evaluate()
            evaluator.accumulate()
        found = evaluator.eval
        return found['recall'], found['precision'][..., -1]

    return evaluate


def _evaluate_lvis(
    annotations: dict,
    rows: np.ndarray,
    categories: Collection[int],
    _: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    lvis = _module('lvis')
    logging.disable(logging.WARNING)
    vars(np).setdefault('float', float)  # lvis 0.5.3 needs what numpy removed
    truth = lvis.LVIS.__new__(lvis.LVIS)  # its constructor reads a file
    truth.logger, truth.dataset = logging.getLogger('lvis'), annotations
    truth._create_index()
    results = [
        dict(
            image_id=int(r[0]), bbox=r[1:5], score=r[5], category_id=int(r[6])
        )
        for r in rows.tolist()
    ]
    found = lvis.LVISResults(truth, results)
    evaluator = lvis.LVISEval(truth, found, 'bbox')
    evaluator.params.cat_ids = sorted(categories)
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator.eval['recall'][..., None], evaluator.eval['precision']


def _evaluate_our_classes(
    annotations: dict,
    rows: np.ndarray,
    categories: Collection[int],
    nums: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    truth = GroundTruth.from_coco(annotations)
    columns = rows[:, 1:5], rows[:, 5], rows[:, 6].astype(int)
    detections = Detections.from_rows(
        truth.image_ids, rows[:, 0].astype(int), *columns
    )
    federation = None
    if nums == (LVIS_NUM,):
        detections = detections.best(LVIS_NUM)
        federation = Federation.from_coco(
            annotations['images'], truth.image_ids
        )
    found = evaluate_classes(truth, detections, categories, nums, federation)
    return found.recall, found.precision


def _module(name: str) -> ModuleType:
    """Import an evaluator that only tests and this benchmark need."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f'pip install {name.replace("_", "-")}, or name the others by '
            '--evaluators'
        ) from error


def _evaluation_by(evaluator: str, measure: str) -> Callable:
    is_recall = measure == 'recall'
    if evaluator == 'mmdet_owp':
        return _evaluate_ours if is_recall else _evaluate_our_classes
    if evaluator == 'lvis':
        return _evaluate_lvis
    if evaluator == 'pycocotools':
        coco_class = _module('pycocotools.coco').COCO
        eval_class = _module('pycocotools.cocoeval').COCOeval
    else:
        faster = _module('faster_coco_eval')
        coco_class, eval_class = faster.COCO, faster.COCOeval_faster
    if is_recall:
        return _like_pycocotools(coco_class, eval_class)
    settings = dict(lvis_style=True) if measure == 'lvis' else {}
    return _classes_like_pycocotools(coco_class, eval_class, **settings)


class Benchmark(NamedTuple):
    """Times evaluators, each in its own process; see :func:`make_data`."""

    ann_file: str
    partition: str
    num_images: int
    seed: int
    threads: int  # CPU cores to use
    repeat: int  # runs of an evaluator, unless it is slow
    measure: str = 'recall'

    def time(self, evaluator: str, num: int) -> Timing:
        """Time one of ``EVALUATORS`` on ``num`` proposals per image.

        Raises:
            UserError: if the annotation file or the partition is wrong, or
                the evaluator is not installed or its process is killed.
        """
        libraries = 'OMP', 'OPENBLAS'
        limits = {f'{x}_NUM_THREADS': str(self.threads) for x in libraries}
        pool = ProcessPoolExecutor(1, mp_context=get_context('spawn'))
        with mock.patch.dict(os.environ, limits), pool:
            try:
                return pool.submit(self._measure, evaluator, num).result()
            except BrokenProcessPool as error:
                raise UserError(
                    f'{evaluator}: its process was killed, probably out of '
                    'memory; reduce --images or --num'
                ) from error

    def _measure(self, evaluator: str, num: int) -> Timing:
        if hasattr(os, 'sched_setaffinity'):
            cores = sorted(os.sched_getaffinity(0))[: self.threads]
            os.sched_setaffinity(0, cores)
        evaluate = _evaluation_by(evaluator, self.measure)
        start = time.perf_counter()
        content = read_coco(self.ann_file)
        parsing = time.perf_counter() - start
        if not content['images']:
            raise UserError(f'{self.ann_file}: no images')
        classes, nums = self._classes(content), COCO_NUMS
        options = (self.num_images, num, self.seed, self.measure)
        content, rows = make_data(content, *options)
        if self.measure == 'recall':
            nums = tuple(k for k in PROPOSAL_NUMS if k <= num)
        elif self.measure == 'lvis':
            classes, nums = {*lvis_classes()}, (LVIS_NUM,)
        before = _peak_memory()
        seconds: list[float] = []
        while len(seconds) < self.repeat and sum(seconds[:1]) <= SLOW_SECONDS:
            start = time.perf_counter()
            recall, precision = evaluate(content, rows, classes, nums)
            seconds.append(time.perf_counter() - start)
        results = _peak_memory(), before, recall, precision
        labels = [a['category_id'] for a in content['annotations']]
        objects = sum(label in classes for label in labels)
        return Timing(min(seconds), parsing, objects, *results)

    def _classes(self, content: dict) -> set[int]:
        """Return the ids of the novel classes or, class-wise, of all."""
        if self.measure != 'recall':
            return {c['id'] for c in content['categories']}
        return {
            *parse_partition(
                self.partition, content['categories'], self.ann_file
            ).novel
        }


def _peak_memory() -> float:
    """Return the peak memory of this process in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In KiB; on macOS in bytes.
    return peak / (2**30 if sys.platform == 'darwin' else 2**20)
