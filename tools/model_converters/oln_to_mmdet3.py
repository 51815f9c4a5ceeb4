"""Convert a checkpoint of OLN's released code to this package's names.

    python tools/model_converters/oln_to_mmdet3.py oln_box.pth oln_box_3.pth \
        --config configs/oln/oln_box_coco.py

Of OLN-Box (its detector `FasterRCNN`) or of its first stage alone
(`RPNDetector`). docs/oln.md has the map of names, which is also printed.
"""

from __future__ import annotations

import argparse
import os
import sys

import torch

from mmdet_owp.engine.checkpoint import load_checkpoint

# Modules by their names in the released code, with the number of outputs that
# the configs of this package give them (None: free), in order of the network.
FIRST_STAGE = {
    'rpn_head.rpn_conv': None,
    'rpn_head.rpn_reg': 4,
    'rpn_head.rpn_obj': 1,
}
SECOND_STAGE = {
    f'roi_head.bbox_head.{name}': outputs
    for name, outputs in (
        ('shared_fcs.0', None),
        ('shared_fcs.1', None),
        ('fc_reg', 4),
        ('fc_bbox_score', 1),
    )
}
# Built there, but trained with weight 0 and never read.
UNTRAINED = ('rpn_head.rpn_cls', 'roi_head.bbox_head.fc_cls')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint', help='file of the released code')
    parser.add_argument('out', help='file to write')
    parser.add_argument(
        '--config', help='check that its model takes all weights and no other'
    )
    return parser.parse_args()


def convert(state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Find what the weights are called here.

    Args:
        state (dict[str, Tensor]): the released state dict.

    Returns:
        dict[str, str]: released name to name in this package, without
        weights that have no use here.

    Raises:
        ValueError: in one line, if it is none of OLN's.
    """
    heads = dict(FIRST_STAGE)
    alone = not any(name.startswith('roi_head.') for name in state)
    if not alone:
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
        raise ValueError(
            'no checkpoint of OLN, for want of ' + ', '.join(missing)
        )
    for head, outputs in heads.items():
        found = len(state[f'{head}.weight'])
        if outputs not in (None, found):
            raise ValueError(
                f'{head} has {found} outputs instead of '
                f'{outputs}: not class-agnostic as OLN is'
            )
    names = {}
    for name in state:
        if name in wanted or name.startswith(('backbone.', 'neck.')):
            # mmdet 3 calls the head of a detector of one stage so.
            names[name] = (
                name.replace('rpn_head.', 'bbox_head.') if alone else name
            )
        elif not name.startswith(UNTRAINED):
            raise ValueError(
                f"{name} is in none of OLN's models that this package has"
            )
    return names


def check_fits(state: dict[str, torch.Tensor], config: str) -> None:
    """Load the weights into a config's model.

    Args:
        state (dict[str, Tensor]): as it is to be written.
        config (str): file of the config.

    Raises:
        ValueError: in one line, if they differ in names or shapes.
    """
    # Imported late: it takes seconds, and without --config nobody needs it.
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import mmdet_owp.register  # noqa: F401

    cfg = Config.fromfile(config)
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
        raise ValueError(
            f'{len(differing)} weight(s) are missing, of no use '
            f'or of another shape for {config}, such as '
            f'{min(differing)}'
        )


def main() -> None:
    """Convert as the command line says."""
    args = parse_args()
    try:
        checkpoint = load_checkpoint(args.checkpoint)
        state = checkpoint.get('state_dict', checkpoint)
        try:
            names = convert(state)
            converted = {new: state[name] for name, new in names.items()}
            if args.config:
                check_fits(converted, args.config)
        except ValueError as error:
            raise ValueError(f'{args.checkpoint}: {error}') from error
        for name in state:
            if not name.startswith(('backbone.', 'neck.')):
                print(f'{name} -> {names.get(name, "left out: not trained")}')
        kept = sum(n.startswith(('backbone.', 'neck.')) for n in names)
        print(f'backbone.*, neck.* -> the same ({kept} tensors)')
        temporary = f'{args.out}.tmp'
        torch.save(dict(state_dict=converted), temporary)
        os.replace(temporary, args.out)
    # RuntimeError: PyTorch's, of a folder that is not there.
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'{args.out}: {len(converted)} tensors')


if __name__ == '__main__':
    main()
