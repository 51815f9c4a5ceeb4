"""Measured numbers beside the paper's."""

from __future__ import annotations

import csv
import statistics

import cv2
import pytest

from mmdet_owp.visualization.comparison import Cell, Comparison


@pytest.fixture
def comparison():
    both = Cell(46.01, [45.0, 46.0, 49.0]), Cell(20.0, [21.25])
    none = Cell(None, [])
    rows = {
        'both': [*both, Cell(None, [10.0])],
        'paper only': [Cell(40.0, []), none, none],
    }
    columns = ['AP', 'AR@10', 'AR@100']
    return Comparison('Table 9: of a test', 'Paper: COCO.', columns, rows)


def test_markdown(comparison):
    lines = comparison.markdown().splitlines()
    assert lines[0] == '# Table 9: of a test'
    head, _, both, paper = (
        [cell.strip() for cell in line.split('|')[1:-1]]
        for line in lines
        if line.startswith('|')
    )
    assert head == ['', 'AP', 'AR@10', 'AR@100']
    spread = statistics.stdev([45, 46, 49])
    assert both == [
        'both',
        f'46.01 / 46.7 ± {spread:.1f} / +0.7',
        '20.00 / 21.2 / +1.2',
        '- / 10.0 / -',
    ]
    assert paper == ['paper only', '40.00 / - / -', '-', '-']


def test_csv(comparison, tmp_path):
    path = tmp_path / 'table.csv'
    comparison.write_csv(path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['row'], row['column']) for row in rows] == [
        ('both', 'AP'),
        ('both', 'AR@10'),
        ('both', 'AR@100'),
        ('paper only', 'AP'),
    ]
    mean, spread = 140 / 3, statistics.stdev([45, 46, 49])
    for name, value in (
        ('mean', mean),
        ('standard deviation', spread),
        ('difference', mean - 46.01),
    ):
        assert float(rows[0][name]) == pytest.approx(value, abs=1e-4)
    assert [row['seeds'] for row in rows] == ['3', '1', '1', '0']
    assert rows[1]['standard deviation'] == rows[2]['paper'] == ''


def test_picture(comparison, tmp_path, pictures):
    comparison.draw(tmp_path / 'table.png')
    assert cv2.imread(str(tmp_path / 'table.png')).std() > 10
    # Columns in which the paper has a number.
    first, second, rest = pictures[0].axes
    assert not rest.get_visible()
    assert [axis.get_title() for axis in (first, second)] == ['AP', 'AR@10']
    measured, *_, paper = first.lines
    assert measured.get_xydata().tolist() == [[140 / 3, 0]]
    assert paper.get_xydata().tolist() == [[46.01, 0], [40, 1]]
    assert [text.get_text() for text in first.get_yticklabels()] == [
        'both',
        'paper only',
    ]
