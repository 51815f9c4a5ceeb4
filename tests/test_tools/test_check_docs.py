"""The pages of the repository, and what tools/check_docs.py finds."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
TOOL = runpy.run_path(str(REPO / 'tools/check_docs.py'), run_name='tool')


@pytest.mark.parametrize(
    'page', TOOL['pages'](), ids=lambda page: str(page.relative_to(REPO))
)
def test_links_and_commands(page):
    assert list(TOOL['check_links'](page)) == []
    assert list(TOOL['check_blocks'](page)) == []


@pytest.fixture
def check(tmp_path):
    """Check a page of this text; returns the messages."""

    def check(text):
        page = tmp_path / 'page.md'
        page.write_text(text)
        return [*TOOL['check_links'](page), *TOOL['check_blocks'](page)]

    return check


def test_links(check, tmp_path):
    (tmp_path / 'other.md').write_text(
        '# One `two`: *three*\n## Twice\n## Twice\n```sh\n# no heading\n```\n'
    )
    good = (
        '[a](other.md) [b](other.md#one-two-three) ![c](other.md#twice-1) '
        '[d](https://nowhere.example/x) `[e](no.md)` [f](#here)\n# Here\n'
        '`tools/train.py` `configs/*/x.py` `configs/owp/CONFIG.py`'
    )
    assert check(good) == []
    assert check('[a](no.md)') == ['link to no.md: no such file']
    for anchor in ('two', 'twice-2', 'no-heading'):
        assert check(f'[a](other.md#{anchor})') == [
            f'link to other.md#{anchor}: no such heading'
        ]
    assert check('see `tools/trian.py`') == [
        'path tools/trian.py: no such file'
    ]


BLOCK = r"""
for name in a 'b c'; do
  X=1 python tools/x.py "$name.py" \
      --out "$name" | tee log   # and so on
done
f() { tools/dist_train.sh "$@" 2; }
f one; f one; source .venv/bin/activate; export Y=$(cat z)
"""


def test_blocks_are_expanded_by_bash():
    # Both sides of a pipe run at once, so the order varies.
    assert sorted(TOOL['expand'](BLOCK)) == [
        ['cat', 'z'],
        ['python', 'tools/x.py', 'a.py', '--out', 'a'],
        ['python', 'tools/x.py', 'b c.py', '--out', 'b c'],
        ['tee', 'log'],
        ['tools/dist_train.sh', 'one', '2'],
    ]


def test_script_is_checked_by_its_commands(tmp_path):
    script = tmp_path / 'script.sh'
    line = '. other.sh\n"$PYTHON" tools/train.py CONFIG.py '
    # An absolute path takes the place of the repository's.
    script.write_text(line)
    assert TOOL['check_script'](str(script)) is None
    script.write_text(line + '"a b"')
    assert TOOL['check_script'](str(script)) == 'unrecognized arguments: a b'


def test_tool_that_calls_a_command_module(tmp_path):
    script = tmp_path / 'tool.py'
    script.write_text('from mmdet_owp.commands.eval import main\n')
    assert TOOL['check_tool'](str(script), 'a.json', 'b.json') is None
    assert 'required' in TOOL['check_tool'](str(script))


def test_blocks_of_a_page_share_a_shell(check):
    text = '```sh\nmine=tools/trian.py\n```\nand\n```sh\npython $mine\n```\n'
    assert check(text) == [
        '`python tools/trian.py`: tools/trian.py: no such tool'
    ]


@pytest.mark.parametrize('line, wrong', [
    ('bash tools/quickstart.sh', ''),
    ('python tools/train.py configs/shapes/fcos_shapes.py --resume', ''),
    ('python tools/train.py configs/custom/mine.py', ''),
    ('python tools/train.py configs/shapes/NAME.py', ''),
    ('tools/dist_train.sh configs/shapes/fcos_shapes.py 8 --amp', ''),
    ('tools/dist_test.sh configs/shapes/fcos_shapes.py a.pth 8', ''),
    ('tools/slurm_train.sh part job configs/shapes/fcos_shapes.py w', ''),
    ('git clone x', ''),
    ('bash tools/nothing.sh', 'tools/nothing.sh: no such script'),
    ('python -m pytest -m "not slow"', ''),
    ('python -m frobnicate', 'frobnicate: unknown module'),
    ('frobnicate', 'frobnicate: unknown program'),
    ('mmdet-owp fly', 'fly: unknown command'),
    ('mmdet-owp eval a.json', 'arguments are required: proposals'),
    ('tools/nothing.sh', 'No such file'),
    ('python tools/trian.py x', 'tools/trian.py: no such tool'),
    ('python tools/train.py', 'arguments are required: config'),
    ('python tools/train.py configs/shapes/nothing.py', 'no such config'),
    ('python tools/train.py nothing.py', 'no such config'),
    ('python tools/test.py configs/shapes/fcos_shapes.py a.pth --ressume',
     'unrecognized arguments: --ressume'),
    ('tools/dist_train.sh configs/shapes/fcos_shapes.py',
     'needs CONFIG GPUS'),
    ('tools/dist_train.sh configs/shapes/fcos_shapes.py many',
     'many is no number of processes'),
    ('python tools/train.py configs/shapes/fcos_shapes.py --cfg-options '
     'trian_cfg.max_epochs=1', 'the config has no trian_cfg'),
    ('python tools/train.py configs/shapes/fcos_shapes.py --cfg-options '
     'model.bbox_head.objectnes=1', 'dry run: TypeError'),
    ('python tools/analysis_tools/eval_proposals.py a.json b.json --splt '
     'novel', 'unrecognized arguments: --splt'),
    ('for', 'syntax error'),
])  # fmt: skip
def test_commands(check, line, wrong):
    found = check(f'```sh\n{line}\n```\n')
    assert bool(found) == bool(wrong)
    assert wrong in ''.join(found)
    assert check(f'```text\n{line}\n```\n') == []
