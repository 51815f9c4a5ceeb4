"""Train the grid of Fig. 6 (unknown object masking) and draw its panels.

    python tools/analysis_tools/sweep_unknown.py \
        configs/shapes/fcos_iou_cs_is_joint_unknown_shapes.py \
        configs/shapes/fcos_iou_cs_is_finetune_unknown_shapes.py \
        --work-dir work_dirs/sweep_unknown

Each config is trained with two thresholds, masking from four points of the
training on, one run after the other. Called again, it skips what is finished
and resumes what isn't. Base AP and novel AR@100 are those of the last
validation of each run; the picture is WORK_DIR/fig6.png. Where no background
is masked, settings cannot differ.

Table 4 of the paper, areas masked on LVIS:

    python tools/analysis_tools/sweep_unknown.py \
        configs/owp_cls/fcos_iou_cs_is_joint_unknown_area_lvis.py \
        --work-dir work_dirs/sweep_lvis --thresholds 0.95 --starts 0 5 10 60 \
        --metrics lvis-id_base_class-wise/AP lvis-id_base_class-wise/AR@300 \
        lvis-id_novel_drop-base/AP lvis-id_novel_drop-base/AR@300
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmdet_owp.reproduction.jobs import Command, Job, add_cfg_options, run_jobs
from mmdet_owp.reproduction.logs import read_masking, read_scalars
from mmdet_owp.tables import markdown_table
from mmdet_owp.visualization.curves import draw_panels

TRAIN = Path(__file__).parents[1] / 'train.py'
LOSS = 'model.bbox_head.loss_cls'
THRESHOLDS = (0.925, 0.95)
# In thousands of the paper's 90,000 iterations; the same part of any other
# schedule.
STARTS = (5, 10, 30, 60)
# Those of Fig. 6, with their titles.
METRICS = {
    'base_class-wise/AP': 'AP of base classes',
    'novel_drop-base/AR@100': 'AR@100 of novel classes',
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'configs', nargs='+', help='configs with UnknownMaskFocalLoss'
    )
    parser.add_argument(
        '--work-dir', required=True, help='folder for all runs'
    )
    parser.add_argument(
        '--thresholds',
        nargs='+',
        type=float,
        default=THRESHOLDS,
        help='default: 0.925 0.95',
    )
    parser.add_argument(
        '--starts',
        nargs='+',
        type=int,
        default=STARTS,
        help='in ninetieths of the training; default: 5 10 30 60',
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=list(METRICS),
        help="names in the log; default: base AP and novel AR@100 of COCO's "
        'partition',
    )
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    add_cfg_options(parser)
    return parser.parse_args()


def training(
    config: str, folder: Path, options: list[str], metrics: list[str]
) -> Job:
    """Plan the training of one setting.

    Args:
        config (str): path.
        folder (Path): for checkpoints and logs.
        options (list[str]): KEY=VALUE.
        metrics (list[str]): what a finished run has logged.
    """
    words = [
        sys.executable,
        TRAIN,
        config,
        '--work-dir',
        folder,
        '--resume',
        '--cfg-options',
        *options,
    ]
    return Job(
        folder,
        lambda: [Command([str(word) for word in words])],
        complete=lambda: last_metrics(folder, metrics) is not None,
    )


def last_metrics(folder: Path, metrics: list[str]) -> list[float] | None:
    """Read the metrics of a run's last validation, in percent.

    Args:
        folder (Path): of the run. None is returned where it has none.
        metrics (list[str]): their names.
    """
    try:
        scalars = read_scalars(folder)
    except FileNotFoundError:
        return None
    found = [line for line in scalars if all(key in line for key in metrics)]
    return [100 * found[-1][key] for key in metrics] if found else None


def draw(
    results: dict[tuple[str, float, int], list[float]],
    titles: list[str],
    path: Path,
) -> None:
    """Draw the panels: a row a threshold, a column a metric.

    Args:
        results (dict): metrics by config, threshold and start.
        titles (list[str]): of the metrics.
        path (Path): of the picture.
    """
    panels: dict[str, dict] = {}
    for (config, threshold, start), values in sorted(
        results.items(), key=lambda item: item[0][1:]
    ):
        for title, value in zip(titles, values):
            lines = panels.setdefault(f'{title}, threshold {threshold}', {})
            lines.setdefault(config, [{}])[0][start] = value
    draw_panels(
        path,
        panels,
        columns=len(titles),
        xlabel='masking starts after (of 90 parts)',
        xticks=sorted({start for _, _, start in results}),
    )


def main() -> None:
    """Train and draw."""
    args = parse_args()
    work_dir = Path(args.work_dir)
    titles = [METRICS.get(name, name) for name in args.metrics]
    jobs = {
        (Path(config).stem, threshold, start): training(
            config,
            work_dir / f'{Path(config).stem}_{threshold}_{start}k',
            [
                f'{LOSS}.threshold={threshold}',
                f'{LOSS}.start_iter={start / 90}',
                f'randomness.seed={args.seed}',
                *args.cfg_options,
            ],
            args.metrics,
        )
        for config in args.configs
        for threshold in args.thresholds
        for start in args.starts
    }
    try:
        run_jobs(list(jobs.values()))
    except KeyboardInterrupt:
        print('stopped; the same command goes on', file=sys.stderr)
        sys.exit(130)
    results, rows = {}, []
    for (name, threshold, start), job in jobs.items():
        if not job.finished:
            continue
        values = last_metrics(job.folder, args.metrics)
        results[name, threshold, start] = values
        rows.append(
            [
                name,
                str(threshold),
                f'{start}/90',
                *(f'{value:.1f}' for value in values),
                f'{100 * read_masking(job.folder)[0]:.3g}',
            ]
        )
    if results:
        print(
            markdown_table(
                ['', 'threshold', 'start', *titles, 'background masked (%)'],
                rows,
            )
        )
        draw(results, titles, work_dir / 'fig6.png')
    failed = len(jobs) - len(results)
    if failed:
        sys.exit(
            f'error: {failed} of {len(jobs)} runs failed; call again to '
            'resume them'
        )


if __name__ == '__main__':
    main()
