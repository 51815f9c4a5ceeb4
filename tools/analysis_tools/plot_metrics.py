"""Plot what training runs have logged over their iterations.

    python tools/analysis_tools/plot_metrics.py \
        'IoU=work_dirs/iou_seed0,work_dirs/iou_seed1' 'FCOS=work_dirs/fcos' \
        --metrics base_class-wise/AP novel_drop-base/AR@100 --out metrics.png

A line is LABEL=FOLDER, the work folder of a tools/train.py run; of several
folders, such as training seeds, the mean is drawn in a band from the lowest to
the highest. Each panel shows one metric: any name in the logs. A dotted line
below the loss of a cue is its floor, the entropy of its targets, in runs with
`--cfg-options default_hooks.cue_floor.type=CueFloorHook`.
"""

from __future__ import annotations

import argparse

from mmdet_owp import cli
from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.logs import read_curves
from mmdet_owp.visualization.curves import draw_panels


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    metavar = 'LABEL=FOLDER[,FOLDER...]'
    add('lines', nargs='+', type=cli.labelled, metavar=metavar)
    add(
        '--metrics',
        nargs='+',
        default=['novel_drop-base/AR@10', 'novel_drop-base/AR@100'],
        help='names in the logs; a run without one of them is left out of its '
        'panel',
    )
    add('--columns', type=cli.positive, default=2, help='of panels')
    out = 'picture to write'
    add('--out', required=True, type=cli.picture_path, help=out)
    return parser.parse_args()


def _curves(runs: dict[str, list[dict]], name: str) -> dict[str, list]:
    """Return the curves of a metric by label, without runs that lack it."""
    curves = {
        label: [run[name] for run in of_label if name in run]
        for label, of_label in runs.items()
    }
    return {label: found for label, found in curves.items() if found}


def main() -> None:
    """Draw the picture."""
    args = parse_args()
    with cli.report_errors():
        runs = {
            label: list(map(read_curves, folders))
            for label, folders in args.lines
        }
        panels, floors = (
            {name: _curves(runs, prefix + name) for name in args.metrics}
            for prefix in ('', 'floor_')
        )
        for name, lines in panels.items():
            if not lines:
                logged = set().union(*sum(runs.values(), []))
                raise UserError(
                    f'no run has logged {name}; there are: '
                    f'{", ".join(sorted(logged))}'
                )
        draw_panels(
            args.out,
            panels,
            columns=args.columns,
            xlabel='iteration',
            floors=floors,
        )


if __name__ == '__main__':
    main()
