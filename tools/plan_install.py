"""Say what tools/install.sh has to install. Standard library only.

    python tools/plan_install.py MODE FOLDER

MODE `venv` follows the pins of requirements.txt, except that torch stays.
MODE `active` is for an environment with other work in it: what is there
stays, only what is missing to run is added, and what is too old or broken is
an error. FOLDER gets requirements.txt (what to install) and constraints.txt
(what must stay as it is).
"""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# The oldest versions that the tests were run with (docs/compatibility.md).
OLDEST = {
    'torch': '1.13',
    'mmcv': '2.0.0',
    'mmengine': '0.10.0',
    'mmdet': '3.3.0',
    'numpy': '1.19',
}
# Distributions whose module has another name; several may bring one module.
MODULES = {
    'onedl-mmcv': 'mmcv',
    'onedl-mmengine': 'mmengine',
    'onedl-mmdetection': 'mmdet',
    'opencv-python': 'cv2',
    'opencv-python-headless': 'cv2',
    'pillow': 'PIL',
}
# For environments that have one of OpenMMLab's own distributions already.
CLASSIC = {
    'onedl-mmcv': 'mmcv==2.1.0',
    'onedl-mmengine': 'mmengine==0.10.7',
    'onedl-mmdetection': 'mmdet==3.3.0',
}
NO_PKG_RESOURCES = "it needs pkg_resources: pip install 'setuptools<80'"


def numbers(version: str) -> list[int]:
    """Return the leading numbers of a version, to compare."""
    return [int(n) for n in re.findall(r'\d+', version.split('+')[0])[:3]]


def installed() -> dict[str, str]:
    """Return distribution -> version of all that is installed."""
    found = ((d.metadata['Name'], d.version) for d in metadata.distributions())
    return {name.lower().replace('_', '-'): v for name, v in found if name}


def read_requirements() -> list[tuple[str, str, str]]:
    """Read requirements.txt: (section, distribution, version) per line.

    A section begins with a comment such as `# To compile`.
    """
    section, found = '', []
    for line in (
        (REPO / 'requirements.txt').read_text(encoding='utf-8').splitlines()
    ):
        heading = re.match(r'# To (\w+)', line)
        if heading:
            section = heading.group(1)
        elif '==' in line and not line.startswith('#'):
            found.append((section, *line.strip().split('==')))
    return found


def why_broken(module: str) -> str | None:
    """Import a module that is there; return what fails, if anything does."""
    try:
        imported = importlib.import_module(module)
        if module == 'mmcv':
            importlib.import_module('mmcv._ext')
        if module == 'torch':
            imported.zeros(1).numpy()
        if module == 'mmengine' and _wants_pkg_resources(imported):
            importlib.import_module('pkg_resources')
    except Exception as error:  # a broken mixture can raise anything
        text = str(error).strip().splitlines() or [type(error).__name__]
        if 'pkg_resources' in text[0]:
            return NO_PKG_RESOURCES
        return text[0]
    version = getattr(imported, '__version__', None)
    oldest = OLDEST.get(module)
    if oldest and version and numbers(version) < numbers(oldest):
        return f'version {oldest} or newer is needed'
    return None


def _wants_pkg_resources(mmengine) -> bool:
    """Tell whether mmengine reads `mmdet::` configs by pkg_resources."""
    source = Path(mmengine.__file__).parent / 'utils/package_utils.py'
    return 'pkg_resources' in source.read_text(encoding='utf-8')


def plan_venv(there: dict[str, str]) -> list[str]:
    """Return the pins that our own environment does not meet."""
    lines = []
    for _, name, version in read_requirements():
        module = MODULES.get(name, name)
        stays = there.get(name) == version
        if module in OLDEST and importlib.util.find_spec(module):
            # A CUDA build of torch has another version than the pin.
            stays = stays or module == 'torch'
            stays = stays and why_broken(module) is None
        if not stays:
            lines.append(f'{name}=={version}')
    return lines


def plan_active(there: dict[str, str]) -> list[str]:
    """Return what is missing to run.

    Raises:
        SystemExit: if something that is there is too old or broken.
    """
    lines, faults = [], []
    requirements = read_requirements()
    classic = any(line.split('==')[0] in there for line in CLASSIC.values())
    added = set()
    modules = {}  # each once, in the order of requirements.txt
    for section, name, version in requirements:
        if section == 'run':
            modules.setdefault(MODULES.get(name, name), (name, version))
    for module, (name, version) in modules.items():
        if importlib.util.find_spec(module):
            fault = why_broken(module)
            shown = _version_of(module, there)
            if fault == NO_PKG_RESOURCES and 'setuptools' not in there:
                lines.append('setuptools<80')
                fault = None
            unplanned = re.match("No module named '(\\w+)", fault or '')
            if unplanned and unplanned.group(1) in added:
                fault = None  # it will be there
            if fault:
                faults.append(f'{module} {shown}: {fault}')
            else:
                print(f'   {module} {shown} is there and stays')
            continue
        added.add(module)
        if classic and name in CLASSIC:
            lines.append(CLASSIC[name])
        elif module in ('torch', 'mmcv', 'mmengine', 'mmdet'):
            lines.append(f'{name}=={version}')
        else:  # whatever version fits what is there
            lines.append('opencv-python-headless' if module == 'cv2' else name)
    if faults:
        sys.exit(
            'error: nothing was changed, since this environment has\n  '
            + '\n  '.join(faults)
            + '\nrepair it, or leave OWP_ENV out to get an environment of its '
            'own in .venv'
        )
    if any(re.match('(onedl-)?mmcv==', line) for line in lines):
        lines += [
            name
            for section, name, _ in requirements
            if section == 'compile' and name not in there
        ]
    return lines


def _version_of(module: str, there: dict[str, str]) -> str:
    """Return the version of the distribution that brings a module."""
    names = [name for name, m in MODULES.items() if m == module]
    names += [
        module,
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
    ]
    return next((there[name] for name in names if name in there), '')


def main() -> None:
    """Write the plan."""
    mode, folder = sys.argv[1], Path(sys.argv[2])
    setup = configparser.ConfigParser()
    setup.read(str(REPO / 'setup.cfg'))
    oldest = setup['options']['python_requires'].lstrip('>=')
    if mode == 'venv':  # the pinned torch wants more than the package does
        oldest = '3.10'
    python = '.'.join(map(str, sys.version_info[:3]))
    if numbers(python) < numbers(oldest):
        sys.exit(f'error: Python {python} is too old; {oldest} is needed')
    there = installed()
    plan = plan_venv if mode == 'venv' else plan_active
    (folder / 'requirements.txt').write_text(
        ''.join(f'{line}\n' for line in plan(there)), encoding='utf-8'
    )
    kept = there if mode == 'active' else {}
    (folder / 'constraints.txt').write_text(
        ''.join(f'{name}=={version}\n' for name, version in kept.items()),
        encoding='utf-8',
    )


if __name__ == '__main__':
    main()
