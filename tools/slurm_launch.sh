# Sourced by slurm_train.sh and slurm_test.sh:
# `launch PARTITION JOB_NAME NAME [ARGUMENT...]` runs tools/NAME.py with srun.
. "$(dirname "${BASH_SOURCE[0]}")/python.sh"

launch() {
  local tools partition=$1 job=$2 script=$3
  tools=$(dirname "${BASH_SOURCE[0]}")
  shift 3
  # SRUN_ARGS may hold several words.
  # shellcheck disable=SC2086
  PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" exec srun \
    -p "$partition" --job-name="$job" \
    --gres=gpu:"${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$tools/$script.py" "$@" --launcher slurm
}
