"""Tests on several views of an image: other sizes, flips."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmdet_owp.engine.launch import datasets
from mmdet_owp.errors import UserError


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the detector in the wrappers of DDP and test-time augmentation.

    Args:
        model (nn.Module): with any number of wrappers.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def use_tta(cfg: Config) -> None:
    """Make the test of a config one with ``tta_model`` and ``tta_pipeline``.

    Args:
        cfg (Config): changed in place, as mmdet's ``tools/test.py --tta``
            does.

    Raises:
        UserError: if the config lacks one of the two.
    """
    for key in ('tta_model', 'tta_pipeline'):
        if not cfg.get(key):
            raise UserError(
                f'{cfg.filename}: --tta needs {key} in the config; those in '
                'configs/_base_/ are examples'
            )
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in datasets(cfg.test_dataloader.dataset):
        dataset['pipeline'] = cfg.tta_pipeline


def views_pipeline(
    pipeline: Sequence[dict], scales: Sequence[int], flip: bool
) -> list[dict]:
    """Return a test pipeline that makes several views of an image.

    Args:
        pipeline (Sequence[dict]): with a ``Resize`` to a ``scale`` and, at
            the end, ``PackDetInputs``.
        scales (Sequence[int]): the smaller number of ``scale`` of each view;
            the other one grows alike. Empty: as in the pipeline.
        flip (bool): whether to add the mirror image of each.

    Raises:
        UserError: if the pipeline has no such ``Resize``.
    """
    found = [i for i, t in enumerate(pipeline) if t['type'] == 'Resize']
    if len(found) != 1 or 'scale' not in pipeline[found[0]]:
        raise UserError(
            'the test pipeline has no single Resize with a scale, so its '
            'images cannot be resized to other scales'
        )
    before, resize = list(pipeline[: found[0]]), pipeline[found[0]]
    size = resize['scale']
    width, height = (size, size) if isinstance(size, int) else size
    shorter = min(width, height)
    sizes = [
        (round(width * scale / shorter), round(height * scale / shorter))
        for scale in scales or [shorter]
    ]
    *between, pack = pipeline[found[0] + 1 :]
    # Without meta_keys it packs what merging needs.
    pack = {key: value for key, value in pack.items() if key != 'meta_keys'}
    transforms = [
        [dict(resize, scale=size) for size in sizes],
        [dict(type='RandomFlip', prob=float(p)) for p in range(1 + flip)],
        *([transform] for transform in between),
        [pack],
    ]
    return [*before, dict(type='TestTimeAug', transforms=transforms)]
