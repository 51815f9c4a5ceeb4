"""Check that what README.md and docs/ say can be done.

    python tools/check_docs.py

- Links inside the repository, and their anchors, lead somewhere; so do paths
  of tools, configs and modules in the text.
- Commands in ``sh`` blocks are understood: bash expands the blocks of a page,
  with every program replaced by one that writes down how it was called. A tool
  of ours must exist and take the arguments; training and testing, on one or
  many processes, are dry runs that build the model and its schedule. Scripts
  that tests run must exist. Any other program is an error.
"""

from __future__ import annotations

import argparse
import ast
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
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

REPO = Path(__file__).resolve().parents[1]
# What stands for something of the reader's: CONFIG, configs/custom/….
OWN = re.compile(r'configs/custom/|[A-Z]{4,}|[<…*{$]')
# Programs that are not ours.
FOREIGN = {'cat', 'dirname', 'git', 'grep', 'pip', 'tee'}
# Scripts that tests run, or that run the tests.
SCRIPTS = {'tools/install.sh', 'tools/quickstart.sh', 'tools/run_tests.sh'}
# What starts a tool in several processes, and its first arguments.
LAUNCHERS = {
    'tools/dist_train.sh': ('tools/train.py', ('CONFIG', 'GPUS')),
    'tools/dist_test.sh': ('tools/test.py', ('CONFIG', 'CHECKPOINT', 'GPUS')),
    'tools/slurm_train.sh': (
        'tools/train.py',
        ('PARTITION', 'JOB', 'CONFIG', 'WORK_DIR'),
    ),
    'tools/slurm_test.sh': (
        'tools/test.py',
        ('PARTITION', 'JOB', 'CONFIG', 'CHECKPOINT'),
    ),
}
# Programs are not found, so bash asks this function; ours have a slash in
# their name and are functions of that name.
PRELUDE = """
command_not_found_handle() { printf '%s\\0' "$#" "$@" >>"$CALLS"; }
source() { :; }
.() { :; }
cd() { :; }
"""
FUNCTION = '{0}() {{ command_not_found_handle {0} "$@"; }}\n'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'pages',
        nargs='*',
        type=Path,
        help='Markdown files (default: README.md and docs/)',
    )
    return parser.parse_args()


def pages() -> list[Path]:
    """The pages of the repository."""
    return [REPO / 'README.md', *sorted((REPO / 'docs').rglob('*.md'))]


def split(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Part a page into its prose and its fenced blocks.

    Returns:
        tuple[str, list[tuple[str, str]]]: the page without blocks; language
        and content of each block.
    """
    fence = re.compile(r'^```(\w*)\n(.*?)^```\n?', re.S | re.M)
    return fence.sub('', text), fence.findall(text)


def anchors(prose: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r'^#+ +(.+?) *#*$', prose, re.M):
        heading = re.sub(r'\[(.*?)\]\(.*?\)', r'\1', heading)
        slug = re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        number, name = 0, slug
        while name in found:
            number += 1
            name = f'{slug}-{number}'
        found.add(name)
    return found


def check_links(page: Path) -> Iterator[str]:
    """Find links and paths of a page that lead nowhere.

    Args:
        page (Path): a Markdown file.

    Yields:
        str: one line for each.
    """
    prose, _ = split(page.read_text(encoding='utf-8'))
    code = re.findall(r'`([^`]+)`', prose)
    for target in re.findall(r'\]\(([^)\s]+)\)', re.sub('`[^`]+`', '', prose)):
        if re.match(r'\w+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f'link to {target}: no such file'
        elif anchor and anchor not in anchors(split(file.read_text())[0]):
            yield f'link to {target}: no such heading'
    for span in code:
        for word in span.split():
            name = re.match(
                r'(tools|configs|mmdet_owp|docs|tests)/[\w./-]*$', word
            )
            if name and not OWN.search(word) and not (REPO / word).exists():
                yield f'path {word}: no such file'


def expand(code: str) -> list[list[str]]:
    """Find the commands of shell code as bash would run them, running none.

    Args:
        code (str): shell code.

    Returns:
        list[list[str]]: words of each command, each once.

    Raises:
        ValueError: in one line, if bash doesn't understand it.
    """
    ours = [p.relative_to(REPO) for p in (REPO / 'tools').glob('*.sh')]
    script = PRELUDE + ''.join(FUNCTION.format(path) for path in ours) + code
    with tempfile.TemporaryDirectory() as folder:
        env = dict(PATH='/nowhere', CALLS='calls', PYTHON='python')
        done = subprocess.run(
            ['/bin/bash', '-c', script],
            cwd=folder,
            env=env,
            text=True,
            capture_output=True,
            timeout=30,
        )
        calls = Path(folder) / 'calls'
        words = calls.read_text().split('\0')[:-1] if calls.exists() else []
    if done.stderr:
        raise ValueError(f'bash: {done.stderr.strip().splitlines()[0]}')
    commands = []
    while words:
        number = int(words[0])
        commands.append(tuple(words[1 : number + 1]))
        words = words[number + 1 :]
    return [
        [word for word in command if word != '...']
        for command in dict.fromkeys(commands)
    ]


def check_command(words: Sequence[str]) -> str | None:
    """Check that a command would do something.

    Args:
        words (Sequence[str]): the program and its arguments.

    Returns:
        str | None: what is wrong, in one line.
    """
    program, *arguments = words
    for word in words:
        if (
            re.match(r'configs/.*\.py$', word)
            and not OWN.search(word)
            and not (REPO / word).is_file()
        ):
            return 'no such config'
    if program in LAUNCHERS:
        return check_launcher(program, arguments)
    if program == 'bash' and arguments:
        return check_script(arguments[0])
    if program == 'python' and arguments:
        return check_tool(*arguments)
    return None if program in FOREIGN else f'{program}: unknown program'


def check_script(path: str) -> str | None:
    """Check a script of ours: by the commands in it, unless tests run it."""
    if not (REPO / path).is_file():
        return f'{path}: no such script'
    if path in SCRIPTS:
        return None
    wrong = map(check_command, expand((REPO / path).read_text()))
    return next(filter(None, wrong), None)


def check_launcher(program: str, arguments: list[str]) -> str | None:
    """Check a training or test that a script starts in several processes."""
    tool, names = LAUNCHERS[program]
    if len(arguments) < len(names):
        return f'needs {" ".join(names)}'
    given = dict(zip(names, arguments))
    if not re.match(r'\d+$|N$', given.get('GPUS', '1')):
        return f'{given["GPUS"]} is no number of processes'
    words = [given[n] for n in ('CONFIG', 'CHECKPOINT') if n in given]
    return check_tool(
        tool,
        *words,
        *arguments[len(names) :],
        '--launcher',
        'slurm' if 'PARTITION' in names else 'pytorch',
    )


def check_tool(tool: str, *arguments: str) -> str | None:
    """Check that a tool takes the arguments; train and test as a dry run."""
    if not (REPO / tool).is_file():
        return f'{tool}: no such tool'
    said = io.StringIO()
    try:
        with (
            mock.patch('sys.argv', [tool, *arguments]),
            contextlib.redirect_stderr(said),
        ):
            args = parser_of(tool)()
    except SystemExit:
        return said.getvalue().strip().rsplit('error: ', 1)[-1]
    if tool in ('tools/train.py', 'tools/test.py') and not OWN.search(
        args.config
    ):
        if not (REPO / args.config).is_file():
            return 'no such config'
        return dry_run(args.config, repr(args.cfg_options))
    return None


@cache
def parser_of(tool: str) -> Callable[[], argparse.Namespace]:
    """The function of a tool that reads its command line."""
    return runpy.run_path(str(REPO / tool), run_name='tool')['parse_args']


@cache
def read_config(path: str) -> Any:
    """Read a config of the repository, which takes its time."""
    from mmengine.config import Config

    return Config.fromfile(REPO / path)


@cache
def dry_run(path: str, options: str) -> str | None:
    """Build the model, the optimiser and the schedule of a config.

    Args:
        path (str): of the config, in the repository.
        options (str): its ``--cfg-options``, as Python.
    """
    from mmdet.registry import MODELS
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
    from mmengine.runner import Runner

    config = copy.deepcopy(read_config(path))
    options = ast.literal_eval(options)
    known = {*config, *inspect.signature(Runner).parameters}
    unknown = {key.split('.')[0] for key in options or {}} - known
    if unknown:
        return f'--cfg-options: the config has no {", ".join(unknown)}'
    logging.disable(logging.WARNING)  # a line for each frozen parameter
    try:
        config.merge_from_dict(options or {})
        config.model.backbone.init_cfg = None  # no weights for a dry run
        with DefaultScope.overwrite_default_scope(config.default_scope):
            model = MODELS.build(config.model)
            optimizer = build_optim_wrapper(model, config.optim_wrapper)
            for scheduler in config.param_scheduler:
                scheduler = dict(scheduler, optimizer=optimizer)
                if scheduler.pop('convert_to_iter_based', False):
                    kind = PARAM_SCHEDULERS.get(scheduler.pop('type'))
                    kind.build_iter_from_epoch(**scheduler, epoch_length=10)
                else:
                    PARAM_SCHEDULERS.build(scheduler)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f'dry run: {type(error).__name__}: {error}'.splitlines()[0]
    finally:
        logging.disable(logging.NOTSET)
    return None


def check_blocks(page: Path) -> Iterator[str]:
    """Find commands in the ``sh`` blocks of a page that would not work.

    Args:
        page (Path): a Markdown file.

    Yields:
        str: one line for each.
    """
    _, blocks = split(page.read_text(encoding='utf-8'))
    # In one shell, as a reader's: variables of a block hold in the next.
    script = '\n'.join(
        block
        for language, block in blocks
        if language in ('sh', 'bash', 'shell', 'console')
    )
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
    sys.path.insert(0, str(REPO))
    wrong = 0
    for page in parse_args().pages or pages():
        page = page.resolve()
        for check in (check_links, check_blocks):
            for line in check(page):
                wrong += 1
                print(f'{page.name}: {line}')
    if wrong:
        sys.exit(f'{wrong} faults: see above')
    print('all links and commands are right')


if __name__ == '__main__':
    main()
