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

from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator
from mmdet_owp.recall import evaluator as recall

NUMS = (1, 3, 10)
SIZES = dict(all=(0, 1e10), s=(0, 100), m=(100, 400), l=(400, 1e10))
BASE, NOVEL = (1, 4), (2, 3)


def evaluate(
    annotations,
    image_ids,
    boxes,
    scores,
    *,
    wanted=NOVEL,
    protocol='drop-base',
    nums=NUMS,
    sizes=SIZES,
):
    """Ours."""
    truth = GroundTruth.from_coco(annotations)
    proposals = Proposals.from_images(
        truth.image_ids, image_ids, boxes, scores
    )
    judge = RecallEvaluator(truth, proposals, area_ranges=sizes)
    return judge.evaluate(wanted, protocol, nums)


def coco_judge(
    annotations, image_ids, boxes, scores, nums=NUMS, sizes=SIZES, wanted=NOVEL
):
    """pycocotools, other categories removed."""
    truth, found = COCO(), COCO()
    truth.dataset = dict(
        images=annotations['images'],
        categories=annotations['categories'],
        annotations=[
            dict(a, id=n + 1)
            for n, a in enumerate(
                a
                for a in annotations['annotations']
                if a['category_id'] in wanted
            )
        ],
    )
    found.dataset = dict(
        images=annotations['images'],
        categories=annotations['categories'],
        annotations=[
            dict(
                image_id=image_id,
                category_id=wanted[0],
                bbox=[float(v) for v in box],
                area=float(box[2] * box[3]),
                score=float(score),
            )
            for image_id, rows, column in zip(image_ids, boxes, scores)
            for box, score in zip(rows, column)
        ],
    )
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
    return judge


def same(ours, judge):
    """Recalls alike to the bit, precisions to 1e-15."""

    def known(values):
        return np.where(values < 0, np.nan, values)

    for a, name in enumerate(judge.params.areaRngLbl):
        for m, k in enumerate(judge.params.maxDets):
            recall = known(judge.eval['recall'][:, 0, a, m])
            np.testing.assert_array_equal(ours.recall(k, name), recall)
            assert ours.average_recall(k, name) == np.mean(recall) or (
                np.isnan(recall).all()
            )
    np.testing.assert_allclose(
        ours.precision,
        known(judge.eval['precision'][:, :, 0, 0, -1]),
        rtol=0,
        atol=1e-15,
    )


def gathered(judge):
    """Objects found, as a mean over thresholds, by image and by category."""
    by_image, by_class = {}, {}
    annotations = judge.cocoGt.anns
    for judged in judge.evalImgs:  # the first area range is `all`
        if judged is None or judged['aRng'] != judge.params.areaRng[0]:
            continue
        for n, (i, ignored) in enumerate(
            zip(judged['gtIds'], judged['gtIgnore'])
        ):
            if not ignored:
                share = np.mean(judged['gtMatches'][:, n] > 0)
                for counts, key in (
                    (by_image, judged['image_id']),
                    (by_class, annotations[i]['category_id']),
                ):
                    counts.setdefault(key, []).append(share)
    return by_image, by_class


def slow_iou(d, g, crowd):
    width = min(d[0] + d[2], g[0] + g[2]) - max(d[0], g[0])
    height = min(d[1] + d[3], g[1] + g[3]) - max(d[1], g[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (
        d[2] * d[3] if crowd else d[2] * d[3] + g[2] * g[3] - shared
    )


def slow_exclude(annotations, image_ids, boxes, scores, novel, base):
    """Take out, one by one, the proposals that meet a base object."""
    kept_boxes, kept_scores = [], []
    for image_id, rows, column in zip(image_ids, boxes, scores):
        objects = [
            a
            for category in sorted([*novel, *base])
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
                    if iou >= 0.5 and (best is None or iou >= best[0]):
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
    st.sampled_from([0, 2, 5, 7.5]),
    st.sampled_from([0, 3, 5]),
    st.sampled_from([0, 4, 8, 10, 20]),
    st.sampled_from([3, 6, 10, 21]),
)


@st.composite
def scenes(draw):
    ids = draw(
        st.lists(
            st.sampled_from([1, 5, 6, 2**40, 9]),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    objects = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ids),
                st.sampled_from([4, 3, 2, 1]),
                box,
                st.sampled_from([0, 0, 0, 1]),
                st.sampled_from([1, 0.7]),
            ),
            max_size=14,
        )
    )
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
                iscrowd=crowd,
            )
            for n, (i, c, b, crowd, share) in enumerate(objects)
        ],
    )
    tested = draw(st.lists(st.sampled_from(ids), unique=True))
    boxes, scores = [], []
    for _ in tested:
        rows = draw(
            st.lists(
                st.tuples(box, st.sampled_from([0.1, 0.5, 0.5, 0.9])),
                max_size=13,
            )
        )
        boxes.append(np.array([r[0] for r in rows], float).reshape(-1, 4))
        scores.append(np.array([r[1] for r in rows], float))
    return annotations, tested, boxes, scores


@settings(max_examples=300, deadline=None)
@given(scenes())
def test_drop_base_is_pycocotools(scene):
    ours, judge = evaluate(*scene), coco_judge(*scene)
    same(ours, judge)
    by_image, by_class = gathered(judge)
    found, number = ours.counts_by_image(NUMS[-1])
    for i, image_id in enumerate(sorted(i['id'] for i in scene[0]['images'])):
        shares = by_image.get(image_id, [])
        assert number[i] == len(shares)
        assert found[i] == pytest.approx(sum(shares))
    assert ours.average_recall_by_class(NUMS[-1]) == pytest.approx(
        {c: np.mean(shares) for c, shares in by_class.items()}
    )


@settings(max_examples=300, deadline=None)
@given(scenes(), st.booleans())
def test_exclude_base_is_the_slow_loop(scene, swap):
    novel, base = (BASE, NOVEL) if swap else (NOVEL, BASE)
    kept = slow_exclude(*scene, novel, base)
    ours = evaluate(*scene, wanted=novel, protocol='exclude-base')
    same(ours, coco_judge(*scene[:2], *kept, wanted=novel))
    number = sum(map(len, kept[1])) / max(len(kept[1]), 1)
    if kept[1]:
        assert ours.metrics()['proposals'] == pytest.approx(number)


def jittered(seed, images=12, objects=90, copies=9):
    """Objects, and more proposals about each than are counted."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(images) + 100
    objects = [
        dict(
            image_id=int(rng.choice(ids)),
            category_id=int(rng.integers(1, 5)),
            bbox=[*rng.uniform(0, 60, 2), *rng.uniform(4, 40, 2)],
            iscrowd=int(rng.random() < 0.1),
        )
        for _ in range(objects)
    ]
    for a in objects:
        a['area'] = a['bbox'][2] * a['bbox'][3]
    annotations = dict(
        images=[dict(id=int(i)) for i in ids],
        categories=[dict(id=i, name=str(i)) for i in (1, 2, 3, 4)],
        annotations=objects,
    )
    boxes, scores = [], []
    for i in ids:
        near = np.array([a['bbox'] for a in objects if a['image_id'] == i])
        rows = near.reshape(-1, 4).repeat(copies, axis=0)
        boxes.append(rows * rng.uniform(0.8, 1.2, rows.shape))
        scores.append(rng.random(len(rows)).round(2))
    return annotations, ids.tolist(), boxes, scores


@pytest.mark.parametrize(
    'block, task', [(1, 1), (40, 100), (recall._BLOCK, recall._TASK)]
)
@pytest.mark.parametrize('seed', range(3))
def test_many_proposals(seed, block, task, monkeypatch):
    """Crowds, equal scores, images of every size, tables of any size."""
    monkeypatch.setattr(recall, '_BLOCK', block)
    monkeypatch.setattr(recall, '_TASK', task)
    scene = jittered(seed)
    ours = evaluate(*scene)
    assert 0.1 < ours.average_recall(10) < 0.9
    same(ours, coco_judge(*scene))
    kept = slow_exclude(*scene, NOVEL, BASE)
    ours = evaluate(*scene, protocol='exclude-base')
    same(ours, coco_judge(*scene[:2], *kept))


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
    same(evaluate(*scene), coco_judge(*scene))


def test_thresholds_are_free():
    """Also below the IoU at which `exclude-base` takes proposals out."""
    annotations, image_ids, boxes, scores = scene = jittered(4)
    truth = GroundTruth.from_coco(annotations)
    proposals = Proposals.from_images(
        truth.image_ids, image_ids, boxes, scores
    )
    judge = RecallEvaluator(truth, proposals, iou_thrs=(0.3, 0.75))
    low, high = judge.evaluate(NOVEL, proposal_nums=NUMS).recall(3)
    usual = evaluate(*scene).recall(3)
    assert low > usual[0] > high == usual[5]
    excluded = judge.evaluate(NOVEL, 'exclude-base', NUMS)
    assert (
        excluded.recall(3)[1]
        == evaluate(*scene, protocol='exclude-base').recall(3)[5]
    )


def test_rows_in_any_order_are_images_in_order():
    annotations, image_ids, boxes, scores = scene = jittered(5)
    # Scores of one image stay in order where equal.
    scores = [np.sort(s)[::-1] + np.arange(len(s)) * 1e-9 for s in scores]
    rows = [
        np.repeat(image_ids, [len(s) for s in scores]),
        np.concatenate(boxes),
        np.concatenate(scores),
    ]
    order = np.random.default_rng(0).permutation(len(rows[0]))
    truth = GroundTruth.from_coco(annotations)
    proposals = Proposals.from_rows(
        truth.image_ids, *(column[order] for column in rows)
    )
    shuffled = RecallEvaluator(truth, proposals).evaluate(NOVEL)
    tidy = evaluate(
        *scene[:3], scores, sizes=recall.AREA_RANGES, nums=(10, 100)
    )
    np.testing.assert_equal(shuffled.metrics(), tidy.metrics())


def test_area_under_curve_is_the_integral():
    """Of AR, piecewise linear in log k, on a fine grid."""
    ours = evaluate(*jittered(6, images=3, objects=40, copies=60))
    k = np.arange(1, 1001)
    curve = [ours.average_recall(i) for i in k]
    assert curve[0] < 0.1 < 0.7 < curve[-1]
    grid = np.linspace(0, np.log(1000), 200001)
    area = np.interp(grid, np.log(k), curve).mean()
    assert ours.area_under_curve() == pytest.approx(area, abs=1e-5)


def test_five_thousand_images_of_a_thousand_proposals():
    """Of some images what pycocotools says of them, each by itself."""
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
        coco_judge(
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
        settings = dict(
            nums=(10, 100), sizes=recall.AREA_RANGES, wanted=wanted
        )
        ours = evaluate(annotations, ids, boxes, scores, **settings)
        assert ours.average_recall(100) > 0.3
        same(ours, coco_judge(annotations, ids, boxes, scores, **settings))


def toy(base_crowd=0):
    """A base object that one proposal finds before one finds the novel."""
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(
                image_id=1,
                category_id=1,
                bbox=[0, 0, 10, 10],
                iscrowd=base_crowd,
            ),
            dict(image_id=1, category_id=2, bbox=[50, 50, 10, 10]),
        ],
    )
    boxes = np.array([[0.0, 0, 10, 10], [50, 50, 10, 10]])
    return annotations, [1], [boxes], [np.array([0.9, 0.8])]


def test_protocols_differ_by_everything():
    drop = evaluate(*toy(), nums=(1,))
    exclude = evaluate(*toy(), nums=(1,), protocol='exclude-base')
    assert drop.average_recall(1) == 0.0
    assert exclude.average_recall(1) == 1.0


def test_a_base_object_takes_out_one_proposal_a_crowd_any_number():
    for crowd, expected in ((0, (0.0, 1.0)), (1, (1.0, 1.0))):
        annotations, ids, boxes, _ = toy(crowd)
        found = evaluate(
            annotations,
            ids,
            [boxes[0][[0, 0, 1]]],
            [np.array([0.9, 0.9, 0.8])],
            protocol='exclude-base',
        )
        assert (found.average_recall(1), found.average_recall(2)) == expected


def test_lists_cut_too_short():
    """Two proposals, one taken out: k=2 can't be reached, k=1 can."""
    for protocol, k, short in (
        ('exclude-base', 2, True),
        ('exclude-base', 1, False),
        ('drop-base', 2, False),
        ('drop-base', 3, False),
    ):
        line = evaluate(*toy(), protocol=protocol, nums=(k,)).cut_short()
        assert line.startswith('1 images have 2 proposals,') == short
        assert bool(line) == short
    # An image with more proposals was not cut at two.
    annotations, ids, boxes, scores = toy()
    annotations['images'].append(dict(id=2))
    for second in ([0, 0, 0], [0]):
        found = evaluate(
            annotations,
            [1, 2],
            [boxes[0], boxes[0][second]],
            [scores[0], scores[0][second]],
            protocol='exclude-base',
            nums=(2,),
        )
        assert found.cut_short() == ''


def test_nothing_to_find_is_not_a_number():
    scene = (
        dict(images=[dict(id=1)], annotations=[]),
        [1],
        [np.ones((3, 4))],
        [np.ones(3)],
    )
    for protocol in recall.PROTOCOLS:
        found = evaluate(*scene, protocol=protocol)
        assert found.average_recall_by_class(10) == {}
        metrics = found.metrics()
        assert metrics.pop('proposals') == 3
        assert np.isnan(list(metrics.values())).all()


def test_nothing_proposed_finds_nothing():
    for protocol in recall.PROTOCOLS:
        for arguments in (([], [], []), ([1], [[]], [[]])):
            found = evaluate(toy()[0], *arguments, protocol=protocol)
            metrics = found.metrics()
            assert [metrics[key] for key in ('AR@10', 'AP', 'AUC')] == [0] * 3


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(image_ids=[2]),
            '1 images are not in the annotation file.* id 2',
        ),
        (dict(image_ids=[2**40]), f'not in the annotation file.* id {2**40}'),
        (dict(image_ids=[1, 1]), '2 images, but boxes of 1'),
        (dict(scores=[[0.5]]), 'image 1: 2 boxes, but 1 scores'),
        (
            dict(scores=[[0.5, float('nan')]]),
            r'image 1: proposal 1 \(row 1\) has',
        ),
        (
            dict(scores=[[float('inf'), 1]]),
            r'image 1: proposal 0 \(row 0\) has',
        ),
        (dict(boxes=[[[0, 0, 1, 1], [0, 0, -1, 1]]]), 'image 1: proposal 1 '),
        (dict(boxes=[[[0, float('inf'), 1, 1]]], scores=[[1]]), 'proposal 0 '),
        (dict(protocol='both'), "protocol must be one of .*'both'"),
        (dict(nums=(0,)), 'proposal_nums must be positive'),
        (dict(nums=()), 'proposal_nums must be positive'),
        (dict(sizes=dict(s=(0, 9))), "area_ranges must have 'all', not only"),
    ],
)
def test_bad_proposals_are_named(change, message):
    annotations, image_ids, boxes, scores = toy()
    arguments = dict(image_ids=image_ids, boxes=boxes, scores=scores)
    with pytest.raises(ValueError, match=message) as error:
        evaluate(annotations, **{**arguments, **change})
    assert '\n' not in str(error.value)


def test_row_and_image_are_named():
    with pytest.raises(ValueError, match=r'image 9: proposal 1 \(row 3\)'):
        Proposals.from_rows(
            np.array([8, 9]),
            [8, 9, 8, 9],
            np.array([[0, 0, 1, 1.0]] * 3 + [[0, 0, 1, np.nan]]),
            np.ones(4),
        )


def test_image_given_twice():
    annotations, ids, boxes, scores = toy()
    with pytest.raises(ValueError, match='image 1 has more than one set'):
        evaluate(annotations, ids * 2, boxes * 2, scores * 2)


def test_bad_objects_are_named():
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(id=8, image_id=1, category_id=1, bbox=[0, 0, -10, 10])
        ],
    )
    with pytest.raises(ValueError, match='annotation 8 of image 1'):
        GroundTruth.from_coco(annotations)
    del annotations['annotations'][0]['bbox']
    with pytest.raises(ValueError, match='annotation 8 of image 1 has no '):
        GroundTruth.from_coco(annotations)


def test_bootstrap_of_a_difference():
    """Against the spread of AR over draws of images, and of no difference."""
    scene = jittered(7, images=60, objects=300)
    annotations, ids, boxes, scores = scene
    rng = np.random.default_rng(1)
    worse = [b * rng.uniform(0.9, 1.1, b.shape) for b in boxes]
    first = evaluate(annotations, ids, worse, scores)
    second = evaluate(*scene)
    difference, low, high = recall.bootstrap_difference(first, second, 10)
    assert (
        difference
        == (second.average_recall(10) - first.average_recall(10))
        > 0
    )
    assert low < difference < high
    drawn = []
    for seed in range(200):
        picked = np.random.default_rng(seed).choice(60, 60)
        parts = []
        for n, i in enumerate(picked):
            parts += [
                dict(a, image_id=n)
                for a in annotations['annotations']
                if a['image_id'] == ids[i]
            ]
        part = dict(images=[dict(id=n) for n in range(60)], annotations=parts)
        values = [
            evaluate(
                part,
                list(range(60)),
                [some[i] for i in picked],
                [scores[i] for i in picked],
            ).average_recall(10)
            for some in (worse, boxes)
        ]
        drawn.append(values[1] - values[0])
    expected = np.quantile(drawn, (0.025, 0.975))
    assert (low, high) == pytest.approx(expected, abs=0.2 * (high - low))
    same_list = recall.bootstrap_difference(second, second, 10)
    assert same_list == (0, 0, 0)
