"""Check the links and the commands of README.md, CONTRIBUTING.md and docs/.

    python tools/check_docs.py

- Links inside the repository, their anchors, and paths of tools, configs and
  modules in the text must exist.
- Commands in ``sh`` blocks must work. Bash expands the blocks of a page, with
  every program replaced by one that records its arguments. Each tool of the
  repository must accept its arguments; ``train.py`` and ``test.py`` are dry
  runs that build the model and its schedule. Scripts that tests run must
  exist. Any other program is an error.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import inspect
import io
import logging
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence
from unittest import mock

from mmdet_owp import cli

REPO = Path(__file__).resolve().parents[1]
# Placeholders for something of the reader's: CONFIG, configs/custom/….
PLACEHOLDER = re.compile(r'configs/custom/|[A-Z]{4,}|[<…*{$]')
# Programs of the system.
FOREIGN = {
    'cat', 'dirname', 'git', 'grep', 'mkdir', 'pip', 'pre-commit', 'tee',
}  # fmt: skip
# Modules that are run by `python -m`.
MODULES = {'mypy', 'pytest', 'ruff'}
# Scripts that tests run, or that run the tests.
SCRIPTS = {
    f'tools/{name}.sh'
    for name in ('install', 'quickstart', 'run_tests', 'test_stacks')
}
# Scripts that start a tool in several processes, and their first arguments.
LAUNCHERS = {
    'tools/dist_train.sh': ('tools/train.py', 'CONFIG GPUS'),
    'tools/dist_test.sh': ('tools/test.py', 'CONFIG CHECKPOINT GPUS'),
    'tools/slurm_train.sh':
        ('tools/train.py', 'PARTITION JOB CONFIG WORK_DIR'),
    'tools/slurm_test.sh':
        ('tools/test.py', 'PARTITION JOB CONFIG CHECKPOINT'),
}  # fmt: skip
# Bash finds no program, so it calls this function; the scripts of the
# repository have a slash in their name and become functions of that name.
PRELUDE = """
command_not_found_handle() {
  printf '%s\\0' "$#" "$@" >>"$CALLS"
  # Read what is piped here, or the writer would fail.
  if [ -p /dev/stdin ]; then while read -r; do :; done; fi
}
source() { :; }
.() { :; }
cd() { :; }
"""
FUNCTION = '{0}() {{ command_not_found_handle {0} "$@"; }}\n'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = cli.parser(__doc__)
    pages = 'Markdown files (default: all)'
    parser.add_argument('pages', nargs='*', type=Path, help=pages)
    return parser.parse_args()


def pages() -> list[Path]:
    """Return the pages of the repository."""
    return sorted([*REPO.glob('*.md'), *(REPO / 'docs').rglob('*.md')])


def split(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a page into prose and its fenced blocks (language, content)."""
    fence = re.compile(r'^```(\w*)\n(.*?)^```\n?', re.S | re.M)
    return fence.sub('', text), fence.findall(text)


def anchors(prose: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r'^#+ +(.+?) *#*$', prose, re.M):
        heading = re.sub(r'\[(.*?)\]\(.*?\)', r'\1', heading)
        slug = re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        names = (f'{slug}-{n}' if n else slug for n in count())
        found.add(next(name for name in names if name not in found))
    return found


def check_links(page: Path) -> Iterator[str]:
    """Yield a message per link or path of a page that does not exist."""
    prose, _ = split(page.read_text(encoding='utf-8'))
    code = re.compile(r'`([^`]+)`')
    for target in re.findall(r'\]\(([^)\s]+)\)', code.sub('', prose)):
        if re.match(r'\w+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f'link to {target}: no such file'
        elif anchor and anchor not in anchors(
            split(file.read_text(encoding='utf-8'))[0]
        ):
            yield f'link to {target}: no such heading'
    for word in ' '.join(code.findall(prose)).split():
        if (
            re.match(r'(tools|configs|mmdet_owp|docs|tests)/[\w./-]*$', word)
            and not PLACEHOLDER.search(word)
            and not (REPO / word).exists()
        ):
            yield f'path {word}: no such file'


def expand(code: str) -> list[list[str]]:
    """Return the distinct commands of shell code, expanded but not run.

    Raises:
        ValueError: if bash does not understand the code.
    """
    ours = [p.relative_to(REPO) for p in (REPO / 'tools').glob('*.sh')]
    script = PRELUDE + ''.join(map(FUNCTION.format, ours)) + code
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ['/bin/bash', '-c', script],
            cwd=folder,
            env=dict(PATH='/nowhere', CALLS='calls', PYTHON='python'),
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
        )
        calls = Path(folder) / 'calls'
        words = (
            calls.read_text(encoding='utf-8').split('\0')[:-1]
            if calls.exists()
            else []
        )
    if done.stderr:
        raise ValueError(f'bash: {done.stderr.strip().splitlines()[0]}')
    commands = []
    while words:
        end = int(words[0]) + 1
        commands.append([word for word in words[1:end] if word != '...'])
        words = words[end:]
    return [list(command) for command in dict.fromkeys(map(tuple, commands))]


def check_command(words: Sequence[str]) -> str | None:
    """Return what is wrong with a command, or None."""
    if words[0] == 'timeout':  # SECONDS COMMAND...
        words = words[2:]
    program, *arguments = words
    for word in words:
        if re.match(r'configs/.*\.py$', word) and not exists(word):
            return 'no such config'
    if program in LAUNCHERS:
        return check_launcher(program, arguments)
    if program == 'bash' and arguments:
        return check_script(arguments[0])
    if program == 'python' and arguments[:1] == ['-m']:
        module = ''.join(arguments[1:2])
        return None if module in MODULES else f'{module}: unknown module'
    if program == 'python' and arguments:
        return check_tool(*arguments)
    if program == 'mmdet-owp' and arguments:
        return check_console(*arguments)
    return None if program in FOREIGN else f'{program}: unknown program'


def check_console(command: str, *arguments: str) -> str | None:
    """Check a console command as the tool that calls the same module."""
    line = f'from mmdet_owp.commands.{command} import main'
    for tool in (REPO / 'tools').rglob('*.py'):
        if line in tool.read_text(encoding='utf-8').splitlines():
            return check_tool(str(tool.relative_to(REPO)), *arguments)
    return f'{command}: unknown command'


def exists(path: str) -> bool:
    """Tell whether a path is a placeholder or a file of the repository."""
    return bool(PLACEHOLDER.search(path)) or (REPO / path).is_file()


def check_script(path: str) -> str | None:
    """Check the commands in a script, unless tests run it."""
    if not (REPO / path).is_file():
        return f'{path}: no such script'
    if path in SCRIPTS:
        return None
    wrong = map(
        check_command, expand((REPO / path).read_text(encoding='utf-8'))
    )
    return next(filter(None, wrong), None)


def check_launcher(program: str, arguments: list[str]) -> str | None:
    """Check a training or test that a script starts in several processes."""
    tool, names = LAUNCHERS[program]
    count = len(names.split())
    if len(arguments) < count:
        return f'needs {names}'
    given = dict(zip(names.split(), arguments))
    if not re.match(r'\d+$|N$', given.get('GPUS', '1')):
        return f'{given["GPUS"]} is no number of processes'
    words = [given[n] for n in ('CONFIG', 'CHECKPOINT') if n in given]
    launcher = 'slurm' if 'PARTITION' in given else 'pytorch'
    return check_tool(tool, *words, *arguments[count:], '--launcher', launcher)


@lru_cache(None)
def check_tool(tool: str, *arguments: str) -> str | None:
    """Check that a tool takes the arguments; dry-run training and testing."""
    if not (REPO / tool).is_file():
        return f'{tool}: no such tool'
    stderr = io.StringIO()
    try:
        with mock.patch('sys.argv', [tool, *arguments]):
            with contextlib.redirect_stderr(stderr):
                args = argument_reader(tool)()
    except SystemExit:
        return stderr.getvalue().strip().rsplit('error: ', 1)[-1]
    if tool not in ('tools/train.py', 'tools/test.py'):
        return None
    if not exists(args.config):
        return 'no such config'
    if PLACEHOLDER.search(args.config):
        return None
    return dry_run(args.config, args.cfg_options or {})


@lru_cache(None)
def argument_reader(tool: str) -> Callable[[], argparse.Namespace]:
    """Return the function of a tool that reads its command line.

    It is ``parse_args`` of the tool, or, where the tool only calls the
    ``main`` of a module of ``mmdet_owp.commands``, that of its ``parser()``.
    """
    names = runpy.run_path(str(REPO / tool), run_name='tool')
    if 'parse_args' in names:
        return names['parse_args']
    return sys.modules[names['main'].__module__].parser().parse_args


@lru_cache(None)
def read_config(path: str) -> Any:
    """Read a config of the repository once."""
    from mmengine.config import Config

    return Config.fromfile(REPO / path)


def dry_run(path: str, options: dict[str, Any]) -> str | None:
    """Build what a config and its ``--cfg-options`` describe."""
    from mmengine.runner import Runner

    config = copy.deepcopy(read_config(path))
    known = {*config, *inspect.signature(Runner).parameters}
    unknown = {key.split('.')[0] for key in options} - known
    if unknown:
        return f'--cfg-options: the config has no {", ".join(unknown)}'
    logging.disable(logging.WARNING)  # a line for each frozen parameter
    try:
        config.merge_from_dict(options)
        build(config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f'dry run: {type(error).__name__}: {error}'.splitlines()[0]
    finally:
        logging.disable(logging.NOTSET)
    return None


def build(config: Any) -> None:
    """Build the model, the optimizer and the schedules."""
    from mmdet.registry import MODELS
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import PARAM_SCHEDULERS, DefaultScope

    config.model.backbone.init_cfg = None  # no weights for a dry run
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        optimizer = build_optim_wrapper(model, config.optim_wrapper)
        for scheduler in config.param_scheduler:
            given = dict(optimizer=optimizer, epoch_length=10)
            PARAM_SCHEDULERS.build(scheduler, default_args=given)


def check_blocks(page: Path) -> Iterator[str]:
    """Yield a message per command in the ``sh`` blocks that would fail."""
    _, blocks = split(page.read_text(encoding='utf-8'))
    # In one shell, as a reader's: variables of a block hold in the next.
    shells = ('sh', 'bash', 'shell', 'console')
    script = '\n'.join(code for language, code in blocks if language in shells)
    try:
        commands = expand(script)
    except (ValueError, subprocess.TimeoutExpired) as error:
        yield str(error)
        return
    for words in commands:
        wrong = check_command(words)
        if wrong:
            yield f'`{shlex.join(words)}`: {wrong}'


def main() -> None:
    """Check the pages and list what is wrong."""
    wrong = 0
    for page in parse_args().pages or pages():
        page = page.resolve()
        for line in (*check_links(page), *check_blocks(page)):
            wrong += 1
            print(f'{page.name}: {line}')
    if wrong:
        sys.exit(f'{wrong} faults: see above')
    print('all links and commands are right')


if __name__ == '__main__':
    main()
