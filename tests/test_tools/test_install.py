"""tools/install.sh in environments made of stub distributions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # starts processes
TORCH = """
class zeros:
    def __init__(self, *shape): pass
    def numpy(self): pass
tensor = zeros
"""
OPS = """
class Kept:
    def tolist(self): return [0, 2]
def nms(*boxes, **settings): return None, Kept()
"""
# Distribution: (version, files). What MMDetection 3 users have, headless.
CLASSIC = {
    'torch': ('2.1.2', {'torch/__init__.py': TORCH}),
    'mmcv': ('2.1.0', {
        'mmcv/__init__.py': '', 'mmcv/_ext.py': '', 'mmcv/ops.py': OPS,
    }),
    'mmengine': ('0.10.7', {
        'mmengine/__init__.py': '',
        'mmengine/utils/package_utils.py': 'import pkg_resources',
    }),
    'mmdet': ('3.3.0', {'mmdet/__init__.py': ''}),
    'numpy': ('1.26.4', {'numpy/__init__.py': ''}),
    'opencv-python-headless': ('4.8.0', {'cv2/__init__.py': ''}),
    'pycocotools': ('2.0.7', {'pycocotools/__init__.py': ''}),
    'matplotlib': ('3.7.0', {'matplotlib/__init__.py': ''}),
    'jinja2': ('3.1.2', {'jinja2/__init__.py': ''}),
    'tqdm': ('4.65.0', {'tqdm/__init__.py': ''}),
    'pillow': ('9.5.0', {'PIL/__init__.py': ''}),
    'pkg-resources-stub': ('1', {'pkg_resources.py': ''}),
}  # fmt: skip


def files_of(name, version, files):
    """Files of an installed distribution, or of its wheel."""
    info = f'{name.replace("-", "_")}-{version}.dist-info'
    modules = dict(files)
    for path in files:
        if path.endswith('__init__.py'):
            modules[path] += f'\n__version__ = {version!r}\n'
    return {
        **modules,
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: {name}\n'
        f'Version: {version}\n',
        f'{info}/WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\n'
        'Tag: py3-none-any\n',
        f'{info}/RECORD': ''.join(f'{path},,\n' for path in modules),
    }


class Environment:
    """A virtual environment with a real pip and stubs of the rest."""

    def __init__(self, folder, real=('pip', 'setuptools', 'wheel')):
        subprocess.run(
            [sys.executable, '-m', 'venv', '--without-pip', folder], check=True
        )
        self.folder = folder
        self.python = folder / 'bin/python'
        (self.site,) = folder.glob('lib/*/site-packages')
        for name in real:
            if name == 'setuptools':
                # Its hook would warn about the stub of pkg_resources.
                self.copy('setuptools', '_distutils_hack')
            else:
                self.copy(name)

    def copy(self, name, *also):
        """Copy a distribution of the environment that runs the tests."""
        distribution = metadata.distribution(name)
        parts = {Path(str(f)).parts[0] for f in distribution.files} | {*also}
        for part in parts:
            source = Path(str(distribution.locate_file(part)))
            if source.is_dir() and not (self.site / part).exists():
                shutil.copytree(source, self.site / part)

    def add(self, **stubs):
        """Install stubs: name=(version, files)."""
        for name, (version, files) in stubs.items():
            for path, text in files_of(name, version, files).items():
                target = self.site / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
        return self

    def run(self, *words, cwd=None, **environment):
        """Run a program with the environment active, without a network."""
        path = f'{self.folder}/bin{os.pathsep}{os.environ["PATH"]}'
        done = subprocess.run(
            words,
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            env=dict(os.environ, PATH=path, PIP_NO_INDEX='1', **environment),
        )
        return done.returncode, done.stdout

    def freeze(self):
        """What is installed, mmdet_owp left out."""
        found = metadata.distributions(path=[str(self.site)])
        named = sorted((d.metadata['Name'], d.version) for d in found)
        return [f'{n}=={v}' for n, v in named if n.lower() != 'mmdet_owp']


@pytest.fixture
def checkout(repo, tmp_path):
    """A copy of what an installation reads."""
    target = tmp_path / 'checkout'
    ignore = shutil.ignore_patterns('__pycache__')
    package = target / 'mmdet_owp'
    shutil.copytree(repo / package.name, package, symlinks=True, ignore=ignore)
    files = (
        'tools/install.sh tools/plan_install.py requirements.txt setup.cfg '
        'pyproject.toml README.md LICENSE model-index.yml'
    )
    for name in files.split():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo / name, target / name)
    (target / 'configs').mkdir()
    return target


def install(environment, checkout, **variables):
    words, variables['OWP_ENV'] = ('bash', 'tools/install.sh'), 'active'
    return environment.run(*words, cwd=checkout, **variables)


def without(*names, **instead):
    """The classic stubs, some of them left out or replaced."""
    kept = {n: stub for n, stub in CLASSIC.items() if n not in names}
    return {**kept, **instead}


CV2 = 'opencv-python-headless'


@pytest.mark.parametrize('stubs', [
    CLASSIC,
    without(CV2, **{'opencv-contrib-python': CLASSIC[CV2]}),
    without(torch=('1.13.1+cu117', CLASSIC['torch'][1])),
], ids=['classic', 'contrib OpenCV', 'oldest torch'])  # fmt: skip
def test_complete_environment_stays(tmp_path, checkout, stubs):
    environment = Environment(tmp_path / 'env').add(**stubs)
    before = environment.freeze()
    status, output = environment.run(
        *(environment.python, '-m', 'pip', 'install', '--dry-run'),
        '--no-build-isolation',
        checkout,
    )
    assert status == 0, output
    assert 'Would install mmdet_owp' in output
    assert len(output.split('Would install ')[1].split()) == 1

    status, output = install(environment, checkout)
    assert status == 0, output
    assert environment.freeze() == before
    assert f'torch {stubs["torch"][0]} is there and stays' in output
    words = environment.python, '-c', 'import mmdet_owp'
    status, output = environment.run(*words, cwd=tmp_path)
    assert status == 0, output


def test_only_what_is_missing_is_added(tmp_path, checkout):
    wheels = tmp_path / 'wheels'
    wheels.mkdir()
    name, (version, files) = 'pycocotools', CLASSIC['pycocotools']
    path = wheels / f'{name}-{version}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        for file, text in files_of(name, version, files).items():
            wheel.writestr(file, text)
    environment = Environment(tmp_path / 'env').add(**without(name))
    before = environment.freeze()
    status, output = install(environment, checkout, PIP_FIND_LINKS=str(wheels))
    assert status == 0, output
    after = environment.freeze()
    assert sorted({*before, f'{name}=={version}'}) == sorted(after)


@pytest.mark.parametrize('name, version, files, fault', [
    ('torch', '1.9.0', {'torch/__init__.py': TORCH},
     'torch 1.9.0: version 1.13 or newer is needed'),
    ('torch', '2.1.2', {'torch/__init__.py': 'zeros = None'},
     "torch 2.1.2: 'NoneType' object is not callable"),
    ('mmcv', '2.1.0', {'mmcv/__init__.py': ''},
     "mmcv 2.1.0: No module named 'mmcv._ext'"),
    ('mmdet', '3.3.0', {'mmdet/__init__.py': 'assert 0, "mmcv"'},
     'mmdet 3.3.0: mmcv'),
    ('pkg-resources-stub', '1', {},
     "mmengine 0.10.7: it needs pkg_resources: pip install 'setuptools<80'"),
    ('opencv-python-headless', '4.8.0',
     {'cv2/__init__.py': 'raise ImportError("libGL.so.1")'},
     'cv2 4.8.0: libGL.so.1'),
])  # fmt: skip
def test_broken_environment_is_not_touched(
    tmp_path, checkout, name, version, files, fault
):
    stubs = without(**{name: (version, files)})
    environment = Environment(tmp_path / 'env').add(**stubs)
    before = environment.freeze()
    status, output = install(environment, checkout)
    assert status == 1
    assert 'error: nothing was changed, since this environment has' in output
    assert f'  {fault}\n' in output
    assert 'Traceback' not in output
    assert environment.freeze() == before


@pytest.fixture
def plan(tmp_path, repo):
    """Run tools/plan_install.py; return the requirements that it writes."""

    def run(stubs, real=()):
        environment = Environment(tmp_path / 'env', real).add(**stubs)
        tool = repo / 'tools/plan_install.py'
        words = environment.python, tool, 'active', tmp_path
        status, output = environment.run(*words)
        assert status == 0, output
        return (tmp_path / 'requirements.txt').read_text().split()

    return run


def test_missing_setuptools_are_added_for_pkg_resources(tmp_path, plan):
    assert plan(without('pkg-resources-stub')) == ['setuptools<80']
    constraints = (tmp_path / 'constraints.txt').read_text().split()
    assert 'torch==2.1.2' in constraints


def test_family_of_distributions_is_kept(plan):
    planned = plan(without('mmcv', 'mmdet'), real=('setuptools',))
    assert planned[:2] == ['mmcv==2.1.0', 'mmdet==3.3.0']


def test_without_a_python(tmp_path, checkout):
    environment = Environment(tmp_path / 'env', real=())
    status, output = environment.run(
        'bash', 'tools/install.sh', cwd=checkout, PYTHON='no-such-python'
    )
    assert status == 1
    assert 'install.sh: failed: make .venv' in output
    assert 'remedy: `no-such-python` must be a Python 3.10' in output
    assert not (checkout / '.venv').exists()


def test_step_that_fails_is_named(tmp_path, checkout):
    """Without a network, torch cannot be had."""
    environment = Environment(tmp_path / 'env')
    status, output = install(environment, checkout, PIP_FIND_LINKS='')
    assert status == 1
    assert 'install.sh: failed: install torch==' in output
    assert 'remedy: check the network' in output
    log = tmp_path / 'env/owp-install.log'
    assert str(log) in output
    assert 'No matching distribution found' in log.read_text()


def test_second_install_is_quick(repo):
    if not (repo / '.venv/.owp-installed').exists():
        pytest.skip('the tests do not run in what install.sh made')
    done = subprocess.run(
        ['bash', repo / 'tools/install.sh'],
        text=True,
        capture_output=True,
        timeout=60,
        env={k: v for k, v in os.environ.items() if k != 'OWP_ENV'},
    )
    assert done.returncode == 0, done.stderr
    assert 'installed already' in done.stdout
