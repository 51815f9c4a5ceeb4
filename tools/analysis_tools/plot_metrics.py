"""Plot what training runs have logged over their iterations.

    python tools/analysis_tools/plot_metrics.py \
        'IoU=work_dirs/iou_seed0,work_dirs/iou_seed1' 'FCOS=work_dirs/fcos' \
        --metrics base_class-wise/AP novel_drop-base/AR@100 --out metrics.png

A line is LABEL=FOLDER, the work folder of a tools/train.py run; of several
folders, such as training seeds, it is the mean, in a band from the lowest to
the highest. A panel is one of the metrics: any name in the logs. A dotted line
below the loss of a cue is its floor, the entropy of its targets, in runs with
`--cfg-options default_hooks.cue_floor.type=CueFloorHook`.
"""

from __future__ import annotations

import argparse
import sys

from mmdet_owp.cli import labelled
from mmdet_owp.reproduction.logs import read_curves
from mmdet_owp.visualization import style
from mmdet_owp.visualization.curves import draw_panels


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'lines', nargs='+', type=labelled, metavar='LABEL=FOLDER[,FOLDER...]'
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=['novel_drop-base/AR@10', 'novel_drop-base/AR@100'],
        help='names in the logs; default: novel AR@10 and AR@100. A run '
        'without one of them is left out of its panel',
    )
    parser.add_argument(
        '--columns', type=int, default=2, help='of panels (default: 2)'
    )
    parser.add_argument(
        '--out',
        required=True,
        type=style.picture_path,
        help='picture to write',
    )
    return parser.parse_args()


def main() -> None:
    """Draw the picture."""
    args = parse_args()
    panels = {name: {} for name in args.metrics}
    floors = {name: {} for name in args.metrics}
    logged = set()
    for label, folders in args.lines:
        try:
            runs = [read_curves(folder) for folder in folders]
        except OSError as error:
            sys.exit(f'error: {error}')
        logged.update(*runs)
        for name in args.metrics:
            for lines, key in ((panels, name), (floors, f'floor_{name}')):
                curves = [run[key] for run in runs if key in run]
                if curves:
                    lines[name][label] = curves
    for name, lines in panels.items():
        if not lines:
            sys.exit(
                f'error: no run has logged {name}; there are: '
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
