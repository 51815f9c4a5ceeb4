"""Pictures of a validation, in the backends of the visualizer."""

from __future__ import annotations

import os
from unittest import mock

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.visualization import proposal_visualization_hook as module


@pytest.fixture
def runner(tiny_config, shapes_dir, monkeypatch, tmp_path):
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    cfg = Config.fromfile(tiny_config())
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f'hook_{os.getpid()}'
    # Visualizers are kept by name, with the folder of the test.
    cfg.visualizer.name = tmp_path.name
    cfg.default_hooks.visualization = dict(
        type='ProposalVisualizationHook', interval=2, k=20
    )
    cfg.val_dataloader.update(batch_size=1, num_workers=0)
    return Runner.from_cfg(cfg)


def test_pictures_of_every_second_batch(
    runner, shapes_dir, monkeypatch, tmp_path
):
    passes, calls = [], {}
    runner.model.bbox_head.register_forward_hook(
        lambda *_: passes.append(_[2])
    )
    for name in ('draw_found_and_missed', 'draw_heat_map'):
        calls[name] = mock.Mock(wraps=getattr(module, name))
        monkeypatch.setattr(module, name, calls[name])
    runner.val()
    assert len(passes) == 4  # none for the maps
    paths = sorted(tmp_path.glob('*/vis_data/vis_image/proposals_*_0.png'))
    assert len(paths) == 2
    annotations = read_coco(shapes_dir / 'annotations/instances_val.json')
    images = annotations['images'][::2]
    by_category = sorted(
        annotations['annotations'], key=lambda a: a['category_id']
    )
    assert [p.name for p in paths] == [
        f'proposals_{i["file_name"].split(".")[0]}_0.png' for i in images
    ]
    drawn, maps = (call.call_args_list for call in calls.values())
    for image, path, of_boxes, of_map, outputs in zip(
        images, paths, drawn, maps, passes[::2]
    ):
        _, _, novel, proposals, base = of_boxes.args
        _, _, heat = of_map.args
        assert cv2.imread(str(path)).std() > 10
        for boxes, is_base in ((novel, False), (base, True)):
            expected = [
                a['bbox']
                for a in by_category
                if a['image_id'] == image['id']
                and (a['category_id'] <= 8) == is_base
            ]
            boxes = np.array(boxes)
            boxes[:, 2:] -= boxes[:, :2]
            np.testing.assert_allclose(boxes, np.reshape(expected, (-1, 4)))
        assert 0 < len(proposals) <= 20
        highest = max(float(level.max()) for level in outputs[2])
        assert heat.shape == (64, 64)
        assert heat.max() <= 1 / (1 + np.exp(-highest)) + 1e-6


def test_data_set_without_novel_classes(runner):
    hook = module.ProposalVisualizationHook()
    dataset = runner.val_dataloader.dataset
    del dataset.partition_classes
    with pytest.raises(ValueError, match='does not tell base and novel'):
        hook.before_val_epoch(runner)
