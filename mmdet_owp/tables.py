"""Numbers as plain text, Markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Dict

import numpy as np

# Numbers by row name and column name.
Rows = Dict[str, Dict[str, float]]  # noqa: UP006 (evaluated by Python 3.8)


def text_table(rows: Rows) -> str:
    """Lay out numbers as text, one line per row below the column names."""
    columns = list(next(iter(rows.values()), {}))
    name_width = max(map(len, rows), default=0)
    widths = [max(len(column), 8) + 2 for column in columns]
    lines = [' ' * name_width + ''.join(map(str.rjust, columns, widths))]
    for name, values in rows.items():
        cells = (f'{values[c]:{w}.4f}' for c, w in zip(columns, widths))
        lines.append(f'{name:{name_width}}' + ''.join(cells))
    return '\n'.join(lines)


def transpose(rows: Rows) -> Rows:
    """Swap rows and columns."""
    columns = list(next(iter(rows.values()), {}))
    return {c: {name: rows[name][c] for name in rows} for c in columns}


def markdown_table(
    heading: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Lay out a table in Markdown, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(heading, *rows)]
    lines = [heading, ['-' * width for width in widths], *rows]
    return '\n'.join(
        f'| {" | ".join(map(str.ljust, line, widths))} |' for line in lines
    )


def percent(values: Sequence[float]) -> str:
    """Format the mean of fractions in percent, with the spread of several.

    No values give a dash.
    """
    if not len(values):
        return '-'
    scaled = 100 * np.asarray(values)
    spread = f' ± {scaled.std(ddof=1):.1f}' if len(scaled) > 1 else ''
    return f'{scaled.mean():.1f}{spread}'


def finite(value: Any) -> Any:
    """Replace nan and infinite numbers, which JSON does not have, by None.

    Args:
        value: any, dicts, lists and tuples with all they hold.
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    is_float = isinstance(value, (float, np.floating))
    return None if is_float and not math.isfinite(value) else value


def json_text(content: Any, **kwargs: Any) -> str:
    """Return JSON with null for numbers that are not finite."""
    return json.dumps(finite(content), allow_nan=False, **kwargs)
