#!/usr/bin/env bash
# Usage: bash tools/quickstart.sh [PHOTO|FOLDER...]
# Installs, and proposes objects on photographs (demo/photos) with the model in
# the package. Then it draws the built-in data, trains the baseline and the
# proposer on it and compares them on the classes that neither was shown. Run
# again, it goes on where it was stopped; remove work_dirs/quickstart to start
# afresh.
set -eu -o pipefail
photos=()
for photo in "$@"; do
  photos+=("$(realpath -e -- "$photo")")
done
cd "$(dirname "$0")/.."
[ ${#photos[@]} -gt 0 ] || photos=(demo/photos)
bash tools/install.sh
# The Python that was installed into, whichever is active or made .venv.
PYTHON=$PWD/.venv/bin/python
[ "${OWP_ENV:-}" != active ] || PYTHON=python
out=work_dirs/quickstart
export SHAPES="${SHAPES:-data/shapes}"
mkdir -p "$out"

# Mixed precision where it is faster than single precision.
fast=()
if "$PYTHON" -c 'from mmdet_owp.engine import bfloat16
raise SystemExit(bfloat16.bfloat16_problem())' 2>"$out/fast.log"; then
  fast=(--amp --channels-last)
fi

say() { echo "== $* ($SECONDS s)"; }

# watch NAME COMMAND...: its output goes to a log, its progress to the screen
# (in lines cut to some width: a test has dozens of numbers).
watch() {
  local name=$1 line
  shift
  "$@" 2>&1 | tee "$out/$name.log" |
    { grep --line-buffered -oE 'Epoch\(.*|^error: .*' || true; } |
    while read -r line; do echo "   $name: ${line:0:150}"; done || {
    tail -n 20 "$out/$name.log" >&2
    echo "quickstart.sh: failed: $* (all of its output: $out/$name.log)" >&2
    exit 1
  }
}

# train CONFIG: trains unless a finished run is there.
train() {
  if [ -e "$out/$1/done" ]; then
    echo "   trained already: $out/$1"
    return
  fi
  watch "$1" "$PYTHON" tools/train.py "configs/shapes/$1.py" --work-dir \
    "$out/$1" --resume ${fast[@]+"${fast[@]}"} --cfg-options \
    randomness.seed=0 val_cfg=None val_dataloader=None val_evaluator=None
  touch "$out/$1/done"
}

# evaluate CONFIG RANKING: tests with proposals ranked by objectness or cls.
evaluate() {
  local folder=$out/$1/ranked_by_$2
  if [ -e "$folder/done" ]; then
    echo "   tested already: $folder"
    return
  fi
  watch "$1_test_by_$2" "$PYTHON" tools/test.py "configs/shapes/$1.py" \
    "$(cat "$out/$1/last_checkpoint")" --work-dir "$folder" \
    --cfg-options "model.bbox_head.proposal_score=$2"
  touch "$folder/done"
}

say 'propose on photographs with the model in the package'
# The folder's name stands for the photographs and the model: the proposals of
# others are not mixed with them.
shown=$out/photos_$({
  printf '%s\n' "${photos[@]}"
  cksum mmdet_owp/weights/*.py mmdet_owp/weights/*.pth
} | cksum | cut -d ' ' -f 1)
(watch photos "$PYTHON" tools/propose.py "${photos[@]}" --out "$shown") ||
  echo '   not all photographs; going on'
echo "   drawn: $shown/drawn"
say 'data'
"$PYTHON" tools/dataset_tools/make_shapes.py --out "$SHAPES"
say 'train the baseline (fcos_shapes) and the proposer (fcos_iou_cs_is_shapes)'
# Side by side: two small networks keep two cores busier than one can. The
# first runs in a process group of its own, so that all of it can be stopped.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
set -m
train fcos_shapes &
baseline=$!
set +m
trap 'kill -- "-$baseline" 2>/dev/null || true' EXIT
train fcos_iou_cs_is_shapes
say 'test the proposer and draw novel objects found and missed'
evaluate fcos_iou_cs_is_shapes objectness
watch draw "$PYTHON" tools/analysis_tools/draw_proposals.py \
  configs/shapes/fcos_iou_cs_is_shapes.py \
  "$(cat "$out/fcos_iou_cs_is_shapes/last_checkpoint")" --out "$out/novel.png"
wait "$baseline"
trap - EXIT
say 'test the baseline, ranked by its classes and by centerness'
evaluate fcos_shapes cls
evaluate fcos_shapes objectness

say 'done; in percent'
"$PYTHON" tools/analysis_tools/metrics_table.py \
  "FCOS, ranked by class x centerness=$out/fcos_shapes/ranked_by_cls" \
  "FCOS, ranked by centerness=$out/fcos_shapes/ranked_by_objectness" \
  "IoU-CS-IS=$out/fcos_iou_cs_is_shapes/ranked_by_objectness" |
  tee "$out/table.md"
echo "pictures: $shown/drawn and $out/novel.png"
