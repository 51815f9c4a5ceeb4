"""Metrics of a test run that two processes share."""

import json
import os

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_owp.evaluation.class_agnostic_recall_metric import (
    ClassAgnosticRecallMetric,
)
from mmdet_owp.evaluation.class_wise_metric import ClassWiseMetric


def annotations():
    rng = np.random.default_rng(0)
    return dict(
        images=[dict(id=i, width=64, height=64) for i in (3, 1, 2)],
        categories=[dict(id=1, name='base'), dict(id=2, name='novel')],
        annotations=[
            dict(
                id=n + 1,
                image_id=n % 3 + 1,
                category_id=n % 2 + 1,
                bbox=rng.uniform(5, 30, 4).tolist(),
                iscrowd=0,
            )
            for n in range(18)
        ],
    )


def evaluate(ann_file, images):
    """Process the samples of some images; 3 in all."""
    metrics = [
        ClassAgnosticRecallMetric(
            ann_file, ['base'], protocol=('drop-base', 'exclude-base')
        ),
        ClassWiseMetric(ann_file, ['base']),
    ]
    for image in images:
        rng = np.random.default_rng(image)
        near = np.array(
            [
                a['bbox']
                for a in annotations()['annotations']
                if a['image_id'] == image
            ]
        )
        near = near * rng.uniform(0.9, 1.1, near.shape)
        near[:, 2:] += near[:, :2]
        found = InstanceData(
            bboxes=torch.tensor(near),
            scores=torch.tensor(rng.random(len(near))),
            labels=torch.zeros(len(near), dtype=torch.long),
        )
        sample = DetDataSample(
            metainfo=dict(img_id=image), proposals=found, pred_instances=found
        )
        for metric in metrics:
            metric.process({}, [sample.to_dict()])
    out = {}
    for metric in metrics:
        metric.dataset_meta = dict(classes=('base',))
        out.update(metric.evaluate(3))
    return out


def work(rank, ann_file, out):
    os.environ.update(MASTER_ADDR='127.0.0.1', RANK=str(rank), WORLD_SIZE='2')
    dist.init_process_group(
        'gloo', init_method=f'file://{out}.init', rank=rank, world_size=2
    )
    # Three images for two processes: the sampler repeats the first.
    metrics = evaluate(ann_file, [3, 2] if rank == 0 else [1, 3])
    torch.save(metrics, f'{out}.{rank}')
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path):
    ann_file, out = str(tmp_path / 'ann.json'), str(tmp_path / 'out')
    with open(ann_file, 'w') as file:
        json.dump(annotations(), file)
    torch.multiprocessing.spawn(work, (ann_file, out), nprocs=2)
    one = evaluate(ann_file, [3, 1, 2])
    assert 0.1 < one['novel_exclude-base/AR@10'] < 1
    assert one['base_class-wise/AP'] > 0.1
    for rank in range(2):
        np.testing.assert_equal(torch.load(f'{out}.{rank}'), one)
