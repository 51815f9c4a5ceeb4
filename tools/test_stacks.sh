#!/usr/bin/env bash
# Runs a subset of the tests and the commands of docs/getting_started.md, at
# tiny size, in throw-away environments of the stacks that people have, and
# prints the table of docs/compatibility.md. mmcv compiles in each: half an
# hour per stack on two cores. A second call reuses the environments.
#
#   bash tools/test_stacks.sh [classic] [newest] [oldest]
#
# STACKS is the folder of the environments (default: work_dirs/stacks);
# PYTHON38 and PYTHON311 name the interpreters (default: python3.8 and
# python3.11, also looked for in pyenv).
set -u
cd "$(dirname "$0")/.."
folder=$(mkdir -p "${STACKS:-work_dirs/stacks}" && cd "${STACKS:-work_dirs/stacks}" && pwd)
stacks=("$@")
[ $# -gt 0 ] || stacks=(classic newest oldest)

# interpreter VERSION: prints a Python of that version.
interpreter() {
  local given=PYTHON${1/./} found
  for found in "${!given:-}" "python$1" \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
    if [ -n "$found" ] && "$found" -c "import sys
sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
      echo "$found"
      return
    fi
  done
  return 1
}

# make_environment NAME: installs a stack into $folder/NAME, once.
make_environment() {
  local env=$folder/$1 base
  local pip=("$env/bin/python" -m pip install --disable-pip-version-check)
  local others=('opencv-python-headless<4.12' addict packaging pyyaml yapf rich
    termcolor matplotlib scipy shapely six terminaltables tqdm pycocotools
    pillow ninja psutil pytest hypothesis lvis onnxruntime)
  [ ! -e "$env/complete" ] || return 0
  rm -rf "$env"
  case $1 in
  newest)
    base=$(interpreter 3.11) && "$base" -m venv "$env" &&
      "${pip[@]}" -U setuptools wheel &&
      PATH=$env/bin:$PATH OWP_ENV=active bash tools/install.sh &&
      "${pip[@]}" -r requirements.txt || return 1
    ;;
  classic)
    base=$(interpreter 3.11) && "$base" -m venv "$env" &&
      "${pip[@]}" 'setuptools<80' wheel torch==2.1.2 numpy==1.26.4 &&
      "${pip[@]}" numpy==1.26.4 'onnx<1.17' "${others[@]}" &&
      "${pip[@]}" --no-deps mmengine==0.10.7 mmdet==3.3.0 &&
      MMCV_WITH_OPS=1 "${pip[@]}" --no-build-isolation --no-deps mmcv==2.1.0 ||
      return 1
    ;;
  oldest)
    base=$(interpreter 3.8) && "$base" -m venv "$env" &&
      "${pip[@]}" 'setuptools<70' wheel torch==1.13.1 'numpy<1.25' &&
      "${pip[@]}" 'numpy<1.25' 'onnx<1.17' "${others[@]}" &&
      "${pip[@]}" --no-deps mmengine==0.10.7 mmdet==3.3.0 &&
      MMCV_WITH_OPS=1 "${pip[@]}" --no-build-isolation --no-deps mmcv==2.1.0 ||
      return 1
    ;;
  *)
    echo "error: $1 is no stack: classic, newest or oldest" >&2
    return 1
    ;;
  esac
  touch "$env/complete"
}

# check NAME COMMAND...: runs it, and notes in $row whether it worked.
check() {
  local name=$1 begun=$SECONDS
  shift
  echo "== $stack: $name"
  if "$@" >"$work/$name.log" 2>&1; then
    echo "$name,$((SECONDS - begun)) s" >>"$work/results"
  else
    tail -n 5 "$work/$name.log"
    echo "$name,fails" >>"$work/results"
  fi
}

install_changes_nothing() {
  python -m pip list --format=freeze | grep -vi '^mmdet.owp' >"$work/before"
  OWP_ENV=active bash tools/install.sh || return 1
  python -m pip list --format=freeze | grep -vi '^mmdet.owp' >"$work/after"
  diff "$work/before" "$work/after"
}

run_tests() {
  python -m pytest -q -p no:cacheprovider -m 'not slow' tests/test_recall \
    tests/test_partitions tests/test_datasets tests/test_evaluation \
    tests/test_models tests/test_engine/test_checkpoint.py
}

run_stack() {
  local config=configs/shapes/fcos_iou_cs_is_shapes.py run=$work/run
  local tiny=(train_dataloader.batch_size=4 val_dataloader.batch_size=4
    test_dataloader.batch_size=4)
  export SHAPES=$work/shapes
  check install install_changes_nothing
  check data python tools/dataset_tools/make_shapes.py --out "$SHAPES" \
    --train 32 --val 8
  check train python tools/train.py "$config" --work-dir "$run" \
    --cfg-options train_cfg.max_epochs=1 "${tiny[@]}"
  check resume python tools/train.py "$config" --work-dir "$run" --resume \
    --cfg-options "${tiny[@]}"
  check test python tools/test.py "$config" "$run/epoch_3.pth" --work-dir \
    "$run" --out "$work/results.pkl" --cfg-options "${tiny[@]}"
  check dist_train bash tools/dist_train.sh "$config" 2 --work-dir \
    "$work/two" --cfg-options train_cfg.max_epochs=1 "${tiny[@]}"
  check dist_test bash tools/dist_test.sh "$config" "$run/epoch_3.pth" 2 \
    --work-dir "$work/two" --cfg-options "${tiny[@]}"
  check propose python tools/propose.py "$SHAPES/val" "$config" \
    "$run/epoch_3.pth" --out "$work/proposals" --device cpu
  check eval_proposals python tools/analysis_tools/eval_proposals.py \
    "$SHAPES/annotations/instances_val.json" "$work/results.pkl" --partition \
    shapes
  check export_onnx python tools/deployment/export_onnx.py "$config" \
    "$run/epoch_3.pth" --out "$work/model.onnx" --check \
    "$(find "$SHAPES/val" -type f | head -n 1)"
  check tests run_tests
}

for stack in "${stacks[@]}"; do
  echo "== $stack: environment ($folder/$stack.log)"
  work=$(mktemp -d)
  if make_environment "$stack" >"$folder/$stack.log" 2>&1; then
    (
      export PATH=$folder/$stack/bin:$PATH VIRTUAL_ENV=$folder/$stack
      export OMP_NUM_THREADS=1 PYTHON=python MPLBACKEND=Agg
      run_stack
    )
    mv "$work/results" "$folder/$stack.results"
  else
    tail -n 5 "$folder/$stack.log"
    echo 'environment,fails' >"$folder/$stack.results"
  fi
done

echo
echo "$(date +%F), $(uname -m), $(nproc) cores"
for stack in "${stacks[@]}"; do
  echo
  if [ -x "$folder/$stack/bin/python" ]; then
    "$folder/$stack/bin/python" -c 'import sys
from importlib.metadata import distributions
there = {d.metadata["Name"].lower(): d.version for d in distributions()}
names = "torch mmcv onedl-mmcv mmengine onedl-mmengine mmdet".split()
names += ["onedl-mmdetection", "numpy"]
print("| %s | Python %d.%d, %s |" % (
    (sys.argv[1],) + sys.version_info[:2] + (", ".join(
        f"{n} {there[n]}" for n in names if n in there),)))' "$stack"
  else
    echo "| $stack | |"
  fi
  echo '| --- | --- |'
  sed 's/\(.*\),\(.*\)/| \1 | \2 |/' "$folder/$stack.results"
done
! cat "$folder"/*.results | grep -q 'fails$'
