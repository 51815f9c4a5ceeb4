"""The console command ``mmdet-owp``, also ``python -m mmdet_owp``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import mmdet_owp
from mmdet_owp import cli
from mmdet_owp.errors import UserError

# The modules of mmdet_owp/commands/ that are offered. `eval` needs numpy
# alone, so each is imported only when it is called.
COMMANDS = {
    'propose': 'propose objects on images, folders and videos',
    'eval': 'evaluate proposal files by class-agnostic recall',
    'report': 'write a page of what proposals find and what they miss',
    'check': 'check a data set of your own, print the config for it',
    'draw': 'draw novel objects that a model finds and misses',
}
# Missing module -> how to get it; others are distributions of that name.
_REMEDIES = {
    **dict.fromkeys(
        ('torch', 'mmengine', 'mmcv', 'mmdet'),
        '`bash tools/install.sh` in a clone of the repository installs '
        'PyTorch and MMDetection 3, see docs/getting_started.md',
    ),
    **dict.fromkeys(
        ('jinja2', 'matplotlib', 'tqdm'), 'pip install "mmdet_owp[report]"'
    ),
    'cv2': 'pip install opencv-python-headless',
}


def _parser() -> argparse.ArgumentParser:
    lines = [f'  {name:<8}  {text}' for name, text in COMMANDS.items()]
    parser = cli.parser(
        'Open-world object proposals for MMDetection.\n\n'
        'commands, each with its own --help:\n' + '\n'.join(lines)
    )
    parser.prog = 'mmdet-owp'
    version = f'%(prog)s {mmdet_owp.__version__}'
    parser.add_argument('--version', action='version', version=version)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    parser.add_argument(
        'arguments', nargs=argparse.REMAINDER, metavar='ARGUMENT'
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command on the rest of the command line."""
    args = _parser().parse_args(argv)
    # The name in the messages of the command's own parser.
    sys.argv[0] = f'mmdet-owp {args.command}'
    with cli.report_errors():
        try:
            module = f'mmdet_owp.commands.{args.command}'
            importlib.import_module(module).main(args.arguments)
        except ModuleNotFoundError as error:
            package = (error.name or '').partition('.')[0]
            if package in ('', 'mmdet_owp'):
                raise  # a fault of ours
            remedy = _REMEDIES.get(package, f'pip install {package}')
            raise UserError(
                f'mmdet-owp {args.command} needs {package}, which is not '
                f'installed: {remedy}'
            ) from error


if __name__ == '__main__':
    main()
