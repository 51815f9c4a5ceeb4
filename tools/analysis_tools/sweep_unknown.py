"""Train the grid of Fig. 6 (unknown object masking) and draw its panels.

    python tools/analysis_tools/sweep_unknown.py \
        configs/shapes/fcos_iou_cs_is_joint_unknown_shapes.py \
        configs/shapes/fcos_iou_cs_is_finetune_unknown_shapes.py \
        --work-dir work_dirs/sweep_unknown

Each config is trained with two thresholds and four starts of masking, one run
after the other. Called again, the tool skips finished runs and resumes the
others. The metrics are those of the last validation of each run; the picture
is WORK_DIR/fig6.png. Settings cannot differ if no background is masked.

Table 4 of the paper, areas masked on LVIS:

    python tools/analysis_tools/sweep_unknown.py \
        configs/owp_cls/fcos_iou_cs_is_joint_unknown_area_lvis.py \
        --work-dir work_dirs/sweep_lvis --thresholds 0.95 --starts 0 5 10 60 \
        --metrics lvis-id_base_class-wise/AP lvis-id_base_class-wise/AR@300 \
        lvis-id_novel_drop-base/AP lvis-id_novel_drop-base/AR@300
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmdet_owp import cli
from mmdet_owp.errors import UserError, writing
from mmdet_owp.reproduction.jobs import exit_on_interrupt, run_jobs
from mmdet_owp.reproduction.paper_tables import FIG6
from mmdet_owp.reproduction.sweep import plan_sweep, report_sweep


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add('configs', nargs='+', help='configs with UnknownMaskFocalLoss')
    add('--work-dir', required=True, help='folder of all runs')
    add(
        '--thresholds',
        nargs='+',
        type=float,
        default=(0.925, 0.95),
        help='objectness above which background is masked',
    )
    add(
        '--starts',
        nargs='+',
        type=int,
        default=(5, 10, 30, 60),
        help='in ninetieths of the training (thousands of the 90,000 '
        'iterations of the paper)',
    )
    add('--metrics', nargs='+', default=FIG6, help='names in the log')
    add('--seed', type=int, default=0, help='of all runs')
    cli.add_cfg_options(parser, raw=True)
    return parser.parse_args()


def main() -> None:
    """Train and draw."""
    args = parse_args()
    work_dir = Path(args.work_dir)
    with cli.report_errors(), exit_on_interrupt():
        jobs = plan_sweep(
            args.configs,
            args.thresholds,
            args.starts,
            args.metrics,
            Path(__file__).parents[1] / 'train.py',
            work_dir,
            [f'randomness.seed={args.seed}', *args.cfg_options],
        )
        with writing(work_dir):
            work_dir.mkdir(parents=True, exist_ok=True)
        run_jobs(list(jobs.values()))
        num_failed = sum(not job.finished for job in jobs.values())
        if num_failed < len(jobs):
            print(report_sweep(jobs, args.metrics, work_dir / 'fig6.png'))
        if num_failed:
            raise UserError(
                f'{num_failed} of {len(jobs)} runs failed; call again to '
                'resume them'
            )


if __name__ == '__main__':
    main()
