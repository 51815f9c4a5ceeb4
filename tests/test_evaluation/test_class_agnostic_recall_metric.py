"""The metric as mmengine's evaluator uses it."""

import copy
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmdet_owp.datasets import coco_file
from mmdet_owp.datasets.coco_split import CocoSplitDataset
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation import class_agnostic_recall_metric
from mmdet_owp.evaluation.class_agnostic_recall_metric import (
    ClassAgnosticRecallMetric,
)
from mmdet_owp.evaluation.class_wise_metric import ClassWiseMetric
from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator

META = dict(classes=('base',))


@pytest.fixture
def annotations():
    rng = np.random.default_rng(0)
    return dict(
        images=[
            dict(id=i, width=64, height=64, file_name=f'{i}.png')
            for i in (3, 1, 2)
        ],
        categories=[dict(id=1, name='base'), dict(id=2, name='novel')],
        annotations=[
            dict(
                id=n + 1,
                image_id=n % 3 + 1,
                category_id=n % 2 + 1,
                bbox=[float(v) for v in rng.uniform(5, 30, 4)],
                iscrowd=int(n == 7),
                segmentation=[],
            )
            for n in range(18)
        ],
    )


@pytest.fixture
def ann_file(annotations, tmp_path):
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(annotations))
    return str(path)


@pytest.fixture
def samples(annotations):
    """Real data samples: jittered objects, class detections that miss."""
    rng = np.random.default_rng(1)
    samples = []
    for image in annotations['images']:
        near = np.array(
            [
                a['bbox']
                for a in annotations['annotations']
                if a['image_id'] == image['id']
            ]
        )
        near = near * rng.uniform(0.9, 1.1, near.shape)
        near[:, 2:] += near[:, :2]
        proposals = InstanceData(
            bboxes=torch.tensor(near, dtype=torch.float32),
            scores=torch.tensor(rng.random(len(near)), dtype=torch.float32),
        )
        samples.append(
            DetDataSample(
                metainfo=dict(img_id=image['id']),
                proposals=proposals,
                pred_instances=InstanceData(
                    bboxes=torch.tensor([[0.0, 0, 1, 1]]),
                    scores=torch.tensor([0.5]),
                    labels=torch.tensor([0]),
                ),
            )
        )
    return samples


@pytest.fixture
def logged(monkeypatch):
    """Texts that the metric logs."""
    texts = []
    monkeypatch.setattr(
        class_agnostic_recall_metric,
        'print_log',
        lambda text, **_: texts.append(text),
    )
    return texts


def evaluate(samples, **settings):
    with DefaultScope.overwrite_default_scope('mmdet'):
        evaluator = Evaluator(
            dict(
                type='ClassAgnosticRecallMetric',
                partition=['base'],
                **settings,
            )
        )
    evaluator.dataset_meta = META
    evaluator.process(data_samples=samples, data_batch=None)
    return evaluator.evaluate(len(samples))


def test_names_and_numbers(annotations, ann_file, samples):
    metrics = evaluate(
        samples,
        ann_file=ann_file,
        split=('novel', 'base', 'all'),
        protocol=('drop-base', 'exclude-base', 'oln'),
        proposal_nums=(1, 4),
    )
    image_ids = [s.img_id for s in samples]
    boxes = [s.proposals.bboxes.double().numpy() for s in samples]
    boxes = [np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]) for b in boxes]
    scores = [s.proposals.scores.numpy() for s in samples]
    truth = GroundTruth.from_coco(annotations)
    evaluator = RecallEvaluator(
        truth, Proposals.from_images(truth.image_ids, image_ids, boxes, scores)
    )
    expected = {}
    for split, targets in (('novel', [2]), ('base', [1]), ('all', [1, 2])):
        for protocol in ('drop-base', 'exclude-base', 'oln'):
            found = evaluator.evaluate(targets, protocol, (1, 4))
            for key, value in found.metrics().items():
                expected[f'{split}_{protocol}/{key}'] = value
    np.testing.assert_equal(metrics, expected)
    assert (
        0
        < metrics['novel_drop-base/AR@4']
        < metrics['novel_exclude-base/AR@4']
    )
    assert not [name for name in metrics if name.startswith('AR')]


def test_hits_file(annotations, ann_file, samples, tmp_path):
    path = tmp_path / 'new' / 'hits.json'
    metrics = evaluate(
        samples, ann_file=ann_file, proposal_nums=(1, 4), hits_file=str(path)
    )
    (hits,) = json.loads(path.read_text()).values()
    # Not the crowd region, the object at index 7; images by ascending id.
    novel = [
        a['image_id']
        for a in annotations['annotations']
        if a['category_id'] == 2 and not a['iscrowd']
    ]
    assert hits['objects'] == [novel.count(i) for i in (1, 2, 3)]
    for k in ('1', '4'):
        recall = sum(hits[k]) / len(novel) / 10
        assert recall == pytest.approx(metrics[f'novel_drop-base/AR@{k}'])
    with pytest.raises(UserError, match='ann.json is a file, not a folder'):
        evaluate(samples, hits_file=f'{ann_file}/hits.json')


def test_details(ann_file, samples, logged):
    metrics = evaluate(
        samples,
        ann_file=ann_file,
        split=('all', 'novel'),
        proposal_nums=(1, 4),
        details=True,
    )
    plain = evaluate(
        samples,
        ann_file=ann_file,
        split=('all', 'novel'),
        proposal_nums=(1, 4),
    )
    details = {k: v for k, v in metrics.items() if k not in plain}
    np.testing.assert_equal(
        {k: v for k, v in metrics.items() if k in plain}, plain
    )
    thresholds = [f'{t:.2f}' for t in np.arange(0.5, 1, 0.05)]
    for split, classes in (('novel', ['novel']), ('all', ['base', 'novel'])):
        of_split = {
            k.split('/', 1)[1]: v
            for k, v in details.items()
            if k.startswith(f'{split}_')
        }
        assert list(of_split) == [
            *(f'AR@4/{c}' for c in classes),
            *(f'recall@4/{t}' for t in thresholds),
        ]
        recalls = [of_split[f'recall@4/{t}'] for t in thresholds]
        assert recalls == sorted(recalls, reverse=True)
        assert np.mean(recalls) == plain[f'{split}_drop-base/AR@4']
    # Crowd regions do not count: 9 and 8 objects.
    assert plain['all_drop-base/AR@4'] == pytest.approx(
        (
            details['all_drop-base/AR@4/base'] * 9
            + details['all_drop-base/AR@4/novel'] * 8
        )
        / 17
    )
    assert any('AR@4/base' in text for text in logged)


def test_warns_where_proposals_were_cut_too_short(ann_file, samples, logged):
    """Six per image; k=6 can't be reached where a base object takes one."""
    for protocol, k, expected in (
        ('drop-base', 6, []),
        ('exclude-base', 2, []),
        ('exclude-base', 6, ['3 images have 6']),
    ):
        logged.clear()
        evaluate(
            samples, ann_file=ann_file, protocol=protocol, proposal_nums=(1, k)
        )
        warnings = [text for text in logged if 'raise max_per_img' in text]
        assert [
            re.search('[0-9]+ images have [0-9]+', text)[0]
            for text in warnings
        ] == expected


def test_models_without_proposals_are_evaluated_by_detections(
    ann_file, samples, logged
):
    ours = evaluate(samples, ann_file=ann_file)
    for sample in samples:
        sample.pred_instances = InstanceData(
            labels=torch.zeros(len(sample.proposals), dtype=torch.long),
            **dict(sample.proposals.items()),
        )
        del sample.proposals
    metric = ClassAgnosticRecallMetric(ann_file, ['base'])
    for sample in samples:
        metric.process(None, [sample.to_dict()])
    np.testing.assert_equal(metric.evaluate(len(samples)), ours)
    assert sum('gives no `proposals`' in text for text in logged) == 1


def test_predictions_in_bfloat16(ann_file, samples):
    """What a model gives with mmengine's `test_cfg.fp16=True` on a CPU."""
    rounded, single = samples, copy.deepcopy(samples)
    for sample in rounded:
        for found in (sample.proposals, sample.pred_instances):
            found.bboxes = found.bboxes.bfloat16()
            found.scores = found.scores.bfloat16()
    for sample in single:
        for found in (sample.proposals, sample.pred_instances):
            found.bboxes = found.bboxes.bfloat16().float()
            found.scores = found.scores.bfloat16().float()
    np.testing.assert_equal(
        evaluate(rounded, ann_file=ann_file),
        evaluate(single, ann_file=ann_file),
    )
    metric = ClassWiseMetric(ann_file, ['base'])
    metric.process(None, [rounded[0].to_dict()])
    assert metric.results[0]['bboxes'].tolist() == [[0, 0, 1, 1]]


def test_untested_images_count_as_missed(ann_file, samples, logged):
    whole = evaluate(samples, ann_file=ann_file)
    assert not any('were not tested' in text for text in logged)
    part = evaluate(samples[:1], ann_file=ann_file)
    assert any('2 images of' in text for text in logged)
    assert part['novel_drop-base/AR@10'] < whole['novel_drop-base/AR@10']


def test_table_has_a_line_for_each_protocol(ann_file, samples, logged):
    metrics = evaluate(
        samples,
        ann_file=ann_file,
        protocol=('drop-base', 'exclude-base', 'oln'),
    )
    lines = logged[-1].strip('\n').splitlines()
    assert re.fullmatch(
        r' +AR@10 +AR@100 +AR_s@10 .*AUC +AP +proposals', lines[0]
    )
    assert [line.split()[0] for line in lines[1:]] == [
        'novel_drop-base',
        'novel_exclude-base',
        'novel_oln',
    ]
    assert f'{metrics["novel_exclude-base/AR@10"]:.4f}' in lines[2]


def test_image_of_another_set(ann_file, samples):
    samples[0].set_metainfo(dict(img_id=99))
    with pytest.raises(UserError, match='ann.json: 1 images .* id 99'):
        evaluate(samples, ann_file=ann_file)


@pytest.fixture
def evaluated(ann_file):
    """The metainfo of a data set in test mode."""
    dataset = CocoSplitDataset(
        ann_file=ann_file,
        partition=['base'],
        split='base',
        data_prefix=dict(img=''),
        pipeline=[],
        test_mode=True,
    )
    return dataset.metainfo


def test_file_and_partition_come_from_the_data_set(
    ann_file, evaluated, samples, monkeypatch
):
    """The file that the data set has read is not parsed again."""
    monkeypatch.setattr(coco_file, 'read_coco', None)
    metrics = [ClassAgnosticRecallMetric(), ClassWiseMetric()]
    for metric in metrics:
        metric.dataset_meta = evaluated
        metric.process({}, [sample.to_dict() for sample in samples])
        assert metric.ann_file == ann_file
    given = ClassAgnosticRecallMetric(ann_file, ['base'])
    given.process({}, [sample.to_dict() for sample in samples])
    np.testing.assert_equal(metrics[0].evaluate(3), given.evaluate(3))
    assert metrics[1].evaluate(3)


def test_arguments_win_over_the_data_set(ann_file, evaluated, tmp_path):
    metric = ClassAgnosticRecallMetric(partition=['novel'])
    metric.dataset_meta = evaluated
    assert metric.partition.names('base') == ('novel',)
    with pytest.raises(UserError, match='no annotation file .*gone.json'):
        metric = ClassAgnosticRecallMetric(str(tmp_path / 'gone.json'))
        metric.dataset_meta = evaluated


@pytest.mark.parametrize(
    'meta, missing',
    [
        (dict(classes=('base',)), 'ann_file and partition'),
        (dict(partition='voc'), 'ann_file'),
        ([dict(), dict()], 'ann_file and partition'),  # of a ConcatDataset
    ],
)
@pytest.mark.parametrize(
    'metric', [ClassAgnosticRecallMetric, ClassWiseMetric]
)
def test_data_set_does_not_tell(metric, meta, missing):
    with pytest.raises(UserError, match=f'does not know {missing}: evaluate'):
        metric().dataset_meta = meta


def test_no_parsed_file_is_kept(ann_file):
    """Arrays only: the file of LVIS has a gigabyte."""
    for metric in (ClassAgnosticRecallMetric, ClassWiseMetric):
        kept = pickle.dumps(metric(ann_file, ['base']))
        assert b'segmentation' in Path(ann_file).read_bytes()
        assert b'segmentation' not in kept


def test_changed_file_is_read_again(ann_file, annotations):
    assert len(coco_file.read_objects(ann_file).images) == 3
    annotations['images'].append(dict(id=4))
    Path(ann_file).write_text(json.dumps(annotations))
    assert len(coco_file.read_objects(ann_file).images) == 4


def test_bad_arguments(ann_file, tmp_path):
    with pytest.raises(UserError, match='no annotation file gone'):
        ClassAgnosticRecallMetric('gone.json', ['base'])
    with pytest.raises(UserError, match='ann.json: no class named dog'):
        ClassAgnosticRecallMetric(ann_file, ['dog'])
    with pytest.raises(UserError, match='protocol must be of .*both'):
        ClassAgnosticRecallMetric(ann_file, ['base'], protocol='both')
    with pytest.raises(UserError, match='split must be one of'):
        ClassAgnosticRecallMetric(ann_file, ['base'], split='train')
    torn = tmp_path / 'torn.json'
    torn.write_text('{"images": [')
    with pytest.raises(UserError, match='torn.json is not a COCO annot'):
        ClassAgnosticRecallMetric(str(torn), ['base'])
