#!/usr/bin/env bash
# Test in several processes, on CUDA or CPU.
set -eu
if [ $# -lt 3 ]; then
  echo "usage: $0 CONFIG CHECKPOINT GPUS [argument of test.py...]
environment: PORT, NNODES, NODE_RANK, MASTER_ADDR" >&2
  exit 2
fi
. "$(dirname "$0")/dist_launch.sh"
launch test "$3" "$1" "$2" "${@:4}"
