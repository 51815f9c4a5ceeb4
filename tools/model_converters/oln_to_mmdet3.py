r"""Convert a checkpoint of OLN's released code to this package's names.

    python tools/model_converters/oln_to_mmdet3.py oln_box.pth oln_box_3.pth \
        --config configs/oln/oln_box_coco.py

It may be of OLN-Box (detector `FasterRCNN`) or of its first stage alone
(`RPNDetector`). The names are printed; docs/oln.md lists them, too.
"""

from __future__ import annotations

import argparse
import os

import torch

from mmdet_owp import cli
from mmdet_owp.engine.checkpoint import load_checkpoint
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import UserError

# Modules by their released names, with the number of outputs that the configs
# of this package give them (None: any), in the order of the network.
FIRST_STAGE = {
    'rpn_head.rpn_conv': None,
    'rpn_head.rpn_reg': 4,
    'rpn_head.rpn_obj': 1,
}
SECOND_STAGE = {
    'roi_head.bbox_head.shared_fcs.0': None,
    'roi_head.bbox_head.shared_fcs.1': None,
    'roi_head.bbox_head.fc_reg': 4,
    'roi_head.bbox_head.fc_bbox_score': 1,
}
# Part of the released models, but trained with weight 0 and never used.
UNTRAINED = ('rpn_head.rpn_cls', 'roi_head.bbox_head.fc_cls')


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint of the released code')
    parser.add_argument('out', help='file to write')
    exact = 'check that its model has exactly these weights'
    parser.add_argument('--config', help=exact)
    return parser.parse_args()


def map_names(state: dict[str, torch.Tensor], path: str) -> dict[str, str]:
    """Map the released names of weights to those of this package.

    Weights that this package does not use are left out.

    Raises:
        UserError: if it is not a state dict of OLN.
    """
    heads = dict(FIRST_STAGE)
    one_stage = not any(name.startswith('roi_head.') for name in state)
    if not one_stage:
        heads.update(SECOND_STAGE)
    wanted = [
        f'{head}.{kind}' for head in heads for kind in ('weight', 'bias')
    ]
    missing = [name for name in wanted if name not in state]
    missing += [
        f'{part}.*'
        for part in ('backbone', 'neck')
        if not any(name.startswith(f'{part}.') for name in state)
    ]
    if missing:
        raise UserError(
            f'{path}: not a checkpoint of OLN: lacks {", ".join(missing)}'
        )
    for head, outputs in heads.items():
        num_outputs = len(state[f'{head}.weight'])
        if outputs not in (None, num_outputs):
            raise UserError(
                f'{path}: {head} has {num_outputs} outputs instead of '
                f'{outputs}: not class-agnostic as OLN is'
            )
    names = {}
    for name in state:
        if name in wanted or name.startswith(('backbone.', 'neck.')):
            # The name of the head in one-stage detectors of mmdet 3.
            names[name] = (
                name.replace('rpn_head.', 'bbox_head.') if one_stage else name
            )
        elif not name.startswith(UNTRAINED):
            raise UserError(
                f"{path}: {name} is in none of OLN's models that this package "
                'has'
            )
    return names


def check_fits(state: dict[str, torch.Tensor], config: str, path: str) -> None:
    """Refuse weights that differ from those of a config's model."""
    # Imported late: it takes seconds and is needed for --config only.
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    cfg = read_config(config)
    init_default_scope('mmdet')
    cfg.model.backbone.init_cfg = None
    wanted = MODELS.build(cfg.model).state_dict()
    differing = [
        name
        for name in wanted.keys() | state.keys()
        if name not in wanted
        or name not in state
        or wanted[name].shape != state[name].shape
    ]
    if differing:
        raise UserError(
            f'{path}: {len(differing)} weight(s) are missing, unused or of '
            f'another shape for {config}, such as {min(differing)}'
        )


def convert(args: argparse.Namespace) -> None:
    """Convert the checkpoint."""
    checkpoint = load_checkpoint(args.checkpoint)
    state = checkpoint.get('state_dict', checkpoint)
    names = map_names(state, args.checkpoint)
    converted = {new: state[name] for name, new in names.items()}
    if args.config:
        check_fits(converted, args.config, args.checkpoint)
    for name in state:
        if not name.startswith(('backbone.', 'neck.')):
            print(f'{name} -> {names.get(name, "left out: not trained")}')
    num_kept = sum(n.startswith(('backbone.', 'neck.')) for n in names)
    print(f'backbone.*, neck.* -> the same ({num_kept} tensors)')
    temporary = f'{args.out}.tmp'
    try:
        torch.save(dict(state_dict=converted), temporary)
        os.replace(temporary, args.out)
    # PyTorch raises RuntimeError for a missing folder.
    except (OSError, RuntimeError) as error:
        raise UserError(f'cannot write {args.out}: {error}') from error
    print(f'{args.out}: {len(converted)} tensors')


if __name__ == '__main__':
    args = parse_args()
    with cli.report_errors():
        convert(args)
