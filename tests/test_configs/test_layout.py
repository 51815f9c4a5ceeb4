"""Leaves are flat and short, nothing in `_base_` is unused, mim finds all."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml
from mmengine.config import Config

REPO = Path(__file__).parents[2]
CONFIGS = REPO / 'configs'
LEAVES = sorted(CONFIGS.glob('[!_]*/*.py'))


def bases(path: Path) -> list[Path]:
    """Return the files of this repository that a config inherits."""
    line = r'^_base_ = (\[.*?\]|.*?)$'
    found = re.search(line, path.read_text(), re.M | re.S)
    value = ast.literal_eval(found.group(1)) if found else []
    paths = [value] if isinstance(value, str) else value
    ours = [name for name in paths if '::' not in name]
    return [(path.parent / name).resolve() for name in ours]


def depth(path: Path) -> int:
    """Return the number of files on the longest chain of bases."""
    return 1 + max(map(depth, bases(path)), default=0)


def num_code_lines(path: Path) -> int:
    """Count the lines that are neither blank nor comments."""
    lines = map(str.strip, path.read_text().splitlines())
    return sum(bool(line) and not line.startswith('#') for line in lines)


def test_leaves_are_flat_and_short():
    assert len(LEAVES) >= 90
    assert [p.name for p in LEAVES if depth(p) > 3] == []
    inheriting = {p.name for p in LEAVES if set(bases(p)) & set(LEAVES)}
    assert inheriting == set()
    too_long = {p.name for p in LEAVES if num_code_lines(p) > 10}
    assert too_long <= {'fast_rcnn_owp_coco.py', 'fast_rcnn_owp_shapes.py'}
    # The first line names the method and, in the paper, its table.
    assert all(p.read_text().startswith('# ') for p in LEAVES)


def test_no_base_is_unused():
    files, reached = set(CONFIGS.glob('_base_/**/*.py')), set(LEAVES)
    for path in sorted(LEAVES):
        pending = [path]
        while pending:
            found = set(bases(pending.pop())) - reached
            reached |= found
            pending.extend(found)
    assert files == reached - set(LEAVES)
    # Every method is used by a leaf or by another method.
    methods = (CONFIGS / '_base_/methods.py').read_text()
    leaves = ' '.join(path.read_text() for path in LEAVES)
    for name in re.findall(r'^(\w+) =', methods, re.M):
        used = len(re.findall(rf'\b{name}\b', methods)) > 1
        assert used or f'_base_.{name}' in leaves, name


def test_configs_survive_a_dump(tmp_path):
    """A Runner writes the config to its work folder, for users to reuse."""
    path = CONFIGS / 'shapes/fcos_iou_cs_is_finetune_unknown_shapes.py'
    config = Config.fromfile(path)
    config.dump(tmp_path / 'config.py')
    dumped = Config.fromfile(tmp_path / 'config.py')
    assert dumped.to_dict() == config.to_dict()


def test_model_index_lists_every_config():
    """What `mim search` reads; it iterates over the results of every model."""
    index = yaml.safe_load((REPO / 'model-index.yml').read_text())
    (collection,) = index['Collections']
    assert index['Models'][:-1] == [
        {
            'Name': path.stem,
            'In Collection': collection['Name'],
            'Config': path.relative_to(REPO).as_posix(),
            'Results': [],
        }
        for path in LEAVES
    ]


def test_model_index_has_the_numbers_of_the_model_card():
    index = yaml.safe_load((REPO / 'model-index.yml').read_text())
    model = index['Models'][-1]
    assert (REPO / model['Config']).with_suffix('.pth').exists()
    card = (REPO / 'mmdet_owp/weights/README.md').read_text()
    rows = re.findall(
        r'^\| (novel|base), `drop-base` \| ([\d.]+) \| ([\d.]+) \|', card, re.M
    )
    one, several = (
        {
            f'{split} AR@{k}': float(value)
            for split, *values in rows[first : first + 2]
            for k, value in zip((10, 100), values)
        }
        for first in (0, 2)
    )
    assert [result['Metrics'] for result in model['Results']] == [one, several]
