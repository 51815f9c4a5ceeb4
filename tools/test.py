"""Test a detector; the arguments are those of mmdet's tools/test.py."""

from __future__ import annotations

import argparse

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.runner import Runner

from mmdet_owp.cli import report_errors
from mmdet_owp.engine import launch
from mmdet_owp.engine.checkpoint import check_exists


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Test a detector')
    launch.add_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        metavar='FILE.pkl',
        help='write all predictions, proposals included, to a pickle file',
    )
    parser.add_argument(
        '--show', action='store_true', help='show detections in a window'
    )
    parser.add_argument(
        '--show-dir', help='draw detections into WORK_DIR/TIMESTAMP/SHOW_DIR'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds per image with --show (default: 2)',
    )
    parser.add_argument('--tta', action='store_true', help='not supported yet')
    args = parser.parse_args()
    if args.tta:
        parser.error(
            '--tta merges class detections only, so the metrics would '
            'evaluate the proposals of one view; test without it'
        )
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out {args.out}: the name must end in .pkl')
    return args


def build_runner(args: argparse.Namespace) -> Runner:
    """Build the runner of the test."""
    cfg = launch.load_config(
        args.config,
        args.work_dir,
        args.cfg_options,
        args.launcher,
        args.local_rank,
    )
    check_exists(args.checkpoint)
    launch.check_data(cfg, 'test')
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    runner = launch.build_runner(cfg)
    runner.register_hook(dict(type='CheckpointMatchHook'))
    if args.out is not None:
        runner.test_evaluator.metrics.append(
            DumpDetResults(out_file_path=args.out)
        )
    return runner


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with report_errors():
        build_runner(args).test()


if __name__ == '__main__':
    main()
