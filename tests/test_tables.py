from __future__ import annotations

import json
import math

import numpy as np

from mmdet_owp.tables import (
    json_text,
    markdown_table,
    percent,
    text_table,
    transpose,
)

ROWS = {
    'a': {'AR@10': 0.5, 'long name': 1.0},
    'bcd': {'AR@10': 0.25, 'long name': 0},
}


def test_text_table():
    assert text_table(ROWS) == (
        '        AR@10  long name\n'
        'a      0.5000     1.0000\n'
        'bcd    0.2500     0.0000'
    )
    assert text_table({}) == ''
    assert transpose(transpose(ROWS)) == ROWS
    assert transpose(ROWS)['AR@10'] == {'a': 0.5, 'bcd': 0.25}


def test_markdown_table():
    assert markdown_table(['', 'AR'], [['one', '1.5'], ['two', '-']]) == (
        '|     | AR  |\n| --- | --- |\n| one | 1.5 |\n| two | -   |'
    )


def test_percent():
    assert percent([]) == '-'
    assert percent([0.123]) == '12.3'
    assert percent([0.1, 0.3]) == '20.0 ± 14.1'


def test_json_without_nan():
    content = dict(
        a=[1.5, math.nan, (np.float32('inf'), None)], b={'c': -math.inf}, d=2
    )
    assert json.loads(json_text(content)) == dict(
        a=[1.5, None, [None, None]], b=dict(c=None), d=2
    )
