"""Pictures of a validation, in the backends of the visualizer."""

from __future__ import annotations

import os

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
    cfg.merge_from_dict(
        {
            'default_hooks.visualization': {
                'type': 'ProposalVisualizationHook',
                'interval': 2,
                'k': 20,
            },
            'val_dataloader.batch_size': 1,
            'val_dataloader.num_workers': 0,
        }
    )
    return Runner.from_cfg(cfg)


def test_pictures_of_every_second_batch(
    runner, shapes_dir, monkeypatch, tmp_path
):
    passes, drawn = [], []
    runner.model.bbox_head.register_forward_hook(
        lambda *_: passes.append(_[2])
    )
    draw_boxes, draw_map = (module.draw_found_and_missed, module.draw_heat_map)

    def keep(axis, image, objects, proposals, others):
        drawn.append((objects, proposals, others))
        return draw_boxes(axis, image, objects, proposals, others)

    maps = []
    monkeypatch.setattr(module, 'draw_found_and_missed', keep)
    monkeypatch.setattr(
        module,
        'draw_heat_map',
        lambda axis, image, heat: (
            maps.append(heat) or draw_map(axis, image, heat)
        ),
    )
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
    for image, path, (novel, proposals, base), heat, outputs in zip(
        images, paths, drawn, maps, passes[::2]
    ):
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
