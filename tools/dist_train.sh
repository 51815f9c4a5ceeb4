#!/usr/bin/env bash
# Train in several processes, on CUDA or CPU.
set -eu
if [ $# -lt 2 ]; then
  echo "usage: $0 CONFIG GPUS [argument of train.py...]
environment: PORT, NNODES, NODE_RANK, MASTER_ADDR" >&2
  exit 2
fi
. "$(dirname "$0")/dist_launch.sh"
launch train "$2" "$1" "${@:3}"
