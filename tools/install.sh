#!/usr/bin/env bash
# Installs everything, once: into .venv, which it makes with $PYTHON (default
# python3), or with OWP_ENV=active into the environment of `python`.
#
# What is there already stays: torch (so that a CUDA build does), and mmcv,
# mmengine and mmdet of either family of distributions, if new enough.
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
  cat requirements.txt setup.cfg pyproject.toml tools/install.sh
}
state=$(state | cksum)
hint="next: bash tools/quickstart.sh"
[ "${OWP_ENV:-}" = active ] || hint="next: source .venv/bin/activate"
if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
  echo "installed already in $prefix; $hint"
  exit 0
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail 'check the Python version' "$("$python" -V) is too old for torch and \
mmdet: remove .venv and set PYTHON to a Python 3.10 or newer"
log=$prefix/owp-install.log
: 2>/dev/null >"$log" || fail "write to $prefix" \
  'make that environment writable, or leave OWP_ENV out to get a .venv'
scratch=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -- "-$pid" 2>/dev/null; rm -rf "$scratch"' EXIT
network='check the network and pip settings (pip config list)'

# What of requirements.txt is not there yet. Modules count by their name, as
# mmcv, mmengine and mmdet come from two families of distributions.
echo "== look what is there"
missing=$scratch/requirements.txt
"$python" - "${OWP_ENV:-}" "$missing" 2>>"$log" <<'EOF' ||
import importlib, importlib.metadata, re, sys

MODULES = {  # distribution: (module, least version in an environment of users)
    'torch': ('torch', '2.5'),
    'onedl-mmcv': ('mmcv', '2.0'),
    'onedl-mmengine': ('mmengine', '0.10'),
    'onedl-mmdetection': ('mmdet', '3.3'),
}
active = sys.argv[1] == 'active'


def numbers(version):
    return [int(n) for n in re.findall(r'\d+', version)[:3]]


def version_there(name, pinned):
    """The version that may stay, or None."""
    module, least = MODULES.get(name, (None, None))
    try:
        if module is None:  # exact in .venv; whatever a user has stays
            version = importlib.metadata.version(name)
            return version if active or version == pinned else None
        version = importlib.import_module(module).__version__
        if module == 'mmcv':
            importlib.import_module('mmcv._ext')
        # In .venv a new pin is followed, but never for torch.
        least = least if active or module == 'torch' else pinned
        return version if numbers(version) >= numbers(least) else None
    except (ImportError, AssertionError):  # absent, or a broken mixture
        return None


lines = []
for line in open('requirements.txt'):
    if '==' in line and not line.startswith('#'):
        name, pinned = line.strip().split('==')
        there = version_there(name, pinned)
        if there is None:
            lines.append(line)
        elif name in MODULES:
            print(f'   {MODULES[name][0]} {there} is there and stays')
with open(sys.argv[2], 'w') as file:
    file.writelines(lines)
EOF
  fail 'look what is there' "see $log"

# missing NAME...: those of these distributions that are, as pip wants them.
missing() {
  for name in "$@"; do grep "^$name==" "$missing" || true; done
}
pip=("$python" -m pip install --disable-pip-version-check)

torch=$(missing torch)
[ -z "$torch" ] || heartbeat "install $torch (a large download)" "$network" \
  "${pip[@]}" "$torch"

# shellcheck disable=SC2207  # no requirement has a space
builders=($(missing setuptools wheel packaging ninja psutil))
[ ${#builders[@]} -eq 0 ] ||
  heartbeat 'install what builds packages' "$network" \
    "${pip[@]}" "${builders[@]}"

mmcv=$(missing onedl-mmcv)
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

heartbeat 'install the rest of requirements.txt' "$network" \
  "${pip[@]}" -r "$missing"
heartbeat 'install mmdet_owp' "$network" \
  "${pip[@]}" --no-deps --no-build-isolation -e .

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
