"""Write a detector's proposals for a second stage, such as Fast R-CNN.

    python tools/dump_proposals.py CONFIG CHECKPOINT

runs it on all images of the training and of the validation set, those without
a base object included, and writes DATA_ROOT/proposals/NAME_OF_CONFIG_train.pkl
and …_val.pkl, which `proposal_file` of mmdet's data sets reads.
"""

from __future__ import annotations

import argparse
import os
import os.path as osp
import sys
from copy import deepcopy

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmdet_owp.engine import launch
from mmdet_owp.engine.checkpoint import check_exists


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.add_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=['train', 'val'],
        default=['train', 'val'],
        help='(default: both)',
    )
    parser.add_argument(
        '--out-dir', help='default: proposals/ in the data root of each split'
    )
    return parser.parse_args()


def dumping(cfg: Config, split: str, out_dir: str | None) -> tuple:
    """Make the config of a test that writes a split's proposals.

    Args:
        cfg (Config): a whole config.
        split (str): ``'train'`` or ``'val'``.
        out_dir (str, optional): folder of the file.

    Returns:
        tuple[Config, str]: the config and the file it will write.
    """
    cfg = deepcopy(cfg)
    found = list(launch.datasets(cfg[f'{split}_dataloader'].dataset))
    if len(found) != 1:
        sys.exit(
            f'error: {cfg.filename}: {split}_dataloader has '
            f'{len(found)} data sets with an ann_file; a file of '
            'proposals is for one: name one by --cfg-options'
        )
    dataset = found[0]
    # In test mode no image is left out; the number of images is checked when
    # proposals are read, before any is.
    dataset.update(
        test_mode=True, pipeline=cfg.test_dataloader.dataset.pipeline
    )
    cfg.test_dataloader.dataset = dataset
    folder = out_dir or osp.join(dataset.get('data_root') or '', 'proposals')
    name = f'{osp.splitext(osp.basename(cfg.filename))[0]}_{split}.pkl'
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        sys.exit(
            f'error: {folder}: {error.strerror}; name another by --out-dir'
        )
    if not os.access(folder, os.W_OK):
        sys.exit(f'error: {folder}: not writable; name another by --out-dir')
    cfg.test_evaluator = dict(
        type='DumpClassAgnosticProposals',
        output_dir=folder,
        proposals_file=name,
    )
    return cfg, osp.join(folder, name)


def main() -> None:
    """Write the proposals of each split."""
    args = parse_args()
    with launch.one_line_errors():
        cfg = launch.load_config(args)
        check_exists(args.checkpoint)
        launch.check_data(cfg, *args.splits)
        cfg.load_from, cfg.resume = args.checkpoint, False
        jobs = [dumping(cfg, split, args.out_dir) for split in args.splits]
        for job, path in jobs:
            runner = launch.build_runner(job)
            runner.register_hook(dict(type='CheckpointMatchHook'))
            runner.test()
            if is_main_process():
                print(f'wrote {path}')


if __name__ == '__main__':
    main()
