"""Recall against pycocotools, and against a slow loop written out here."""
import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_owp import recall
from mmdet_owp.recall import GroundTruth, evaluate

NUMS = (1, 3, 10)
SIZES = dict(all=(0, 1e10), s=(0, 100), m=(100, 400), l=(400, 1e10))
BASE, NOVEL = (1, 4), (2, 3)


def coco_numbers(annotations, image_ids, boxes, scores, nums=NUMS,
                 sizes=SIZES, wanted=NOVEL):
    """AR and AP by pycocotools, other categories removed."""
    truth, found = COCO(), COCO()
    truth.dataset = dict(
        images=annotations['images'],
        categories=annotations['categories'],
        annotations=[
            dict(a, id=n + 1) for n, a in enumerate(
                a for a in annotations['annotations']
                if a['category_id'] in wanted)
        ])
    found.dataset = dict(
        images=annotations['images'],
        categories=annotations['categories'],
        annotations=[
            dict(
                image_id=image_id,
                category_id=wanted[0],
                bbox=[float(v) for v in box],
                area=float(box[2] * box[3]),
                score=float(score))
            for image_id, rows, column in zip(image_ids, boxes, scores)
            for box, score in zip(rows, column)
        ])
    for n, a in enumerate(found.dataset['annotations']):
        a['id'] = n + 1
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        judge = COCOeval(truth, found, 'bbox')
        judge.params.useCats = 0
        judge.params.maxDets = list(nums)
        judge.params.areaRng = [list(r) for r in sizes.values()]
        judge.params.areaRngLbl = list(sizes)
        judge.evaluate()
        judge.accumulate()

    def mean(values):
        values = values[values > -1]
        return np.mean(values) if len(values) else float('nan')

    numbers = {}
    for a, name in enumerate(sizes):
        suffix = '' if name == 'all' else f'_{name}'
        for m, k in enumerate(nums):
            numbers[f'AR{suffix}@{k}'] = mean(
                judge.eval['recall'][:, :, a, m])
    numbers['AP'] = mean(judge.eval['precision'][:, :, :, 0, -1])
    return numbers


def slow_iou(d, g, crowd):
    width = min(d[0] + d[2], g[0] + g[2]) - max(d[0], g[0])
    height = min(d[1] + d[3], g[1] + g[3]) - max(d[1], g[1])
    if width <= 0 or height <= 0:
        return 0.
    shared = width * height
    return shared / (d[2] * d[3] if crowd else d[2] * d[3] + g[2] * g[3] -
                     shared)


def slow_exclude(annotations, image_ids, boxes, scores, novel, base):
    """Take out, one by one, the proposals that meet a base object."""
    kept_boxes, kept_scores = [], []
    for image_id, rows, column in zip(image_ids, boxes, scores):
        objects = [
            a for category in sorted([*novel, *base])
            for a in annotations['annotations']
            if (a['image_id'], a['category_id']) == (image_id, category)
        ]
        taken, kept = set(), []
        for i in sorted(range(len(rows)), key=lambda i: -column[i]):
            # A free novel object first, else a crowd or base one.
            best = None
            for novel_objects in (True, False):
                for n, a in enumerate(objects):
                    is_novel = a['category_id'] in novel
                    if novel_objects != (is_novel and not a['iscrowd']):
                        continue
                    if n in taken and not a['iscrowd']:
                        continue
                    iou = slow_iou(rows[i], a['bbox'], a['iscrowd'])
                    if iou >= .5 and (best is None or iou >= best[0]):
                        best = iou, n
                if best is not None:
                    break
            if best is not None:
                taken.add(best[1])
            if best is None or objects[best[1]]['category_id'] in novel:
                kept.append(i)
        kept_boxes.append(np.array([rows[i] for i in kept]).reshape(-1, 4))
        kept_scores.append(np.array([column[i] for i in kept]))
    return kept_boxes, kept_scores


# Few different numbers, so that ties, equal and nested boxes are common.
box = st.tuples(
    st.sampled_from([0, 2, 5, 7.5]), st.sampled_from([0, 3, 5]),
    st.sampled_from([0, 4, 8, 10, 20]), st.sampled_from([3, 6, 10, 21]))


@st.composite
def scenes(draw):
    ids = draw(
        st.lists(
            st.sampled_from([1, 5, 6, 2**40, 9]),
            min_size=1,
            max_size=4,
            unique=True))
    objects = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ids), st.sampled_from([4, 3, 2, 1]), box,
                st.sampled_from([0, 0, 0, 1]), st.sampled_from([1, .7])),
            max_size=14))
    annotations = dict(
        images=[dict(id=i) for i in ids],
        categories=[dict(id=i, name=str(i)) for i in (1, 2, 3, 4)],
        annotations=[
            dict(
                id=n + 1,
                image_id=i,
                category_id=c,
                bbox=list(b),
                area=b[2] * b[3] * share,
                iscrowd=crowd)
            for n, (i, c, b, crowd, share) in enumerate(objects)
        ])
    tested = draw(st.lists(st.sampled_from(ids), unique=True))
    boxes, scores = [], []
    for _ in tested:
        rows = draw(
            st.lists(
                st.tuples(box, st.sampled_from([.1, .5, .5, .9])),
                max_size=13))
        boxes.append(np.array([r[0] for r in rows], float).reshape(-1, 4))
        scores.append(np.array([r[1] for r in rows], float))
    return annotations, tested, boxes, scores


def same(ours, theirs):
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        if key == 'AP':
            assert ours[key] == pytest.approx(value, abs=1e-12, nan_ok=True)
        else:
            np.testing.assert_equal(ours[key], value, err_msg=key)


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_drop_base_is_pycocotools(scene):
    truth = GroundTruth.from_coco(scene[0], NOVEL, BASE)
    same(
        evaluate(truth, *scene[1:], proposal_nums=NUMS, area_ranges=SIZES),
        coco_numbers(*scene))


@settings(max_examples=300, deadline=None)
@given(scenes(), st.booleans())
def test_exclude_base_is_the_slow_loop(scene, swap):
    novel, base = (BASE, NOVEL) if swap else (NOVEL, BASE)
    annotations, image_ids = scene[:2]
    truth = GroundTruth.from_coco(annotations, novel, base)
    kept = slow_exclude(*scene, novel, base)
    same(
        evaluate(
            truth,
            *scene[1:],
            proposal_nums=NUMS,
            area_ranges=SIZES,
            protocol='exclude-base'),
        coco_numbers(annotations, image_ids, *kept, wanted=novel))


@pytest.mark.parametrize('chunk', [1, 7, recall._CHUNK])
@pytest.mark.parametrize('seed', range(3))
def test_many_proposals(seed, chunk, monkeypatch):
    """Jittered objects, more proposals than counted, crowds, any chunk."""
    monkeypatch.setattr(recall, '_CHUNK', chunk)
    rng = np.random.default_rng(seed)
    ids = rng.permutation(12) + 100
    objects = [
        dict(
            image_id=int(rng.choice(ids)),
            category_id=int(rng.integers(1, 5)),
            bbox=[*rng.uniform(0, 60, 2), *rng.uniform(4, 40, 2)],
            iscrowd=int(rng.random() < .1)) for _ in range(90)
    ]
    for a in objects:
        a['area'] = a['bbox'][2] * a['bbox'][3]
    annotations = dict(
        images=[dict(id=int(i)) for i in ids],
        categories=[dict(id=i, name=str(i)) for i in (1, 2, 3, 4)],
        annotations=objects)
    boxes, scores = [], []
    for i in ids:
        near = np.array([a['bbox'] for a in objects if a['image_id'] == i])
        rows = near.reshape(-1, 4).repeat(9, axis=0)
        boxes.append(rows * rng.uniform(.8, 1.2, rows.shape))
        scores.append(rng.random(len(rows)).round(2))
    arguments = ids.tolist(), boxes, scores
    truth = GroundTruth.from_coco(annotations, NOVEL, BASE)
    ours = evaluate(
        truth, *arguments, proposal_nums=NUMS, area_ranges=SIZES)
    assert .1 < ours['AR@10'] < .9
    same(ours, coco_numbers(annotations, *arguments))
    kept = slow_exclude(annotations, *arguments, NOVEL, BASE)
    ours = evaluate(
        truth,
        *arguments,
        proposal_nums=NUMS,
        area_ranges=SIZES,
        protocol='exclude-base')
    same(ours, coco_numbers(annotations, arguments[0], *kept))


def test_published_example_of_the_coco_api(shared_dir):
    """The files that come with the COCO API, all 80 classes as targets."""
    folder = shared_dir / 'data' / 'evaluator'
    annotations = json.loads(
        (folder / 'instances_val2014_100.json').read_text())
    results = json.loads(
        (folder /
         'instances_val2014_fakebbox100_results.json').read_text())
    ids = sorted({r['image_id'] for r in results})
    boxes = [[r['bbox'] for r in results if r['image_id'] == i] for i in ids]
    scores = [[r['score'] for r in results if r['image_id'] == i]
              for i in ids]
    categories = [c['id'] for c in annotations['categories']]
    novel, base = categories[::2], categories[1::2]
    for wanted, other in ((categories, []), (novel, base)):
        truth = GroundTruth.from_coco(annotations, wanted, other)
        ours = evaluate(truth, ids, boxes, scores)
        assert ours['AR@100'] > .3
        same(
            ours,
            coco_numbers(
                annotations,
                ids,
                [np.array(b) for b in boxes],
                scores,
                nums=(10, 100),
                sizes=recall.AREA_RANGES,
                wanted=wanted))


def toy():
    """A base object that two proposals find before one finds the novel."""
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(image_id=1, category_id=1, bbox=[0, 0, 10, 10]),
            dict(image_id=1, category_id=2, bbox=[50, 50, 10, 10]),
        ])
    boxes = [np.array([[0., 0, 10, 10], [50, 50, 10, 10]])]
    truth = GroundTruth.from_coco(annotations, target_ids=[2], other_ids=[1])
    return truth, [1], boxes, [np.array([.9, .8])]


def test_protocols_differ_by_everything():
    drop = evaluate(*toy(), proposal_nums=(1, ))
    exclude = evaluate(*toy(), proposal_nums=(1, ), protocol='exclude-base')
    assert drop['AR@1'] == 0.0
    assert exclude['AR@1'] == 1.0


def test_a_base_object_takes_out_one_proposal_a_crowd_any_number():
    truth, ids, boxes, _ = toy()
    boxes = [boxes[0][[0, 0, 1]]]
    scores = [np.array([.9, .9, .8])]
    arguments = dict(proposal_nums=(1, 2), protocol='exclude-base')
    found = evaluate(truth, ids, boxes, scores, **arguments)
    assert (found['AR@1'], found['AR@2']) == (0.0, 1.0)
    truth = truth._replace(crowd=~truth.target)
    found = evaluate(truth, ids, boxes, scores, **arguments)
    assert found['AR@1'] == 1.0


def test_nothing_to_find_is_not_a_number():
    truth = GroundTruth.from_coco(
        dict(images=[dict(id=1)], annotations=[]), [1], [2])
    for protocol in recall.PROTOCOLS:
        found = evaluate(
            truth, [1], [np.ones((3, 4))], [np.ones(3)], protocol=protocol)
        assert np.isnan(list(found.values())).all()


def test_nothing_proposed_finds_nothing():
    truth = toy()[0]
    for protocol in recall.PROTOCOLS:
        for arguments in (([], [], []), ([1], [[]], [[]])):
            found = evaluate(truth, *arguments, protocol=protocol)
            assert found['AR@10'] == found['AP'] == 0


@pytest.mark.parametrize('change, message', [
    (dict(image_ids=[2]), '1 images are not in the annotation file.* id 2'),
    (dict(image_ids=[1, 1]), '2 images, but boxes of 1'),
    (dict(scores=[[.5]]), 'image 1: 2 boxes, but 1 scores'),
    (dict(scores=[[.5, float('nan')]]), 'image 1: proposal 1 has the box'),
    (dict(boxes=[[[0, 0, 1, 1], [0, 0, -1, 1]]]), 'image 1: proposal 1 '),
    (dict(boxes=[[[0, float('inf'), 1, 1]]], scores=[[1]]), 'proposal 0 '),
    (dict(protocol='both'), "protocol must be one of .*'both'"),
    (dict(proposal_nums=(0, )), 'proposal_nums must be positive'),
    (dict(proposal_nums=()), 'proposal_nums must be positive'),
])
def test_bad_proposals_are_named(change, message):
    truth, image_ids, boxes, scores = toy()
    arguments = dict(
        image_ids=image_ids, boxes=boxes, scores=scores)
    with pytest.raises(ValueError, match=message) as error:
        evaluate(truth, **{**arguments, **change})
    assert '\n' not in str(error.value)


def test_image_given_twice():
    truth, ids, boxes, scores = toy()
    with pytest.raises(ValueError, match='image 1 has more than one set'):
        evaluate(truth, ids * 2, boxes * 2, scores * 2)


def test_bad_objects_are_named():
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(id=8, image_id=1, category_id=1, bbox=[0, 0, -10, 10])
        ])
    with pytest.raises(ValueError, match='annotation 8 of image 1'):
        GroundTruth.from_coco(annotations, [1], [])
    with pytest.raises(ValueError, match=r'on both sides: \[1\]'):
        GroundTruth.from_coco(annotations, [1], [1])
