#!/usr/bin/env bash
# Installs everything, once: into .venv, which it makes with $PYTHON (default
# python3), or with OWP_ENV=active into the environment of `python`. There it
# replaces nothing: it adds what is missing to run, or stops before it changes
# anything and says what is too old or broken.
set -eu
cd "$(dirname "$0")/.."

fail() { # fail STEP REMEDY
  echo "install.sh: failed: $1" >&2
  echo "  remedy: $2" >&2
  exit 1
}

# heartbeat STEP REMEDY COMMAND...: runs the command with its output in the
# log, and says every 15 s that it is alive.
heartbeat() {
  local step=$1 remedy=$2 start=$SECONDS compiled
  shift 2
  echo "== $step"
  echo "== $step: $*" >>"$log"
  set -m # in a process group of its own, compilers included
  TMPDIR=$scratch "$@" >>"$log" 2>&1 &
  pid=$!
  set +m
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if [ $(((SECONDS - start) % 15)) -eq 14 ]; then
      compiled=$(find "$scratch" -name '*.o' 2>/dev/null | wc -l)
      [ "$compiled" -eq 0 ] || compiled="$compiled files compiled"
      echo "   $((SECONDS - start + 1)) s ${compiled#0}"
      sleep 1
    fi
  done
  if ! wait "$pid"; then
    tail -n 25 "$log" >&2
    fail "$step" "$remedy (all of its output: $log)"
  fi
  pid=
}

# The environment.
if [ "${OWP_ENV:-}" = active ]; then
  python=$(command -v python) ||
    fail 'find the active environment' 'activate one in which `python` runs'
else
  if ! [ -x .venv/bin/python ]; then
    base=${PYTHON:-python3}
    echo "== make .venv with $base"
    "$base" -m venv .venv || {
      rm -rf .venv
      fail 'make .venv' "\`$base\` must be a Python 3.10 or newer with venv \
(Debian: apt install python3-venv); name another by PYTHON=..."
    }
  fi
  python=$PWD/.venv/bin/python
fi
prefix=$("$python" -c 'import sys; print(sys.prefix)') ||
  fail "run $python" 'remove .venv, or set PYTHON to a Python that runs'

# A stamp says what was installed from which files: a second call ends here.
stamp=$prefix/.owp-installed
state() {
  "$python" -c 'import importlib.util as u, sys
print(sys.version, *(m for m in ("torch", "mmcv", "mmengine", "mmdet")
                     if u.find_spec(m)))'
  pwd
  cat requirements.txt setup.cfg pyproject.toml tools/install.sh \
    tools/plan_install.py
}
state=$(state | cksum)
hint="next: bash tools/quickstart.sh"
[ "${OWP_ENV:-}" = active ] || hint="next: source .venv/bin/activate"
if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
  echo "installed already in $prefix; $hint"
  exit 0
fi

log=$prefix/owp-install.log
: 2>/dev/null >"$log" || fail "write to $prefix" \
  'make that environment writable, or leave OWP_ENV out to get a .venv'
scratch=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -- "-$pid" 2>/dev/null; rm -rf "$scratch"' EXIT
network='check the network and pip settings (pip config list)'
[ "${OWP_ENV:-}" != active ] ||
  network="$network; where pip names a conflict, update that package yourself"

# What is missing, and what has to stay as it is.
echo "== look what is there"
mode=venv
[ "${OWP_ENV:-}" != active ] || mode=active
"$python" tools/plan_install.py "$mode" "$scratch" 2>"$scratch/faults" || {
  cat "$scratch/faults" >>"$log"
  grep -A 99 '^error: ' "$scratch/faults" >&2 || tail -n 5 "$log" >&2
  fail 'look what is there' "see above (all of its output: $log)"
}
missing=$scratch/requirements.txt

# missing NAME...: those of these distributions that are, as pip wants them.
missing() {
  for name in "$@"; do grep -E "^$name(==|<|$)" "$missing" || true; done
}
pip=("$python" -m pip install --disable-pip-version-check
  -c "$scratch/constraints.txt")

torch=$(missing torch)
[ -z "$torch" ] || heartbeat "install $torch (a large download)" "$network" \
  "${pip[@]}" "$torch"

# shellcheck disable=SC2207  # no requirement has a space
builders=($(missing setuptools wheel packaging ninja psutil))
[ ${#builders[@]} -eq 0 ] ||
  heartbeat 'install what builds packages' "$network" \
    "${pip[@]}" "${builders[@]}"

mmcv=$(missing onedl-mmcv mmcv)
if [ -n "$mmcv" ]; then
  compiler="it needs the network; a C++ compiler (Debian: apt install g++) \
and Python's headers (python3-dev); with a CUDA build of torch, nvcc of that \
CUDA version; and 2 GB of memory a job (MAX_JOBS=1 takes least)"
  command -v "${CXX:-c++}" >/dev/null || fail 'find a C++ compiler' \
    'install one (Debian: apt install g++), or name it by CXX=...'
  export MMCV_WITH_OPS=1 MAX_JOBS="${MAX_JOBS:-$(nproc)}"
  compile=("${pip[@]}" -v --no-build-isolation -c "$missing" "$mmcv")
  heartbeat "compile $mmcv with its ops (ten minutes on two cores)" \
    "$compiler" "${compile[@]}"
  # pip's cache may have held a wheel that was built without ops.
  "$python" -c 'import torch, mmcv._ext' 2>>"$log" ||
    heartbeat "compile $mmcv again, past the cache of pip" "$compiler" \
      "${compile[@]}" --no-cache-dir --force-reinstall --no-deps
fi

[ ! -s "$missing" ] || heartbeat 'install the rest of requirements.txt' \
  "$network" "${pip[@]}" -r "$missing"
# Without the network where what builds packages is there and new enough.
isolation=()
if "$python" -c 'import setuptools, wheel
assert int(setuptools.__version__.split(".")[0]) >= 64' 2>>"$log"; then
  isolation=(--no-build-isolation)
fi
heartbeat 'install mmdet_owp' "$network" \
  "${pip[@]}" --no-deps ${isolation[@]+"${isolation[@]}"} -e .

echo "== try it"
"$python" - 2>>"$log" <<'EOF' ||
import mmcv
import torch
from mmcv.ops import nms

import mmcv._ext
import mmdet_owp

boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
kept = nms(boxes, torch.tensor([.9, .8, .7]), iou_threshold=0.5)[1]
assert kept.tolist() == [0, 2], kept
print(f'   nms of mmcv {mmcv.__version__} on torch {torch.__version__} works')
EOF
  fail 'run one nms of mmcv' "mmcv was built for another torch: \
\`$python -m pip uninstall mmcv onedl-mmcv\`, then run this again (all of its \
output: $log)"

state | cksum >"$stamp"
echo "installed in $prefix; $hint"
