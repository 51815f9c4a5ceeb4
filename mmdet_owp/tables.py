"""Numbers laid out as text, for logs and terminals."""

from __future__ import annotations

# Numbers by the names of their row and column.
Rows = dict[str, dict[str, float]]


def text_table(rows: Rows) -> str:
    """Lay numbers out as text, one line a row, below a line of names."""
    columns = list(next(iter(rows.values()), {}))
    wide = max(map(len, rows), default=0)
    widths = [max(len(c), 8) + 2 for c in columns]
    lines = [' ' * wide + ''.join(map(str.rjust, columns, widths))]
    lines += [
        f'{row:{wide}}'
        + ''.join(f'{values[c]:{w}.4f}' for c, w in zip(columns, widths))
        for row, values in rows.items()
    ]
    return '\n'.join(lines)


def transpose(rows: Rows) -> Rows:
    """Make rows of columns."""
    columns = list(next(iter(rows.values()), {}))
    return {c: {name: rows[name][c] for name in rows} for c in columns}
