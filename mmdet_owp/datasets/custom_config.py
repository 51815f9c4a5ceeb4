"""Write the config that trains and evaluates on a data set of the user."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from pprint import pformat

from mmdet_owp.partitions import Partition

_CONFIG = """\
# Written by tools/dataset_tools/check_dataset.py.
_base_ = {parent!r}

data = dict(
    data_root={root!r},
    partition={partition})
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
model = dict(bbox_head=dict(num_classes={num_classes}))
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
        parent (str): path of the config to inherit.
        folder (str): where the text will be saved.
    """
    paths = [*ann_files, *image_folders]
    if len({osp.isabs(p) for p in paths}) > 1:
        paths = [osp.abspath(p) for p in paths]
    root = osp.commonpath([osp.dirname(p) for p in paths[:2]] + paths[2:])
    train, val, *images = (osp.relpath(p, root or '.') for p in paths)
    names = list(partition.names('base'))
    # Names are easier to read than ids; the name of a known partition says
    # everything.
    classes = names if partition.name == 'custom' else partition.name
    return _CONFIG.format(
        parent=osp.relpath(parent, folder or '.'),
        partition=_indented(classes),
        root=root,
        train=train,
        val=val,
        train_images=osp.join(images[0], ''),
        val_images=osp.join(images[1], ''),
        num_classes=len(names),
    )


def _indented(value: str | list[str]) -> str:
    """Format a value as Python, a list in lines of at most 79 columns."""
    if isinstance(value, str):
        return repr(value)
    lines = pformat(value, width=71, compact=True)[1:-1]
    return '[\n        ' + lines.replace('\n', '\n       ') + '\n    ]'
