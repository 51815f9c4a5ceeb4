"""Train a detector; the arguments are those of mmdet's tools/train.py."""

from __future__ import annotations

from argparse import Namespace

from mmengine.config import Config
from mmengine.device import get_device

from mmdet_owp import cli
from mmdet_owp.engine import launch
from mmdet_owp.engine.bfloat16 import check_bfloat16
from mmdet_owp.engine.resume import latest_checkpoint
from mmdet_owp.errors import UserError


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    launch.add_arguments(parser)
    add = parser.add_argument
    add(
        '--amp',
        action='store_true',
        help='train in mixed precision; on a CPU in bfloat16, where the '
        'processor has it',
    )
    add(
        '--channels-last',
        action='store_true',
        help='store the weights of convolutions channels last, which is '
        'often faster, above all with --amp',
    )
    add(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by batch size / '
        'auto_scale_lr.base_batch_size',
    )
    add(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint; without a path, from the latest in '
        'the work folder, if there is one',
    )
    return parser.parse_args()


def apply_arguments(cfg: Config, args: Namespace) -> None:
    """Apply the arguments that only training has to the config.

    Raises:
        UserError: if the config or the machine does not support one.
    """
    if args.amp:
        if get_device() == 'cpu':
            check_bfloat16()
            cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
        else:
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.channels_last:
        hooks = cfg.get('custom_hooks') or []
        cfg.custom_hooks = [*hooks, dict(type='ChannelsLastHook')]
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError(
                f'{args.config}: --auto-scale-lr needs '
                'auto_scale_lr=dict(base_batch_size=...) in the config'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume == 'auto':
        # Without a checkpoint the run starts, from load_from if it is set.
        latest = latest_checkpoint(cfg.work_dir)
        if latest is not None:
            cfg.resume, cfg.load_from = True, latest
    elif args.resume is not None:
        cfg.resume, cfg.load_from = True, args.resume
    launch.check_start(cfg)


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with cli.report_errors():
        cfg = launch.config_of(args)
        apply_arguments(cfg, args)
        launch.check_data(cfg, 'train', 'val')
        launch.build_runner(cfg).train()


if __name__ == '__main__':
    main()
