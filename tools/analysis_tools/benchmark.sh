#!/usr/bin/env bash
# Regenerates the tables of docs/results/performance.md, on a CPU:
#
#   bash tools/analysis_tools/benchmark.sh [PROPOSER.pth BASELINE.pth]
#
# The last table needs trained weights, by default those of
# tools/quickstart.sh. ANNOTATIONS may name a COCO annotation file to take
# boxes from, instead of the built-in data's.
set -eu
cd "$(dirname "$0")/../.."
. tools/python.sh
quickstart=work_dirs/quickstart
ours=${1:-$quickstart/fcos_iou_cs_is_shapes/epoch_3.pth}
stock=${2:-$quickstart/fcos_shapes/epoch_3.pth}
boxes=(${ANNOTATIONS:+--annotations "$ANNOTATIONS"})
r18=(model.backbone.depth=18 'model.neck.in_channels=[64,128,256,512]'
  model.neck.out_channels=64 model.bbox_head.in_channels=64
  model.bbox_head.feat_channels=64)

measure() {
  echo
  "$PYTHON" tools/analysis_tools/benchmark.py "$@" --device cpu |
    grep -v 'Could not import OneDL'
}
both=(configs/owp/fcos_iou_cs_is_coco.py
  --also configs/owp_cls/fcos_iou_cs_is_joint_coco.py)

echo '### Training: ResNet-50, 256 channels'
measure "${both[@]}" "${boxes[@]}" --size 512 512 --batch 2 --repeat 5 \
  --limit 150 --parts step features head loss backward
echo
echo '### Training: ResNet-18, 64 channels'
measure "${both[@]}" "${boxes[@]}" --size 256 256 --batch 8 --repeat 15 \
  --parts step features head loss backward --cfg-options "${r18[@]}"
echo
echo '### Targets'
measure "${both[@]}" --size 512 512 --batch 2 --repeat 20 --parts targets \
  --boxes 7 50 300 --cfg-options "${r18[@]}"
echo
echo '### Inference, trained weights'
measure configs/shapes/fcos_iou_cs_is_shapes.py --size 512 512 --batch 2 \
  --repeat 15 --parts inference prediction decoding nms --checkpoint "$ours" \
  --stock-checkpoint "$stock" \
  --cfg-options model.test_cfg.proposals.nms_pre=1000
