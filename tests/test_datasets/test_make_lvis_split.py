"""The script that writes the lists of the LVIS partitions."""

import json
import random
import runpy
from pathlib import Path

import pytest

from mmdet_owp.partitions import lvis

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/make_lvis_split.py'


@pytest.fixture
def tool(call_tool):
    return lambda *words: call_tool(TOOL, *words)


def test_list_and_annotation_file_give_the_committed_lists(
    tool, shared_dir, tmp_path, capsys
):
    """The order of the categories does not matter."""
    file = shared_dir / 'data/lvis_v1_categories.json'
    assert not tool('--check', file)
    categories = json.loads(file.read_text())
    random.Random(0).shuffle(categories)
    for c in categories:
        c.update(synset='x.n.01', instance_count=3)
    path = tmp_path / 'lvis_v1_train.json'
    path.write_text(
        json.dumps(dict(images=[], annotations=[], categories=categories))
    )
    assert not tool('--check', path)
    assert capsys.readouterr().out.count('holds these lists') == 2

    frequent = next(c for c in categories if c['name'] == 'zebra')
    frequent['image_count'] = 100
    path.write_text(json.dumps(categories))
    assert 'gives other lists' in tool('--check', path)


def test_at_equal_counts_the_lower_id_is_first():
    """The base classes by count are 401 to 405 and 1 to 300."""
    categories = [
        dict(id=i, name=f'c {i}', frequency='f', image_count=100 + (i > 400))
        for i in range(1, 406)
    ]
    lists = json.loads(runpy.run_path(str(TOOL))['to_json'](categories))
    assert lists['novel_by_id'] == [*range(306, 406)]
    assert lists['novel_by_count'] == [*range(301, 401)]
    assert lists['f']['7'] == 'c 7' and not lists['r']


def test_file_is_written(tool, shared_dir, tmp_path, monkeypatch):
    committed = lvis.LVIS_FILE.read_bytes()
    monkeypatch.setattr(lvis, 'LVIS_FILE', tmp_path / 'lists.json')
    assert not tool(shared_dir / 'data/lvis_v1_categories.json')
    assert (tmp_path / 'lists.json').read_bytes() == committed


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"images": [', 'Expecting value'),
        ('{"images": []}', 'categories with id, name, frequency, image_count'),
        ('[{"id": 1, "name": "cat"}]', 'categories with id, name, frequency'),
        (None, 'No such file'),
    ],
)
def test_wrong_file_is_refused(tool, tmp_path, text, message):
    path = tmp_path / 'wrong.json'
    if text is not None:
        path.write_text(text)
    error = tool(path)
    assert error.startswith('error: ') and '\n' not in error
    assert 'wrong.json' in error and message in error


def test_v05_has_other_classes(tool, shared_dir):
    error = tool(shared_dir / 'data/evaluator/lvis_val_100.json')
    assert 'of its 1230 categories 315 are frequent' in error
