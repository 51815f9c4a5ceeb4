"""Write a detector's proposals for a second stage, such as Fast R-CNN.

    python tools/dump_proposals.py CONFIG CHECKPOINT

tests the detector on all images of the training and validation sets,
including those without a base object, and writes
DATA_ROOT/proposals/NAME_OF_CONFIG_train.pkl and ..._val.pkl for the
`proposal_file` of mmdet's data sets.
"""

from __future__ import annotations

import argparse
import os
import os.path as osp
from copy import deepcopy

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmdet_owp import cli
from mmdet_owp.engine import launch
from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.engine.multi_view import use_tta
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.dump_proposals_metric import check_proposal_names


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    launch.add_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    splits = ['train', 'val']
    parser.add_argument('--splits', nargs='+', choices=splits, default=splits)
    folder = 'default: proposals/ in the data root of each split'
    parser.add_argument('--out-dir', help=folder)
    views = 'merge the proposals for the views of tta_pipeline'
    parser.add_argument('--tta', action='store_true', help=views)
    return parser.parse_args()


def dump_config(
    cfg: Config, split: str, out_dir: str | None
) -> tuple[Config, str]:
    """Return the config of a test that writes the proposals of a split.

    The second value is the path of the output file.
    """
    cfg = deepcopy(cfg)
    found = list(launch.datasets(cfg[f'{split}_dataloader'].dataset))
    if len(found) != 1:
        raise UserError(
            f'{cfg.filename}: {split}_dataloader has {len(found)} data sets '
            'with an ann_file, but a proposal file is for one; select one by '
            '--cfg-options'
        )
    dataset = found[0]
    # Test mode keeps images without objects. LoadProposals counts the images
    # of the annotation file before it filters them.
    dataset.update(
        test_mode=True, pipeline=cfg.test_dataloader.dataset.pipeline
    )
    cfg.test_dataloader.dataset = dataset
    folder = out_dir or osp.join(dataset.get('data_root') or '', 'proposals')
    name = f'{osp.splitext(osp.basename(cfg.filename))[0]}_{split}.pkl'
    remedy = 'choose another with --out-dir'
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f'{folder}: {error.strerror}; {remedy}') from error
    if not os.access(folder, os.W_OK):
        raise UserError(f'{folder}: not writable; {remedy}')
    files = dict(output_dir=folder, proposals_file=name)
    cfg.test_evaluator = dict(type='DumpClassAgnosticProposals', **files)
    return cfg, osp.join(folder, name)


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with cli.report_errors():
        cfg = launch.config_of(args)
        check_exists(args.checkpoint)
        launch.check_data(cfg, *args.splits)
        if args.tta:
            use_tta(cfg)
        cfg.load_from, cfg.resume = args.checkpoint, False
        jobs = [dump_config(cfg, s, args.out_dir) for s in args.splits]
        for job, path in jobs:
            runner = launch.build_runner(job)
            runner.register_hook(dict(type='CheckpointMatchHook'))
            dataset = runner.test_dataloader.dataset
            check_proposal_names(
                dataset.get_data_info(i)['img_path']
                for i in range(len(dataset))
            )
            runner.test()
            if is_main_process():
                print(f'wrote {path}')


if __name__ == '__main__':
    main()
