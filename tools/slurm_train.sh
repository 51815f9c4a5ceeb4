#!/usr/bin/env bash
# Train on a Slurm cluster with CUDA.
set -eu
if [ $# -lt 4 ]; then
  echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [argument of train.py...]
environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS" >&2
  exit 2
fi
. "$(dirname "$0")/slurm_launch.sh"
launch "$1" "$2" train "$3" --work-dir "$4" "${@:5}"
