#!/usr/bin/env bash
# Makes the tables of docs/results/performance.md, each as soon as it is
# measured in work_dirs/benchmark/DEVICE/PART.md:
#
#   bash tools/analysis_tools/benchmark.sh [--device cuda] [--only PART...]
#       [--out FOLDER] [--tiny] [--weights PROPOSER.pth BASELINE.pth]
#
# Parts: fp32 amp channels-last compile loss loader nms   (all, on CUDA)
#        r18 targets inference       (on a CPU these, fp32 and loss)
#
# A part is stopped after 5 minutes, all on CUDA after at most 20. `inference`
# needs trained weights, by default those of tools/quickstart.sh. ANNOTATIONS
# may name a COCO annotation file to take boxes from, instead of the built-in
# data's. --tiny tries every command at a small size.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/python.sh
device=cpu only='' out='' tiny=''
quickstart=work_dirs/quickstart
ours=$quickstart/fcos_iou_cs_is_shapes/epoch_3.pth
stock=$quickstart/fcos_shapes/epoch_3.pth
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --tiny) tiny=1; shift ;;
    --weights) ours=$2 stock=$3; shift 3 ;;
    --only)
      shift
      while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do only+=" $1"; shift; done ;;
    *) echo "error: unknown argument $1; see the head of $0" >&2; exit 2 ;;
  esac
done
out=${out:-work_dirs/benchmark/$device}
boxes=(${ANNOTATIONS:+--annotations "$ANNOTATIONS"})
r18=(model.backbone.depth=18 'model.neck.in_channels=[64,128,256,512]'
  model.neck.out_channels=64 model.bbox_head.in_channels=64
  model.bbox_head.feat_channels=64)
both=(configs/owp/fcos_iou_cs_is_coco.py
  --also configs/owp_cls/fcos_iou_cs_is_joint_coco.py)
masks=(configs/owp_cls/fcos_iou_cs_is_joint_unknown_coco.py
  configs/owp_cls/fcos_iou_cs_is_joint_unknown_area_coco.py)
steps='step head loss backward'
if [ "$device" = cpu ]; then
  default='fp32 r18 targets loss inference' size='512 512' batches=2
  turns='--repeat 5 --limit 150' limit=1200 total=3600
else
  default='fp32 amp channels-last compile loss loader nms' size='800 1344'
  batches='2 16' turns='--repeat 15 --limit 8' steps+=' inference'
  limit=300 total=1200
fi
r18_size='256 256'
small=()
if [ "$tiny" ]; then
  size='64 64' r18_size=$size batches='1 2' turns='--repeat 1'
  r18=(model.backbone.depth=18 model.backbone.base_channels=8
    'model.neck.in_channels=[8,16,32,64]' model.neck.out_channels=32
    model.bbox_head.in_channels=32 model.bbox_head.feat_channels=32
    model.bbox_head.stacked_convs=1)
  small=("${r18[@]}")
fi

run() { # TOOL ARGUMENT..., until the end of the part's time
  local tool=$1 left=$((end - SECONDS))
  shift
  echo
  timeout $((left > 0 ? left : 1)) \
    "$PYTHON" "tools/analysis_tools/$tool" "$@" |
    grep -v 'Could not import OneDL' || incomplete=1
}
measure() { # ARGUMENT...
  run benchmark.py "$@" --device "$device"
}
train() { # OPTION...
  local batch
  for batch in $batches; do
    measure "${both[@]}" "${boxes[@]}" --size $size --batch "$batch" $turns \
      --parts $steps "$@" ${small:+--cfg-options "${small[@]}"}
  done
}
part() {
  case $1 in
    fp32) train ;;
    amp) train --amp ;;
    channels-last) train --amp --channels-last ;;
    compile) train --compile ;;
    r18)
      measure "${both[@]}" "${boxes[@]}" --size $r18_size --batch 8 \
        ${tiny:+--repeat 1} --parts $steps --cfg-options "${r18[@]}" ;;
    targets)
      measure "${both[@]}" --size $size --batch 2 --parts targets --repeat 20 \
        --boxes 7 50 300 --cfg-options "${r18[@]}" ;;
    loss)
      for crowds in 0 1; do
        measure "${both[@]}" "${masks[@]}" --size $size --batch 2 --parts loss \
          ${tiny:+--limit 1} --repeat 20 --crowds $crowds --cfg-options "${r18[@]}"
      done ;;
    loader)
      run benchmark_loader.py configs/owp/fcos_iou_cs_is_coco.py --synthetic \
        ${tiny:+--batches 1 --workers 1} ;;
    nms) # 5,400 and 10,000 boxes per image of 800 x 1344
      for number in 2000 4400; do
        measure "${both[0]}" --size $size --batch 2 $turns --parts decoding nms \
          --cfg-options model.test_cfg.proposals.nms_pre=$number "${small[@]}"
      done ;;
    inference)
      measure configs/shapes/fcos_iou_cs_is_shapes.py --size $size --batch 2 \
        --repeat 15 --parts inference prediction decoding nms \
        --checkpoint "$ours" --stock-checkpoint "$stock" \
        --cfg-options model.test_cfg.proposals.nms_pre=1000 ;;
    *) echo "error: no part $1; see the head of $0" >&2; return 2 ;;
  esac
}

mkdir -p "$out"
failed=''
for name in ${only:-$default}; do
  end=$((SECONDS + limit < total ? SECONDS + limit : total))
  incomplete=''
  { echo "### $name" && part "$name" && [ ! "$incomplete" ]; } |
    tee "$out/$name.md" || failed+=" $name"
done
if [ "$failed" ]; then
  echo "error: not finished:$failed" >&2
  exit 1
fi
