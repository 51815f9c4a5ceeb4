"""The script that writes the lists of the LVIS partitions."""

import json
import random
import runpy
from pathlib import Path

import pytest

from mmdet_owp.partitions import lvis_v1

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/make_lvis_split.py'


@pytest.fixture
def tool(monkeypatch):
    """Call the script."""

    def call(*words):
        monkeypatch.setattr('sys.argv', [TOOL.name, *map(str, words)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


@pytest.fixture
def functions():
    return runpy.run_path(str(TOOL))


def test_list_and_annotation_file_give_the_committed_lists(
    tool, shared_dir, tmp_path, capsys
):
    """In whatever order the file has them."""
    file = shared_dir / 'data/lvis_v1_categories.json'
    tool('--check', file)
    categories = json.loads(file.read_text())
    random.Random(0).shuffle(categories)
    for c in categories:
        c.update(synset='x.n.01', instance_count=3)
    path = tmp_path / 'lvis_v1_train.json'
    path.write_text(
        json.dumps(dict(images=[], annotations=[], categories=categories))
    )
    tool('--check', path)
    assert capsys.readouterr().out.count('holds these lists') == 2

    frequent = next(c for c in categories if c['name'] == 'zebra')
    frequent['image_count'] = 100
    path.write_text(json.dumps(categories))
    with pytest.raises(SystemExit, match='gives other lists'):
        tool('--check', path)


def test_of_equal_counts_the_lower_id_is_first(functions):
    """The base ones by count are 401 to 405 and 1 to 300."""
    categories = [
        dict(id=i, name=f'c {i}', frequency='f', image_count=100 + (i > 400))
        for i in range(1, 406)
    ]
    lists = {}
    exec(functions['to_module'](categories), lists)
    assert lists['NOVEL_BY_ID'] == tuple(range(306, 406))
    assert lists['NOVEL_BY_COUNT'] == tuple(range(301, 401))
    assert lists['FREQUENT'][7] == 'c 7' and not lists['RARE']


def test_module_is_written(tool, shared_dir, tmp_path, monkeypatch, capsys):
    import mmdet_owp

    monkeypatch.setattr(mmdet_owp, '__file__', str(tmp_path / '__init__.py'))
    tool(shared_dir / 'data/lvis_v1_categories.json')
    assert (tmp_path / 'lvis_v1.py').read_bytes() == Path(
        lvis_v1.__file__
    ).read_bytes()


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"images": [', 'Expecting value'),
        ('{"images": []}', 'categories with id, name, frequency, image_count'),
        ('[{"id": 1, "name": "cat"}]', 'categories with id, name, frequency'),
    ],
)
def test_wrong_file_gets_one_line(tool, tmp_path, text, message):
    path = tmp_path / 'wrong.json'
    path.write_text(text)
    with pytest.raises(SystemExit, match=f'error: .*wrong.json: {message}'):
        tool(path)
    with pytest.raises(SystemExit, match='none.json'):
        tool(tmp_path / 'none.json')


def test_v05_has_other_classes(tool, shared_dir):
    with pytest.raises(
        SystemExit, match='of its 1230 categories 315 are frequent'
    ):
        tool(shared_dir / 'data/evaluator/lvis_val_100.json')
