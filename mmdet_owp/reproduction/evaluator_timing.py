"""Time class-agnostic evaluators on the same proposals."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import NamedTuple
from unittest import mock

import numpy as np

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import parse_partition
from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator

EVALUATORS = ('pycocotools', 'faster-coco-eval', 'mmdet_owp')
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
    recall: np.ndarray  # (IoU thresholds, k)
    precision: np.ndarray  # (IoU thresholds, 101 recalls)


def make_data(
    annotations: dict, num_images: int, num: int, seed: int
) -> tuple[dict, np.ndarray]:
    """Repeat the images of an annotation file; make ``num`` proposals each.

    Half of the proposals are jittered objects, half are anywhere.

    Returns:
        tuple: annotations with ids from 1, and proposals (num_images * num,
        7): image id, x, y, width, height, score, a category id.
    """
    rng = np.random.default_rng(seed)
    objects: dict[int, list[dict]] = {}
    for a in annotations['annotations']:
        objects.setdefault(a['image_id'], []).append(a)
    category = annotations['categories'][0]['id']
    images, repeated, rows = [], [], []
    for n in range(1, num_images + 1):
        info = annotations['images'][(n - 1) % len(annotations['images'])]
        images.append(dict(id=n))
        own = objects.get(info['id'], [])
        repeated += [dict(a, image_id=n) for a in own]
        size = np.array([info['width'], info['height']])
        corners = rng.random((num, 2)) * size * 0.9
        sides = rng.uniform(0.02, 0.5, (num, 2)) * size
        boxes = np.column_stack([corners, sides])
        if own:
            near = np.array([a['bbox'] for a in own], float)
            near = near[rng.integers(len(near), size=num)]
            jitter = rng.normal(size=(num, 4)) * rng.uniform(0, 0.5, (num, 1))
            near += jitter * near[:, [2, 3, 2, 3]]
            near[:, 2:] = np.maximum(np.abs(near[:, 2:]), 1)
            boxes = np.where(rng.random((num, 1)) < 0.5, near, boxes)
        # Single precision, as a network returns them.
        scores = -np.sort(-rng.random(num).astype(np.float32))
        ids, labels = np.full(num, n), np.full(num, category)
        rows.append(np.column_stack([ids, boxes, scores, labels]))
    repeated = [dict(a, id=n) for n, a in enumerate(repeated, 1)]
    data = dict(annotations, images=images, annotations=repeated)
    return data, np.concatenate(rows)


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


def _evaluation_by(evaluator: str) -> Callable:
    if evaluator == 'mmdet_owp':
        return _evaluate_ours
    if evaluator == 'pycocotools':
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        try:
            from faster_coco_eval import COCO
            from faster_coco_eval import COCOeval_faster as COCOeval
        except ImportError as error:
            raise UserError(
                'pip install faster-coco-eval, or name the others by '
                '--evaluators'
            ) from error
    return _like_pycocotools(COCO, COCOeval)


class Benchmark(NamedTuple):
    """Times evaluators, each in its own process; see :func:`make_data`."""

    ann_file: str
    partition: str
    num_images: int
    seed: int
    threads: int  # CPU cores to use
    repeat: int  # runs of an evaluator, unless it is slow

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
        evaluate = _evaluation_by(evaluator)
        start = time.perf_counter()
        content = read_coco(self.ann_file)
        parsing = time.perf_counter() - start
        if not content['images']:
            raise UserError(f'{self.ann_file}: no images')
        categories = content['categories']
        novel = parse_partition(
            self.partition, categories, self.ann_file
        ).novel
        content, rows = make_data(content, self.num_images, num, self.seed)
        nums = [k for k in PROPOSAL_NUMS if k <= num]
        before = _peak_memory()
        seconds: list[float] = []
        while len(seconds) < self.repeat and sum(seconds[:1]) <= SLOW_SECONDS:
            start = time.perf_counter()
            recall, precision = evaluate(content, rows, novel, nums)
            seconds.append(time.perf_counter() - start)
        results = _peak_memory(), before, recall, precision
        labels = [a['category_id'] for a in content['annotations']]
        objects = sum(label in novel for label in labels)
        return Timing(min(seconds), parsing, objects, *results)


def _peak_memory() -> float:
    """Return the peak memory of this process in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In KiB; on macOS in bytes.
    return peak / (2**30 if sys.platform == 'darwin' else 2**20)
