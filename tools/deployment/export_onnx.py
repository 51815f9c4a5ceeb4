r"""Export a proposer as an ONNX model, for images of any size.

    python tools/deployment/export_onnx.py CONFIG CHECKPOINT \
        --out model.onnx --check IMAGE...

The model maps the pixels of a resized image to boxes and scores;
docs/deployment.md specifies both. With --check the model and the detector
propose boxes on some images, and the largest difference is printed.
"""

from __future__ import annotations

import argparse

from mmengine.config import Config
from torch import nn

from mmdet_owp import cli
from mmdet_owp.deployment import onnx_check, onnx_export
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import UserError, check_writable

# Largest difference of a score, and of a box in units of the longer side.
TOLERANCE = 1e-4


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    for name in ('config', 'checkpoint'):
        parser.add_argument(name, help=f'{name} file')
    parser.add_argument('--out', required=True, help='ONNX file to write')
    parser.add_argument(
        '--nms',
        choices=['inside', 'outside'],
        default='inside',
        help='whether the model applies NMS or returns all candidates',
    )
    parser.add_argument('--device', default='cpu', help='where to run')
    parser.add_argument(
        '--check',
        nargs='+',
        default=[],
        metavar='IMAGE',
        help='compare with the detector on these images; exit with status 1 '
        'if a score or a box, in units of the longer side, differs by more '
        f'than {TOLERANCE}',
    )
    cli.add_cfg_options(parser)
    return parser.parse_args()


def check(
    args: argparse.Namespace, config: Config, detector: nn.Module
) -> None:
    """Compare the model with the detector.

    Raises:
        UserError: if they differ.
    """
    session = onnx_check.open_model(args.out)
    num_differing = 0
    images = onnx_check.read_images(config, args.check)
    for path, image in zip(args.check, images):
        (eager,) = onnx_check.propose_eagerly(detector, image[None])
        (onnx,) = onnx_check.propose_by_onnx(
            session, image[None], detector.bbox_head.proposal_cfg
        )
        box, score = onnx_check.largest_difference(eager, onnx)
        print(
            f'{path}: {len(eager[0])} proposals, {len(onnx[0])} by ONNX; '
            f'largest difference {box:.1e} pixels, {score:.1e} of the scores'
        )
        num_differing += max(box / max(image.shape), score) > TOLERANCE
    if num_differing:
        raise UserError(
            f'{num_differing} of {len(args.check)} images differ by more than '
            f'{TOLERANCE}; equal scores, or overlaps exactly at the '
            'threshold, can cause this for single boxes'
        )


def main() -> None:
    """Export the model and check it."""
    args = parse_args()
    with cli.report_errors():
        check_writable(args.out)
        onnx_export.check_installed()
        config = read_config(args.config)
        config.merge_from_dict(args.cfg_options or {})
        detector = load_detector(config, args.checkpoint, args.device)
        onnx_export.export_onnx(detector, args.out, args.nms == 'inside')
        print(f'wrote {args.out}')
        if args.check:
            check(args, config, detector)


if __name__ == '__main__':
    main()
