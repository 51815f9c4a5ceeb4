"""Time class-agnostic evaluators on the same proposals, and compare them.

    python tools/analysis_tools/benchmark_eval.py ANN.json --num 100 1000

pycocotools, faster-coco-eval and mmdet_owp.recall each get a process of their
own, and proposals of the same seed: for each of --images images (those of the
annotation file, repeated as often as it takes) --num boxes, half of them
jittered objects, half anywhere, by falling score as detectors give them.

Timed is everything from the parsed annotations and the result arrays to the
numbers, index building included: recall at ten IoUs, area `all`, k of 10, 100
and 1000 (up to --num), and precision. Printed apart: what parsing the
annotation file takes. There is no just-in-time compilation.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.partitions import parse_partition
from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator

EVALUATORS = ('pycocotools', 'faster-coco-eval', 'mmdet_owp')
AREA = dict(all=(0, 1e10))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('annotations', help='COCO annotation file')
    parser.add_argument('--partition', default='voc', help='(default: voc)')
    parser.add_argument(
        '--num',
        nargs='+',
        type=int,
        default=[100, 1000],
        help='proposals an image (default: 100 1000)',
    )
    parser.add_argument(
        '--images', type=int, default=5000, help='(default: 5000)'
    )
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--threads', type=int, default=2, help='(default: 2)')
    parser.add_argument(
        '--repeat',
        type=int,
        default=3,
        help='runs of an evaluator that takes less than a minute, the '
        'fastest counts (default: 3)',
    )
    parser.add_argument(
        '--evaluators', nargs='+', choices=EVALUATORS, default=EVALUATORS
    )
    parser.add_argument('--out', help='write the table, as Markdown')
    # One evaluator on one number of proposals: what the tool calls itself for.
    parser.add_argument('--arrays', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.num) < 10 or args.images < 1:
        parser.error('--num must be at least 10, --images at least 1')
    return args


def make_data(
    annotations: dict, images: int, num: int, seed: int
) -> tuple[dict, np.ndarray]:
    """Repeat the images of an annotation file and make proposals.

    Args:
        annotations (dict): content of the file.
        images (int): how many there shall be.
        num (int): proposals an image.
        seed (int): of the proposals.

    Returns:
        tuple: annotations with ids from 1, and proposals (images * num, 7):
        image id, x, y, width, height, score, a category id.
    """
    rng = np.random.default_rng(seed)
    objects: dict[int, list[dict]] = {}
    for a in annotations['annotations']:
        objects.setdefault(a['image_id'], []).append(a)
    category = annotations['categories'][0]['id']
    infos, repeated, rows = [], [], []
    for n in range(images):
        info = annotations['images'][n % len(annotations['images'])]
        infos.append(dict(id=n + 1))
        there = objects.get(info['id'], [])
        repeated += [dict(a, image_id=n + 1) for a in there]
        size = np.array([info['width'], info['height']])
        boxes = np.column_stack(
            [
                rng.random((num, 2)) * size * 0.9,
                rng.uniform(0.02, 0.5, (num, 2)) * size,
            ]
        )
        if there:
            near = np.array([a['bbox'] for a in there], float)
            near = near[rng.integers(len(near), size=num)]
            near += (
                rng.normal(size=(num, 4))
                * rng.uniform(0, 0.5, (num, 1))
                * near[:, [2, 3, 2, 3]]
            )
            near[:, 2:] = np.maximum(np.abs(near[:, 2:]), 1)
            boxes = np.where(rng.random((num, 1)) < 0.5, near, boxes)
        # Single precision, as a network gives them.
        scores = -np.sort(-rng.random(num).astype(np.float32))
        rows.append(
            np.column_stack(
                [np.full(num, n + 1), boxes, scores, np.full(num, category)]
            )
        )
    repeated = [dict(a, id=n + 1) for n, a in enumerate(repeated)]
    return dict(
        annotations, images=infos, annotations=repeated
    ), np.concatenate(rows)


def like_pycocotools(coco_class: type, eval_class: type) -> Callable:
    """Return an evaluation by classes that are used as pycocotools'."""

    def evaluate(
        annotations: dict,
        rows: np.ndarray,
        novel: Collection[int],
        nums: list[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco_class()
            truth.dataset = dict(
                annotations,
                annotations=[
                    a
                    for a in annotations['annotations']
                    if a['category_id'] in novel
                ],
            )
            truth.createIndex()
            judge = eval_class(truth, truth.loadRes(rows), 'bbox')
            judge.params.useCats = 0
            judge.params.maxDets = nums
            judge.params.areaRng = [list(r) for r in AREA.values()]
            judge.params.areaRngLbl = list(AREA)
            judge.evaluate()
            judge.accumulate()
        return (
            judge.eval['recall'][:, 0, 0],
            judge.eval['precision'][:, :, 0, 0, -1],
        )

    return evaluate


def ours(
    annotations: dict,
    rows: np.ndarray,
    novel: Collection[int],
    nums: list[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate by mmdet_owp.recall."""
    truth = GroundTruth.from_coco(annotations, novel)
    proposals = Proposals.from_rows(
        truth.image_ids, rows[:, 0].astype(int), rows[:, 1:5], rows[:, 5]
    )
    found = RecallEvaluator(truth, proposals, area_ranges=AREA).evaluate(
        novel, proposal_nums=nums
    )
    return np.stack([found.recall(k) for k in nums], axis=1), found.precision


def load(evaluator: str) -> Callable:
    """Import an evaluator."""
    if evaluator == 'mmdet_owp':
        return ours
    if evaluator == 'pycocotools':
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    return like_pycocotools(COCO, COCOeval)


def measure(args: argparse.Namespace) -> None:
    """Time one evaluator; its numbers go to a file, the times to stdout."""
    evaluator, num = args.evaluators[0], args.num[0]
    if hasattr(os, 'sched_setaffinity'):
        cores = sorted(os.sched_getaffinity(0))[: args.threads]
        os.sched_setaffinity(0, cores)
    start = time.perf_counter()
    annotations = read_coco(args.annotations)
    parsing = time.perf_counter() - start
    novel = parse_partition(
        args.partition, annotations['categories'], args.annotations
    ).novel
    annotations, rows = make_data(annotations, args.images, num, args.seed)
    nums = [k for k in (10, 100, 1000) if k <= num]
    evaluate = load(evaluator)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    while len(seconds) < args.repeat:
        start = time.perf_counter()
        recall, precision = evaluate(annotations, rows, novel, nums)
        seconds.append(time.perf_counter() - start)
        if seconds[0] > 60:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.savez(args.arrays, recall=recall, precision=precision)
    # ru_maxrss is in KiB, on macOS in bytes.
    scale = 2**30 if sys.platform == 'darwin' else 2**20
    print(
        json.dumps(
            dict(
                seconds=min(seconds),
                parsing=parsing,
                objects=sum(
                    a['category_id'] in novel
                    for a in annotations['annotations']
                ),
                peak=peak / scale,
                before=before / scale,
            )
        )
    )


def run(
    args: argparse.Namespace, evaluator: str, num: int, folder: Path
) -> dict:
    """Measure in a process of its own."""
    arrays = folder / f'{evaluator}_{num}.npz'
    threads = str(args.threads)
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            args.annotations,
            '--partition',
            args.partition,
            '--num',
            str(num),
            '--images',
            str(args.images),
            '--seed',
            str(args.seed),
            '--threads',
            threads,
            '--repeat',
            str(args.repeat),
            '--evaluators',
            evaluator,
            '--arrays',
            str(arrays),
        ],
        env=dict(
            os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f'error: {evaluator} failed, see above')
    with np.load(arrays) as numbers:
        return {**json.loads(done.stdout.splitlines()[-1]), **numbers}


def main() -> None:
    """Measure every evaluator and print the table."""
    args = parse_args()
    if args.arrays:
        measure(args)
        return
    try:
        parse_partition(
            args.partition,
            read_coco(args.annotations)['categories'],
            args.annotations,
        )
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    if 'faster-coco-eval' in args.evaluators and not importlib.util.find_spec(
        'faster_coco_eval'
    ):
        sys.exit(
            'error: pip install faster-coco-eval, or name the others by '
            '--evaluators'
        )
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for num in args.num:
            results = {}
            for evaluator in args.evaluators:
                print(
                    f'{evaluator}, {args.images} images x {num} …',
                    file=sys.stderr,
                    flush=True,
                )
                results[evaluator] = run(args, evaluator, num, Path(folder))
            lines += table(num, results)
    text = '\n'.join(lines)
    print(text)
    if args.out:
        Path(args.out).write_text(text + '\n')


def table(num: int, results: dict[str, dict]) -> list[str]:
    """Lay out what was measured with so many proposals an image."""
    last = list(results.values())[-1]
    reference = next(iter(results.values()))
    lines = [
        f'{num} proposals an image, {last["objects"]} objects; parsing the '
        f'annotation file takes {last["parsing"]:.2f} s more.',
        '',
        '| evaluator | seconds | times ours | memory (GB) | difference of '
        'recall | of precision |',
        '|---|---|---|---|---|---|',
    ]
    mine = results.get('mmdet_owp', {}).get('seconds', float('nan'))
    for name, result in results.items():
        differences = [
            np.abs(result[key] - reference[key]).max()
            for key in ('recall', 'precision')
        ]
        lines.append(
            f'| {name} | {result["seconds"]:.2f} | '
            f'{result["seconds"] / mine:.1f} | '
            f'{result["peak"]:.2f} ({result["before"]:.2f} before) | '
            f'{differences[0]:.1e} | {differences[1]:.1e} |'
        )
    return [*lines, '']


if __name__ == '__main__':
    main()
