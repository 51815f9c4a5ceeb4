"""Export a proposer as an ONNX model, for images of any size.

    python tools/deployment/export_onnx.py CONFIG CHECKPOINT \
        --out model.onnx --check IMAGE...

Into it go the pixels of a resized image, out of it come boxes and scores;
docs/deployment.md tells the exact contract. With --check both the model and
the detector propose on some images, and the largest difference is printed.
"""

from __future__ import annotations

import argparse
import sys

import torch

from mmdet_owp.deployment import onnx_check, onnx_export
from mmdet_owp.engine.launch import (
    add_cfg_options,
    one_line_errors,
    read_config,
)

# Largest difference of a score, and of a box in units of the longer side.
TOLERANCE = 1e-4


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ('config', 'checkpoint'):
        parser.add_argument(name, help=f'{name} file')
    parser.add_argument('--out', required=True, help='ONNX file to write')
    parser.add_argument(
        '--nms',
        choices=['inside', 'outside'],
        default='inside',
        help='whether the model suppresses and cuts, or gives all candidates '
        '(default: inside)',
    )
    parser.add_argument('--device', default='cpu', help='(default: cpu)')
    parser.add_argument(
        '--check',
        nargs='+',
        default=[],
        metavar='IMAGE',
        help='compare with the detector on these; exits with 1 where a score '
        f'or a box, in units of the longer side, differs by over {TOLERANCE}',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.device != 'cpu' and not torch.cuda.is_available():
        parser.error(
            f'--device {args.device}: torch finds no such device; '
            'leave it out, the model is the same'
        )
    return args


def main() -> None:
    """Export and check."""
    args = parse_args()
    with one_line_errors():
        onnx_export.check_installed()
        config = read_config(args.config)
        config.merge_from_dict(args.cfg_options or {})
        detector = onnx_export.load_detector(
            config, args.checkpoint, args.device
        )
        onnx_export.export_onnx(detector, args.out, args.nms == 'inside')
        print(f'wrote {args.out}')
        if not args.check:
            return
        session = onnx_check.open_model(args.out)
        unlike = 0
        images = onnx_check.read_images(config, args.check)
        for path, image in zip(args.check, images):
            (eager,) = onnx_check.propose_eagerly(detector, image[None])
            (onnx,) = onnx_check.propose_by_onnx(
                session, image[None], detector.bbox_head.proposal_cfg
            )
            box, score = onnx_check.largest_difference(eager, onnx)
            print(
                f'{path}: {len(eager[0])} proposals, {len(onnx[0])} by '
                f'ONNX; largest difference {box:.1e} pixels, {score:.1e} of '
                'the scores'
            )
            unlike += max(box / max(image.shape), score) > TOLERANCE
    if unlike:
        sys.exit(
            f'error: {unlike} of {len(args.check)} images differ by more '
            f'than {TOLERANCE}; equal scores or overlaps at the very '
            'threshold can do that to single boxes'
        )


if __name__ == '__main__':
    main()
