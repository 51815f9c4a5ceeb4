"""Write a trained proposer as a small checkpoint and a config of one file.

    python tools/model_converters/publish_model.py CONFIG CHECKPOINT \
        --out weights/NAME

writes NAME.pth, the weights in half precision without optimizer and log, and
NAME.py, what inference and testing need of the config. Neither has a path of
this machine, as long as the variables that name data folders are not set.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch
from mmengine.config import Config

from mmdet_owp import cli
from mmdet_owp.engine.checkpoint import check_exists, load_checkpoint
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import check_writable

# What inference and tools/test.py read of a config.
_KEYS = (
    'default_scope', 'custom_imports', 'model', 'tta_model', 'tta_pipeline',
    'test_dataloader', 'test_evaluator', 'test_cfg', 'default_hooks',
    'env_cfg', 'vis_backends', 'visualizer', 'log_processor', 'log_level',
)  # fmt: skip


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument('config', help='config of the training')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument(
        '--out', required=True, help='path of both files, without suffix'
    )
    parser.add_argument(
        '--scales',
        nargs='+',
        type=int,
        metavar='SIZE',
        help='sizes that inference merges by default (proposal_scales)',
    )
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with cli.report_errors():
        cfg = read_config(args.config)
        check_exists(args.checkpoint)
        weights = load_checkpoint(args.checkpoint)
        # Nothing is downloaded for weights that the checkpoint has.
        cfg.model.backbone.pop('init_cfg', None)
        # A copy: building the detector writes test_cfg into its head's config.
        state = load_detector(copy.deepcopy(cfg), args.checkpoint).state_dict()
        state = {
            name: value.half() if value.is_floating_point() else value
            for name, value in state.items()
        }
        meta = dict(dataset_meta=weights['meta']['dataset_meta'])
        meta['dataset_meta'].pop('ann_file', None)
        folder = Path(args.out).parent
        check_writable(str(folder), folder=True)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(dict(meta=meta, state_dict=state), f'{args.out}.pth')
        kept = {key: cfg[key] for key in _KEYS if key in cfg}
        if args.scales:
            kept['proposal_scales'] = args.scales
        Config(kept).dump(f'{args.out}.py')
        # The file must give the same model.
        load_detector(f'{args.out}.py', f'{args.out}.pth')
        size = Path(f'{args.out}.pth').stat().st_size / 2**20
        print(f'wrote {args.out}.py and {args.out}.pth ({size:.1f} MiB)')


if __name__ == '__main__':
    main()
