"""The registry of the paper's tables."""

from __future__ import annotations

import json

import pytest
from mmengine.config import Config

from mmdet_owp.reproduction.paper_tables import COLUMNS, DATA, TABLES

NAMES = {
    1: 'table1_coco',
    2: 'table2_lvis',
    3: 'table3_coco_recipes',
    4: 'table4_lvis_area_masking',
}
ROWS = [
    (number, row) for number, table in TABLES.items() for row in table.rows
]


@pytest.mark.parametrize('number', TABLES)
def test_numbers_are_the_papers(number, shared_dir):
    tables = json.loads((shared_dir / 'paper/tables.json').read_text())
    printed, rows = tables[NAMES[number]], TABLES[number].rows
    labels = [row.label.lower() for row in rows]
    assert labels == list(map(str.lower, printed['rows']))
    for row, numbers in zip(rows, printed['rows'].values()):
        expected = {}
        numbers = dict(zip(printed['columns'], numbers))
        # Each of the paper's columns contains two measures.
        class_wise = numbers['base_AP'] is not None
        protocol = 'oln' if 'OLN' in row.label else 'drop-base'
        for column, value in numbers.items():
            split, quantity = column.split('_')
            if split == 'novel':
                split = f'novel_{protocol}'
            else:
                split = 'base_' + ('class-wise' if class_wise else 'drop-base')
            if value is not None:
                name = quantity.replace('AR', 'AR@')
                expected[f'{split}/{name}'] = value
        assert row.paper == expected, row.label


def test_every_number_has_a_column():
    for table in TABLES.values():
        columns = {m for row in table.rows for m in row.paper}
        assert columns <= set(table.metrics)
        # Novel recall by the paper's protocol and by OLN's evaluator.
        for metric in table.metrics:
            if metric.startswith('novel') and 'AR' in metric:
                assert metric.replace('drop-base', 'oln') in table.metrics


def find(repo, name):
    return next(repo.glob(f'configs/[!_]*/{name}.py'), None)


@pytest.mark.parametrize('data', DATA)
def test_rows_have_configs(repo, data):
    """All but OLN's on COCO-like data; on LVIS those of the paper."""
    for number, row in ROWS:
        path = find(repo, row.method + DATA[data].suffix)
        if data == 'lvis' and number in (1, 3):
            continue
        assert path or row.method.startswith('oln'), row


def test_starts_are_those_of_the_configs(repo):
    """On the built-in data; test_all_configs.py compares the others."""
    for row in TABLES[3].rows:
        path = find(repo, f'{row.method}_shapes')
        config = Config.fromfile(path, import_custom_modules=False)
        folder = config.load_from and config.load_from.split('/')[1]
        assert folder == (f'{row.start}_shapes' if row.start else None), row
    # In other tables under the same name.
    starts = {row.method: row.start for row in TABLES[3].rows}
    for _, row in ROWS:
        assert row.start == starts.get(row.method, ''), row


def test_names_on_other_data():
    novel = 'novel_drop-base/AR@300'
    assert DATA['lvis'].metric(novel) == 'lvis-id_novel_drop-base/AR@300'
    assert DATA['lvis'].title(novel) == 'novel AR@300 (drop-base)'
    assert DATA['shapes'].metric(novel) == 'novel_drop-base/AR@100'
    title = 'novel AR@100 (drop-base; paper: AR@300)'
    assert DATA['shapes'].title(novel) == title
    titles = [DATA['coco'].title(m) for m in TABLES[1].metrics]
    assert titles[:5] == [
        *(f'base {q} (class-wise)' for q in ('AP', 'AR@10', 'AR@100')),
        *(f'base AR@{k} (class-agnostic)' for k in (10, 100)),
    ]
    assert len(set(titles)) == len(titles)
    for columns, number in (('recipes', 3), ('lvis-id', 4)):
        shown = {title.partition(';')[0] for title in COLUMNS[columns]}
        assert shown <= set(map(DATA['lvis'].title, TABLES[number].metrics))


@pytest.mark.parametrize('number', TABLES)
def test_differences_are_between_rows(number):
    """A label that is no row's would drop its line without a word."""
    table = TABLES[number]
    labels = {row.label for row in (*table.rows, *table.beyond)}
    assert labels.issuperset(sum(table.differences, ()))
