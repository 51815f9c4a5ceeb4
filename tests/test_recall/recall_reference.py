"""Reference implementations and scenes that the tests of recall share."""

import contextlib
import io

import numpy as np
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator

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
    evaluator = RecallEvaluator(truth, proposals, area_ranges=sizes)
    return evaluator.evaluate(wanted, protocol, nums)


def coco_evaluation(
    annotations,
    image_ids,
    boxes,
    scores,
    nums=NUMS,
    sizes=SIZES,
    wanted=NOVEL,
    others=(),
    evaluator=COCOeval,
):
    """pycocotools, categories removed that are neither wanted nor others."""
    truth, found = COCO(), COCO()
    truth.dataset = dict(
        images=annotations['images'],
        categories=annotations['categories'],
        annotations=[
            dict(a, id=n + 1)
            for n, a in enumerate(
                a
                for a in annotations['annotations']
                if a['category_id'] in {*wanted, *others}
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
        coco_eval = evaluator(truth, found, 'bbox')
        coco_eval.params.useCats = 0
        coco_eval.params.maxDets = list(nums)
        coco_eval.params.areaRng = [list(r) for r in sizes.values()]
        coco_eval.params.areaRngLbl = list(sizes)
        coco_eval.evaluate()
        coco_eval.accumulate()
    return coco_eval


def same(ours, coco_eval):
    """Recalls alike to the bit, precisions to 1e-15."""

    def known(values):
        return np.where(values < 0, np.nan, values)

    for a, name in enumerate(coco_eval.params.areaRngLbl):
        for m, k in enumerate(coco_eval.params.maxDets):
            recall = known(coco_eval.eval['recall'][:, 0, a, m])
            np.testing.assert_array_equal(ours.recall(k, name), recall)
            assert ours.average_recall(k, name) == np.mean(recall) or (
                np.isnan(recall).all()
            )
    np.testing.assert_allclose(
        ours.precision,
        known(coco_eval.eval['precision'][:, :, 0, 0, -1]),
        rtol=0,
        atol=1e-15,
    )


def gathered(coco_eval):
    """Objects found, as a mean over thresholds, by image and by category."""
    by_image, by_class = {}, {}
    annotations = coco_eval.cocoGt.anns
    for result in coco_eval.evalImgs:  # the first area range is `all`
        if result is None or result['aRng'] != coco_eval.params.areaRng[0]:
            continue
        for n, (i, ignored) in enumerate(
            zip(result['gtIds'], result['gtIgnore'])
        ):
            if not ignored:
                share = np.mean(result['gtMatches'][:, n] > 0)
                for counts, key in (
                    (by_image, result['image_id']),
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


def slow_oln(
    annotations, image_ids, boxes, scores, nums=NUMS, novel=NOVEL, length=1500
):
    """OLN's evaluator: one proposal after the other, columns dropped last.

    pycocotools accumulates over images; its matching is not used.
    """

    class Evaluator(COCOeval):
        def evaluateImg(self, image_id, _, area_range, _max_dets):
            objects = [
                a
                for category in sorted({*BASE, *NOVEL})
                for a in self._gts[image_id, category]
            ]
            found = [d for c in novel for d in self._dts[image_id, c]]
            found.sort(key=lambda d: -d['score'])
            found = found[: max(length, *nums)]
            wanted = [
                a['category_id'] in novel
                and not a['iscrowd']
                and area_range[0] <= a['area'] <= area_range[1]
                for a in objects
            ]
            matches = [
                self.match(thr, found, objects, wanted)
                for thr in self.params.iouThrs
            ]
            stay = [
                d
                for d, n in enumerate(matches[0])
                if n is None or objects[n]['category_id'] in novel
            ]
            columns = [[row[d] for d in stay] for row in matches]
            return dict(
                image_id=image_id,
                aRng=area_range,
                dtScores=[found[d]['score'] for d in stay],
                gtIgnore=np.array([not w for w in wanted], bool),
                dtMatches=table(columns, lambda n: n is not None),
                dtIgnore=table(
                    columns, lambda n: n is not None and not wanted[n]
                ),
            )

        def match(self, thr, found, objects, wanted):
            taken, row = set(), []
            for d in found:
                candidates = []
                for n, a in enumerate(objects):
                    iou = slow_iou(d['bbox'], a['bbox'], a['iscrowd'])
                    free = a['iscrowd'] or n not in taken
                    if free and iou >= min(thr, 1 - 1e-10):
                        candidates.append((wanted[n], iou, n))
                row.append(max(candidates)[2] if candidates else None)
                taken.add(row[-1])
            return row

    def table(columns, test):
        return np.array([[test(n) for n in row] for row in columns], bool)

    return coco_evaluation(
        *(annotations, image_ids, boxes, scores, nums),
        wanted=novel,
        others=(*BASE, *NOVEL),
        evaluator=Evaluator,
    )


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


def jittered(seed, images=12, objects=90, copies=9, spread=60):
    """Objects, and more proposals about each than are counted."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(images) + 100
    objects = [
        dict(
            image_id=int(rng.choice(ids)),
            category_id=int(rng.integers(1, 5)),
            bbox=[*rng.uniform(0, spread, 2), *rng.uniform(4, 40, 2)],
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
