"""Who may import whom, and what imports without PyTorch and MMDetection."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmdet_owp'

# What each module and folder of the package may import from the package,
# besides itself and LEAVES. Only tools and tests import what nobody lists.
LEAVES = {'errors', 'tables', 'restricted_pickle', 'cores'}
LIBRARY = {'models', 'engine', 'evaluation', 'datasets', 'recall'}
ALLOWED = {
    'errors': set(),
    'tables': set(),
    'cores': set(),
    'restricted_pickle': set(),
    'cli': set(),
    'weights': set(),  # a config, no module
    'partitions': set(),
    'recall': set(),
    'shapes': {'partitions'},
    'datasets': {'partitions', 'recall'},
    'models': set(),
    'engine': {'cli', 'models', 'datasets', 'partitions'},
    'evaluation': {'recall', 'datasets', 'partitions'},
    'apis': LIBRARY,
    'visualization': LIBRARY,
    'deployment': LIBRARY,
    # Below it are the parts without torch, and the style of plots.
    'reporting': {
        *('recall', 'datasets', 'evaluation', 'partitions', 'visualization')
    },
    'register': {*LIBRARY, 'visualization'},
}
ALLOWED['commands'] = set(ALLOWED)
ALLOWED['__main__'] = {'__init__', 'cli', 'commands'}
ALLOWED['reproduction'] = set(ALLOWED)
# Importing these needs numpy, the standard library and, for plots, matplotlib.
LIGHT = """
    __main__ errors cli tables partitions recall datasets.coco_file
    evaluation.proposal_files commands.eval commands.report
    recall.explanation reporting.chunks reporting.plots reproduction.jobs
    reproduction.paper_tables visualization.comparison
""".split()
BLOCKED = {'torch', 'torchvision', 'cv2', 'mmcv', 'mmengine', 'mmdet'}
# Packages whose `__init__` has content: the version, and public names.
WITH_CONTENT = {'mmdet_owp', 'recall', 'partitions'}

MODULES = sorted(PACKAGE.rglob('*.py'))


def room_of(path: Path) -> str:
    """Return the module or folder directly in the package."""
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a file imports, at any depth of its code."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}: relative import'
            names += [f'{node.module}.{alias.name}' for alias in node.names]
    parts = [name.split('.') for name in names]
    return {p[1] for p in parts if p[0] == 'mmdet_owp' and len(p) > 1}


@pytest.mark.parametrize('room', ALLOWED)
def test_imports_point_down(room):
    allowed = {room, *ALLOWED[room], *LEAVES}
    wrong = {
        str(path.relative_to(PACKAGE)): imported_rooms(path) - allowed
        for path in MODULES
        if room_of(path) == room
    }
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


def test_every_module_has_rules():
    assert {room_of(path) for path in MODULES} == {'__init__', *ALLOWED}


def test_init_files_are_empty():
    found = {
        path.parent.name
        for path in MODULES
        if path.name == '__init__.py' and path.read_text().strip()
    }
    assert found == WITH_CONTENT


@pytest.mark.parametrize(
    'names, blocked',
    [(LIGHT, BLOCKED), (['shapes.dataset'], BLOCKED - {'cv2'})],
)
def test_imports_without_torch_and_mmdet(names, blocked):
    code = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({blocked!r}))  # None: cannot be imported
for name in {names!r}:
    importlib.import_module('mmdet_owp.' + name)
"""
    command = [sys.executable, '-c', code]
    done = subprocess.run(
        command, cwd=PACKAGE.parent, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
