"""Matching against pycocotools."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from recall_reference import (
    BASE,
    NOVEL,
    NUMS,
    coco_evaluation,
    evaluate,
    gathered,
    jittered,
    same,
    scenes,
    slow_exclude,
)

from mmdet_owp.recall import AREA_RANGES, overlaps, tables


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_drop_base_is_pycocotools(scene):
    ours, theirs = evaluate(*scene), coco_evaluation(*scene)
    same(ours, theirs)
    by_image, by_class = gathered(theirs)
    found, number = ours.counts_by_image(NUMS[-1])
    for i, image_id in enumerate(sorted(i['id'] for i in scene[0]['images'])):
        shares = by_image.get(image_id, [])
        assert number[i] == len(shares)
        assert found[i] == pytest.approx(sum(shares))
    assert ours.average_recall_by_class(NUMS[-1]) == pytest.approx(
        {c: np.mean(shares) for c, shares in by_class.items()}
    )


@pytest.mark.parametrize(
    'block, task', [(1, 1), (40, 100), (overlaps._BLOCK, overlaps._TASK)]
)
@pytest.mark.parametrize('seed', range(3))
def test_many_proposals(seed, block, task, monkeypatch):
    """Crowds, equal scores, images of every size, tables of any size."""
    monkeypatch.setattr(overlaps, '_BLOCK', block)
    monkeypatch.setattr(overlaps, '_TASK', task)
    monkeypatch.setattr(tables, '_BLOCK', block)
    scene = jittered(seed)
    ours = evaluate(*scene)
    assert 0.1 < ours.average_recall(10) < 0.9
    same(ours, coco_evaluation(*scene))
    kept = slow_exclude(*scene, NOVEL, BASE)
    ours = evaluate(*scene, protocol='exclude-base')
    same(ours, coco_evaluation(*scene[:2], *kept))


@pytest.mark.parametrize(
    'scores',
    [
        lambda rng, n: np.full(n, 0.5),
        lambda rng, n: rng.random(n).astype(np.float32),
        lambda rng, n: np.sort(rng.random(n))[::-1],
        lambda rng, n: rng.normal(size=n) * 1e200,
        lambda rng, n: rng.choice([0, -0.0, 5e-324, 1e-300], n),
    ],
)
def test_scores_of_any_kind(scores):
    rng = np.random.default_rng(3)
    scene = jittered(3)
    scene = *scene[:3], [scores(rng, len(s)) for s in scene[3]]
    same(evaluate(*scene), coco_evaluation(*scene))


@pytest.mark.slow
def test_five_thousand_images_of_a_thousand_proposals():
    """A sample of the images agrees with pycocotools."""
    rng = np.random.default_rng(0)
    num, each = 5000, 1000
    objects = [
        dict(
            id=n + 1,
            image_id=2**40 + int(i),
            category_id=int(c),
            bbox=box,
            area=box[2] * box[3],
            iscrowd=int(n % 50 == 0),
        )
        for n, (i, c, box) in enumerate(
            zip(
                rng.integers(num, size=7 * num),
                rng.integers(1, 5, 7 * num),
                rng.uniform(10, 200, (7 * num, 4)).tolist(),
            )
        )
    ]
    annotations = dict(
        images=[dict(id=2**40 + i) for i in range(num)],
        categories=[dict(id=i, name=str(i)) for i in (1, 2, 3, 4)],
        annotations=objects,
    )
    boxes = rng.uniform(10, 200, (num, each, 4))
    scores = rng.random((num, each)).astype(np.float32)
    # A tenth are near an object of the image.
    near = {}
    for a in objects:
        near.setdefault(a['image_id'] - 2**40, []).append(a['bbox'])
    for i, there in near.items():
        boxes[i, ::10] = rng.choice(there, each // 10) * rng.uniform(
            0.8, 1.2, (each // 10, 4)
        )
    ids = [i['id'] for i in annotations['images']]
    nums = (10, 100, 1000)
    ours = evaluate(annotations, ids, boxes, scores, nums=nums)
    assert 0.05 < ours.average_recall(10) < ours.average_recall(1000) < 0.99

    some = rng.choice(num, 25, replace=False)
    part = dict(
        annotations,
        images=[dict(id=ids[i]) for i in some],
        annotations=[
            a for a in objects if a['image_id'] - 2**40 in set(some.tolist())
        ],
    )
    by_image, _ = gathered(
        coco_evaluation(
            part,
            [ids[i] for i in some],
            boxes[some],
            scores[some],
            nums=nums,
            sizes=dict(all=(0, 1e10)),
        )
    )
    found, number = ours.counts_by_image(1000)
    for i in some:
        assert number[i] == len(by_image.get(ids[i], []))
        assert found[i] == pytest.approx(sum(by_image.get(ids[i], [])))
    assert ours.average_recall(1000) == pytest.approx(
        found.sum() / number.sum()
    )


def test_published_example_of_the_coco_api(shared_dir):
    """The files that come with the COCO API, all 80 classes as targets."""
    folder = shared_dir / 'data' / 'evaluator'
    annotations = json.loads(
        (folder / 'instances_val2014_100.json').read_text()
    )
    results = json.loads(
        (folder / 'instances_val2014_fakebbox100_results.json').read_text()
    )
    ids = sorted({r['image_id'] for r in results})
    boxes = [
        np.array([r['bbox'] for r in results if r['image_id'] == i])
        for i in ids
    ]
    scores = [[r['score'] for r in results if r['image_id'] == i] for i in ids]
    categories = [c['id'] for c in annotations['categories']]
    for wanted in (categories, categories[::2]):
        settings = dict(nums=(10, 100), sizes=AREA_RANGES, wanted=wanted)
        ours = evaluate(annotations, ids, boxes, scores, **settings)
        assert ours.average_recall(100) > 0.3
        same(
            ours, coco_evaluation(annotations, ids, boxes, scores, **settings)
        )
