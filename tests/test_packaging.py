"""What a wheel carries, what it requires, and that all of it is declared."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import mmdet_owp

# Modules whose distribution has another name.
DISTRIBUTIONS = {
    'PIL': 'pillow',
    'cv2': 'opencv-python',
    'faster_coco_eval': 'faster-coco-eval',
    'mmcv': 'onedl-mmcv',
    'mmdet': 'onedl-mmdetection',
    'mmengine': 'onedl-mmengine',
    'yaml': 'pyyaml',
}
# Installed by tools/install.sh: pip would replace what a user has.
NOT_REQUIRED = {'torch', 'cv2', 'mmcv', 'mmdet', 'mmengine'}
SOURCES = (
    'mmdet_owp configs tools setup.cfg pyproject.toml MANIFEST.in LICENSE '
    'model-index.yml requirements.txt README.md'
).split()


@pytest.fixture(scope='module')
def wheel(repo, tmp_path_factory):
    """Build the wheel from a copy of the repository."""
    out = tmp_path_factory.mktemp('wheel')
    ignore = shutil.ignore_patterns('__pycache__')
    for name in SOURCES:
        source, copy = repo / name, out / 'source' / name
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=ignore)
        else:
            shutil.copy(source, copy)
    command = (
        f'{sys.executable} -m pip wheel --no-deps --no-build-isolation '
        f'--wheel-dir {out} {out}/source'
    )
    options = dict(check=True, capture_output=True, timeout=60)
    subprocess.run(command.split(), **options)
    (path,) = out.glob('*.whl')
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_carries_configs_and_tools(repo, wheel):
    """Where mim looks: mmdet_owp/.mim."""
    names = set(wheel.namelist())
    patterns = 'configs/**/*.py tools/**/*.py tools/*.sh model-index.yml'
    for pattern in patterns.split():
        files = [path.relative_to(repo) for path in repo.glob(pattern)]
        assert files
        for path in files:
            name = (Path('mmdet_owp/.mim') / path).as_posix()
            assert wheel.read(name) == (repo / path).read_bytes()
            names.remove(name)
    assert not [name for name in names if '.mim' in name]
    files = {
        path.relative_to(repo).as_posix()
        for path in (repo / 'mmdet_owp').rglob('*.*')
        if not {'.mim', '__pycache__'} & set(path.relative_to(repo).parts)
    }
    assert files <= names


def test_weights_are_packed_and_not_ignored(repo):
    config = configparser.ConfigParser()
    config.read(repo / 'setup.cfg')
    data = config['options.package_data']['mmdet_owp'].split()
    assert 'weights/*' in data
    path = 'mmdet_owp/weights/fcos_iou_presence_border_p2_mobilenetv2.pth'
    command = ['git', 'check-ignore', '--quiet', path]
    done = subprocess.run(command, cwd=repo, capture_output=True)
    assert done.returncode != 0  # 0: ignored


def test_wheel_asks_for_neither_family_of_openmmlab(wheel):
    (name,) = (
        n for n in wheel.namelist() if n.endswith('.dist-info/METADATA')
    )
    metadata = message_from_bytes(wheel.read(name))
    assert metadata['Version'] == mmdet_owp.__version__
    needs = ' '.join(metadata.get_all('Requires-Dist'))
    assert 'numpy' in needs and 'pycocotools' in needs
    assert 'mm' not in needs and 'onedl' not in needs


def imported(files) -> set[str]:
    """Return the top-level names of the absolute imports in these files."""
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
    return {name.split('.')[0] for name in names}


@pytest.fixture(scope='module')
def third_party(repo):
    """Return the third-party modules that a folder imports."""
    if sys.version_info < (3, 10):
        pytest.skip('sys.stdlib_module_names is new in Python 3.10')

    def find(folder):
        files = list((repo / folder).rglob('*.py'))
        ours = {'mmdet_owp', 'check_docs', *(file.stem for file in files)}
        return imported(files) - set(sys.stdlib_module_names) - ours

    return find


def names_of(requirements: str) -> set[str]:
    """Return the distributions that lines of requirements name."""
    return set(re.findall(r'^[A-Za-z][\w-]*', requirements, re.M))


def test_imports_of_the_package_are_declared(repo, third_party):
    config = configparser.ConfigParser()
    config.read(repo / 'setup.cfg')
    declared = names_of(config['options']['install_requires'])
    for lines in config['options.extras_require'].values():
        declared |= names_of(lines)
    needed = third_party('mmdet_owp') - NOT_REQUIRED
    assert {DISTRIBUTIONS.get(name, name) for name in needed} <= declared


@pytest.mark.parametrize('folder', ['mmdet_owp', 'tools', 'tests'])
def test_imports_are_pinned(repo, third_party, folder):
    pinned = names_of((repo / 'requirements.txt').read_text())
    needed = {DISTRIBUTIONS.get(n, n) for n in third_party(folder)}
    assert needed <= pinned


def test_python_versions_agree(repo):
    """That of the package, and that of the environment of install.sh."""
    texts = {
        name: (repo / name).read_text(encoding='utf-8')
        for name in ('setup.cfg', 'pyproject.toml', 'tools/install.sh')
    }
    required = r'python_requires = >=(3\.\d+)'
    oldest, *_ = re.findall(required, texts['setup.cfg'])
    newer = r'Python\s+(3\.\d+)\s+or\s+newer'
    pinned, *_ = re.findall(newer, texts['tools/install.sh'])
    ruff = f'target-version = "py{oldest.replace(".", "")}"'
    assert ruff in texts['pyproject.toml']
    for page in ('README.md', 'docs/getting_started.md', 'CONTRIBUTING.md'):
        text = (repo / page).read_text(encoding='utf-8')
        assert set(re.findall(newer, text)) <= {oldest, pinned}
