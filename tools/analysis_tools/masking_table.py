"""Print how much of the background training runs have masked.

    python tools/analysis_tools/masking_table.py \
        'joint + unknown=work_dirs/fcos_iou_cs_is_joint_unknown_shapes'

Each row is LABEL=FOLDER, the work folder of a tools/train.py run of a config
with UnknownMaskFocalLoss. The share is that of all background locations of
the training. If nothing was masked, the run is no test of masking; the highest
objectness on background shows how far from the threshold it stayed.
"""

from __future__ import annotations

import argparse

from mmdet_owp import cli
from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.logs import read_masking
from mmdet_owp.tables import markdown_table


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        'rows', nargs='+', type=cli.labelled, metavar='LABEL=FOLDER'
    )
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    heading = ['', 'background masked (%)', 'highest objectness on background']
    rows = []
    with cli.report_errors():
        for label, folders in args.rows:
            if len(folders) > 1:
                raise UserError(
                    f'{label}={",".join(folders)}: a row is one folder; give '
                    'each a row of its own'
                )
            share, highest = read_masking(folders[0])
            none = 'not tested: nothing was masked'
            masked = f'{100 * share:.3g}' if share else none
            rows.append([label, masked, f'{highest:.4f}'])
    print(markdown_table(heading, rows))


if __name__ == '__main__':
    main()
