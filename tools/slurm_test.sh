#!/usr/bin/env bash
# Test on a Slurm cluster with CUDA.
set -eu
if [ $# -lt 4 ]; then
  echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [argument of test.py...]
environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS" >&2
  exit 2
fi
. "$(dirname "$0")/slurm_launch.sh"
launch "$1" "$2" test "$3" "$4" "${@:5}"
