"""Write the config that trains and evaluates on a data set of the user."""

from __future__ import annotations

import contextlib
import os.path as osp
import sys
from collections.abc import Mapping, Sequence
from pprint import pformat
from typing import Any

from mmdet_owp.errors import UserError
from mmdet_owp.partitions import Partition

_CONFIG = """\
# Written by tools/dataset_tools/check_dataset.py.
_base_ = {parent!r}

data = dict(
{data})
train_dataloader = dict(
    dataset=dict(
        **data,
        ann_file={train!r},
        data_prefix=dict(img={train_images!r})))
val_dataloader = dict(
    dataset=dict(
        **data,
        ann_file={val!r},
        data_prefix=dict(img={val_images!r})))
test_dataloader = val_dataloader
"""


def config_text(
    ann_files: Sequence[str],
    image_folders: Sequence[str],
    partition: Partition,
    parent: str,
    folder: str,
) -> str:
    """Return the text of the config.

    Args:
        ann_files (Sequence[str]): for training and validation.
        image_folders (Sequence[str]): of their images.
        partition (Partition): of the training file.
        parent (str): path of the config to inherit. It is read, which needs
            mmdet.
        folder (str): where the text will be saved.

    Raises:
        UserError: if the parent does not exist, cannot be read or is not a
            config of a detector on one COCO data set.
    """
    datasets, heads, metrics = _read_parent(parent)
    paths = [*ann_files, *image_folders]
    if len({osp.isabs(p) for p in paths}) > 1:
        paths = [osp.abspath(p) for p in paths]
    root = osp.commonpath([osp.dirname(p) for p in paths[:2]] + paths[2:])
    train, val, *images = (osp.relpath(p, root or '.') for p in paths)
    names = list(partition.names('base'))
    # Names are easier to read than ids; the name of a known partition says
    # everything.
    classes = names if partition.name == 'custom' else partition.name
    data = dict(data_root=repr(root), partition=_indented(classes))
    # Where the parent's data differ, as those of LVIS do.
    for key, ours in (('type', 'CocoSplitDataset'), ('split', 'base')):
        if any(d.get(key) != ours for d in datasets):
            data[key] = repr(ours)
    text = _CONFIG.format(
        parent=osp.relpath(parent, folder or '.'),
        data=',\n'.join(f'    {key}={value}' for key, value in data.items()),
        train=train,
        val=val,
        train_images=osp.join(images[0], ''),
        val_images=osp.join(images[1], ''),
    )
    if any('style' in metric for metric in metrics):  # that of LVIS files
        ours = [{k: m[k] for k in m if k != 'style'} for m in metrics]
        text += f'val_evaluator = test_evaluator = {pformat(ours)}\n'
    if heads and not any(d.get('class_agnostic') for d in datasets):
        text += f'model = {_with_classes(heads, len(names))}\n'
    return text


def _read_parent(
    path: str,
) -> tuple[list[Mapping], dict[str, Any], list[Mapping]]:
    """Return data sets, heads that have classes, and metrics of a config."""
    if not osp.isfile(path):
        raise UserError(
            f'{path}: no such config; give --parent a file of configs/'
        )
    try:
        from mmengine.config import Config

        # Its packages print while they are imported.
        with contextlib.redirect_stdout(sys.stderr):
            config = Config.fromfile(path)
        datasets = [
            config[f'{split}_dataloader'].dataset
            for split in ('train', 'val', 'test')
        ]
        heads = _heads(config.model)
        metrics = config.get('val_evaluator') or []
        metrics = [metrics] if isinstance(metrics, Mapping) else metrics
    except ImportError as error:
        raise UserError(
            f'{path}: mmengine and mmdet are needed to read it ({error}); '
            'install them, or check without a file to evaluate on'
        ) from error
    except Exception as error:  # a config is code, and can raise any type
        what = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(
            f'{path}: not a config of a detector ({what}); give another '
            '--parent'
        ) from error
    if not all('ann_file' in d and 'type' in d for d in datasets):
        raise UserError(
            f'{path}: its data set is a wrapper of others '
            f'({datasets[0].get("type")}); give a --parent on one data set'
        )
    return datasets, heads, metrics


def _heads(model: Mapping) -> dict[str, Any]:
    """Return the parts of a model that have ``num_classes``, as a tree."""
    found = {}
    for name, part in model.items():
        if isinstance(part, Mapping):
            inner = {} if 'num_classes' in part else _heads(part)
            if inner or 'num_classes' in part:
                found[name] = inner
        elif isinstance(part, (list, tuple)):
            if _heads({str(n): one for n, one in enumerate(part)}):
                raise TypeError(f'the heads in {name} are a list')
    return found


def _with_classes(heads: Mapping[str, Any], num_classes: int) -> str:
    """Return a dict that sets the number of classes of heads, as code."""
    parts = [
        f'{name}={_with_classes(inner, num_classes)}'
        for name, inner in heads.items()
    ]
    return f'dict({", ".join(parts) or f"num_classes={num_classes}"})'


def _indented(value: str | list[str]) -> str:
    """Format a value as Python, a list in lines of at most 79 columns."""
    if isinstance(value, str):
        return repr(value)
    lines = pformat(value, width=71, compact=True)[1:-1]
    return '[\n        ' + lines.replace('\n', '\n       ') + '\n    ]'
