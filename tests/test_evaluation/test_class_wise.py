"""Class-wise numbers against published ones, pycocotools, lvis and mmdet."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_owp.datasets.coco_file import CocoObjects
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation import class_wise
from mmdet_owp.evaluation.class_wise_metric import ClassWiseMetric
from mmdet_owp.partitions import COCO_NON_VOC, COCO_VOC, resolve_partition
from mmdet_owp.shapes.dataset import make_shapes
from mmdet_owp.shapes.lvis import LVIS_IDS

# Of the COCO API's example, with its 100 images.
PUBLISHED = dict(
    AP=0.505,
    AP50=0.697,
    AP75=0.573,
    AP_s=0.586,
    AP_m=0.519,
    AP_l=0.501,
    **{
        'AR@1': 0.387,
        'AR@10': 0.594,
        'AR@100': 0.595,
        'AR_s@100': 0.640,
        'AR_m@100': 0.566,
        'AR_l@100': 0.564,
    },
)


@pytest.fixture
def example(shared_dir):
    """Annotations and detections of the COCO API's example."""
    folder = shared_dir / 'data' / 'evaluator'
    rows = json.loads(
        (folder / 'instances_val2014_fakebbox100_results.json').read_text()
    )
    return (
        json.loads((folder / 'instances_val2014_100.json').read_text()),
        rows,
    )


def evaluate_class_wise(annotations, *args, **kwargs):
    objects = CocoObjects.from_coco(annotations, 'ann.json')
    return class_wise.evaluate_class_wise(objects, *args, **kwargs)


def columns(rows):
    return [
        np.array([r[key] for r in rows])
        for key in ('image_id', 'bbox', 'score', 'category_id')
    ]


def test_published_numbers(example):
    annotations, rows = example
    ids = [c['id'] for c in annotations['categories']]
    ours = evaluate_class_wise(annotations, ids, *columns(rows))
    assert {k: round(v, 3) for k, v in ours.items()} == PUBLISHED


def scene(seed=0, images=25, classes=6, ids=None):
    """Objects with crowds, detections near them, some of another class."""
    rng = np.random.default_rng(seed)
    ids = ids or [2**33 + 7 * i for i in range(images)]
    objects = [
        dict(
            id=n,  # 0, too
            image_id=int(rng.choice(ids)),
            category_id=int(rng.integers(1, classes + 1)),
            bbox=[*rng.uniform(0, 400, 2), *rng.uniform(4, 160, 2)],
            iscrowd=int(rng.random() < 0.05),
        )
        for n in range(8 * images)
    ]
    for a in objects:
        a['area'] = 0.8 * a['bbox'][2] * a['bbox'][3]
    annotations = dict(
        images=[dict(id=i, width=640, height=640) for i in ids],
        categories=[dict(id=i, name=str(i)) for i in range(classes, 0, -1)],
        annotations=objects,
    )
    rows = []
    for a in objects:
        for _ in range(3):
            box = np.array(a['bbox']) * rng.uniform(0.97, 1.03, 4)
            category = a['category_id']
            if rng.random() < 0.3:
                category = int(rng.integers(1, classes + 1))
            rows.append(
                dict(
                    image_id=a['image_id'],
                    bbox=box.tolist(),
                    score=round(rng.random(), 2),
                    category_id=category,
                )
            )
    return annotations, rows


@pytest.mark.parametrize('seed', range(3))
def test_some_classes_are_those_of_pycocotools(seed):
    annotations, rows = scene(seed)
    base = [2, 3, 5]
    ours = evaluate_class_wise(annotations, base, *columns(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(
            annotations,
            annotations=[
                dict(a, id=a['id'] + 1) for a in annotations['annotations']
            ],
        )
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(rows), 'bbox')
        evaluator.params.catIds = base
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    assert 0.2 < ours['AP'] < 0.9
    np.testing.assert_allclose(
        list(ours.values()), evaluator.stats, rtol=0, atol=1e-14
    )


def sample_of(image_id, rows, classes):
    """Detections of an image, labelled by the order of the classes."""
    boxes = torch.tensor([r['bbox'] for r in rows]).double().reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return DetDataSample(
        metainfo=dict(img_id=image_id, ori_shape=(640, 640)),
        pred_instances=InstanceData(
            bboxes=boxes,
            scores=torch.tensor([r['score'] for r in rows]).double(),
            labels=torch.tensor(
                [classes.index(r['category_id']) for r in rows]
            ).long(),
        ),
    )


def lvis_scene(shared_dir, per_image=0):
    """The federated example, and detections of right and wrong classes."""
    annotations = json.loads(
        (shared_dir / 'data/evaluator/lvis_val_100.json').read_text()
    )
    rng = np.random.default_rng(0)
    named = [
        i['neg_category_ids'] + i['not_exhaustive_category_ids']
        for i in annotations['images']
    ]
    named = {i['id']: n for i, n in zip(annotations['images'], named)}
    rows = []
    for a in annotations['annotations']:
        for _ in range(4 + per_image // 10):
            box = np.array(a['bbox']) * rng.uniform(0.85, 1.15, 4)
            choice = rng.random()
            category = a['category_id']
            if choice < 0.2 and named[a['image_id']]:
                category = int(rng.choice(named[a['image_id']]))
            elif choice < 0.3:
                category = int(rng.integers(1, 1231))
            rows.append(
                dict(
                    image_id=a['image_id'],
                    bbox=box.tolist(),
                    score=float(rng.random()),
                    category_id=category,
                )
            )
    return annotations, rows


@pytest.mark.parametrize('per_image', [0, 600])
def test_federated_numbers_are_those_of_lvis(
    shared_dir, tmp_path, monkeypatch, per_image
):
    """Also where more than 300 detections are given in an image."""
    lvis = pytest.importorskip('lvis')
    annotations, rows = lvis_scene(shared_dir, per_image)
    if per_image:
        ids = [r['image_id'] for r in rows]
        assert max(map(ids.count, set(ids))) > 300
    half = [c['id'] for c in annotations['categories']][1::2]
    ours = evaluate_class_wise(annotations, half, *columns(rows), style='lvis')
    path = tmp_path / 'lvis.json'
    path.write_text(json.dumps(annotations))
    monkeypatch.setattr(np, 'float', float, raising=False)
    truth = lvis.LVIS(str(path))
    evaluator = lvis.LVISEval(truth, lvis.LVISResults(truth, rows), 'bbox')
    evaluator.params.cat_ids = half
    evaluator.run()
    theirs = evaluator.get_results()
    assert 0.05 < ours['AP'] < 0.9
    names = dict(
        AP_s='APs',
        AP_m='APm',
        AP_l='APl',
        AP_r='APr',
        AP_c='APc',
        AP_f='APf',
        **{f'AR_{s}@300': f'AR{s}@300' for s in 'sml'},
    )
    for name, value in ours.items():
        assert value == pytest.approx(
            theirs[names.get(name, name)], abs=1e-14
        ), name


def test_class_without_objects_counts_as_nothing(shared_dir):
    """Neither as 0 nor as NaN, whatever is detected of it."""
    annotations, rows = lvis_scene(shared_dir)
    rows = rows[::2]
    present = {a['category_id'] for a in annotations['annotations']}
    absent = [
        c['id'] for c in annotations['categories'] if c['id'] not in present
    ]
    assert {r['category_id'] for r in rows} & set(absent)
    alone = evaluate_class_wise(
        annotations, present, *columns(rows), style='lvis'
    )
    beside = evaluate_class_wise(
        annotations, [*present, *absent], *columns(rows), style='lvis'
    )
    # The best 300 of an image are the best of all its classes.
    assert (
        max(
            sum(r['image_id'] == i['id'] for r in rows)
            for i in annotations['images']
        )
        <= 300
    )
    assert beside == alone
    assert all(0 < value < 1 for value in alone.values())
    # Not one class with objects: nothing to say.
    none = evaluate_class_wise(
        annotations, absent[:5], *columns(rows), style='lvis'
    )
    assert all(np.isnan(value) for value in none.values())


@pytest.mark.parametrize('partition', ['lvis-id', 'lvis-count'])
def test_metric_on_lvis_is_lvis_on_base_classes(
    tmp_path, partition, monkeypatch
):
    """The built-in data, with detections of base classes as labels."""
    lvis = pytest.importorskip('lvis')
    make_shapes(tmp_path, num_train=1, num_val=20, size=64, style='lvis')
    path = tmp_path / 'annotations/lvis_v1_val.json'
    content = json.loads(path.read_text())
    metric = ClassWiseMetric(str(path), partition, style='lvis')
    base = list(resolve_partition(partition, content['categories'], '').base)
    metric.dataset_meta = dict(classes=tuple(metric.categories.values()))
    rng = np.random.default_rng(0)
    shown = [i for i in LVIS_IDS.values() if i in base]
    rows = []
    for image in content['images']:
        objects = [
            a for a in content['annotations'] if a['image_id'] == image['id']
        ]
        found = [
            dict(
                image_id=image['id'],
                bbox=(np.array(a['bbox']) * rng.uniform(0.9, 1.1, 4)).tolist(),
                score=float(rng.random()),
                category_id=a['category_id']
                if a['category_id'] in base and rng.random() < 0.7
                else int(rng.choice(shown)),
            )
            for a in objects
            for _ in range(3)
        ]
        rows += found
        sample = sample_of(image['id'], found, base)
        metric.process({}, [sample.to_dict()])
    ours = metric.evaluate(20)
    monkeypatch.setattr(np, 'float', float, raising=False)
    truth = lvis.LVIS(str(path))
    evaluator = lvis.LVISEval(truth, lvis.LVISResults(truth, rows), 'bbox')
    evaluator.params.cat_ids = base
    evaluator.run()
    theirs = evaluator.get_results()
    assert 0.05 < theirs['AP'] < 0.9
    for name, other in (
        ('AP', 'AP'),
        ('AP50', 'AP50'),
        ('AP75', 'AP75'),
        ('AP_r', 'APr'),
        ('AP_c', 'APc'),
        ('AP_f', 'APf'),
        ('AR@300', 'AR@300'),
    ):
        assert ours[f'{partition}_base_class-wise/{name}'] == pytest.approx(
            theirs[other], abs=1e-9
        ), name


@pytest.mark.parametrize('style', ['coco', 'lvis'])
def test_no_detections_find_nothing(shared_dir, style):
    if style == 'lvis':
        annotations, rows = lvis_scene(shared_dir)
    else:
        annotations, rows = scene()
    nothing = [c[:0] for c in columns(rows)]
    ids = [c['id'] for c in annotations['categories']]
    ours = evaluate_class_wise(annotations, ids, *nothing, style=style)
    assert set(ours.values()) == {0}


def test_bad_input():
    annotations, rows = scene()
    image_ids, *rest = columns(rows)
    with pytest.raises(UserError, match='style must be one of'):
        evaluate_class_wise(annotations, [1], image_ids, *rest, style='voc')
    with pytest.raises(UserError, match='not an LVIS annotation file'):
        evaluate_class_wise(annotations, [1], image_ids, *rest, style='lvis')
    with pytest.raises(UserError, match='not in the annotation file'):
        evaluate_class_wise(annotations, [1], image_ids + 1, *rest)


@pytest.fixture
def coco_file(tmp_path):
    """A file of COCO's classes, which has few objects of each."""
    annotations, rows = scene(classes=80, images=40)
    classes = {**COCO_VOC, **COCO_NON_VOC}
    ids = sorted(classes)
    annotations['categories'] = [
        dict(id=i, name=classes[i]) for i in reversed(ids)
    ]
    for row in (*annotations['annotations'], *rows):
        row['category_id'] = ids[row['category_id'] - 1]
    for n, a in enumerate(annotations['annotations']):
        a['id'] = n + 1
    path = tmp_path / 'coco.json'
    path.write_text(json.dumps(annotations))
    return path, annotations, rows


def test_metric_is_mmdets_on_base_classes(coco_file):
    path, annotations, rows = coco_file
    base = dict(sorted(COCO_VOC.items()))
    # mmdet orders labels by the file: give it one in ascending order.
    tidy = dict(annotations, categories=annotations['categories'][::-1])
    (path.parent / 'tidy.json').write_text(json.dumps(tidy))
    theirs = CocoMetric(ann_file=str(path.parent / 'tidy.json'))
    ours = ClassWiseMetric(str(path), 'voc')
    for metric in (theirs, ours):
        metric.dataset_meta = dict(classes=tuple(base.values()))
        for image in annotations['images']:
            found = [
                r
                for r in rows
                if r['image_id'] == image['id'] and r['category_id'] in base
            ]
            sample = sample_of(image['id'], found, [*base])
            metric.process({}, [sample.to_dict()])
    theirs, ours = theirs.evaluate(40), ours.evaluate(40)
    for name, other in (
        ('AP', 'mAP'),
        ('AP50', 'mAP_50'),
        ('AP75', 'mAP_75'),
        ('AP_s', 'mAP_s'),
        ('AP_m', 'mAP_m'),
        ('AP_l', 'mAP_l'),
    ):
        # mmdet rounds to three digits.
        assert ours[f'base_class-wise/{name}'] == pytest.approx(
            theirs[f'coco/bbox_{other}'], abs=6e-4
        )
    assert 0.1 < ours['base_class-wise/AP'] < 0.9


def test_metric_is_given_other_classes(coco_file):
    metric = ClassWiseMetric(str(coco_file[0]), 'voc')
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    with pytest.raises(UserError, match='coco.json: labels are of 2 cl'):
        metric.compute_metrics([])
    with pytest.raises(UserError, match='style must be one of'):
        ClassWiseMetric(str(coco_file[0]), 'voc', style='pascal')
