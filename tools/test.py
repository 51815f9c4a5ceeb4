"""Test a detector; the arguments are those of mmdet's tools/test.py."""

from __future__ import annotations

from argparse import Namespace

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.runner import Runner

from mmdet_owp import cli
from mmdet_owp.engine import launch
from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.engine.multi_view import use_tta
from mmdet_owp.errors import check_writable


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    launch.add_arguments(parser)
    add = parser.add_argument
    add('checkpoint', help='checkpoint file')
    out = 'write all predictions, proposals included, to a pickle file'
    add('--out', metavar='FILE.pkl', help=out)
    add('--show', action='store_true', help='show detections in a window')
    folder = 'draw detections into WORK_DIR/TIMESTAMP/SHOW_DIR'
    add('--show-dir', help=folder)
    wait = 'seconds per image with --show'
    add('--wait-time', type=float, default=2, help=wait)
    views = (
        'merge the predictions for the views of tta_pipeline, such as sizes'
    )
    add('--tta', action='store_true', help=views)
    page = 'write a page of what the proposals find and miss (docs/report.md)'
    add('--report', metavar='FOLDER', help=page)
    args = parser.parse_args()
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out {args.out}: the name must end in .pkl')
    return args


def build_runner(args: Namespace) -> Runner:
    """Build the runner of the test."""
    cfg = launch.config_of(args)
    check_writable(args.out)
    check_exists(args.checkpoint)
    launch.check_data(cfg, 'test')
    if args.tta:
        use_tta(cfg)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    runner = launch.build_runner(cfg)
    runner.register_hook(dict(type='CheckpointMatchHook'))
    if args.out is not None:
        runner.test_evaluator.metrics.append(
            DumpDetResults(out_file_path=args.out)
        )
    if args.report is not None:
        from mmdet_owp.commands.report_metric import add_report

        add_report(runner, args.report, one_view=not args.tta)
    return runner


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with cli.report_errors():
        build_runner(args).test()


if __name__ == '__main__':
    main()
