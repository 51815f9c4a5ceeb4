"""Moved: `python tools/reproduce.py --figure 6 --data DATA`."""

from __future__ import annotations

from mmdet_owp import cli
from mmdet_owp.errors import UserError


def main() -> None:
    """Name the new command."""
    with cli.report_errors():
        raise UserError(
            'sweep_unknown.py is now `python tools/reproduce.py --figure 6 '
            '--data DATA`, with the same --thresholds, --starts and '
            '--metrics; areas on LVIS: `--table 4 --data lvis`'
        )


if __name__ == '__main__':
    main()
