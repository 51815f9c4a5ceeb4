# Sourced by dist_train.sh and dist_test.sh: `launch NAME GPUS [ARGUMENT...]`
# runs tools/NAME.py in GPUS processes, on CUDA or CPU.
. "$(dirname "${BASH_SOURCE[0]}")/python.sh"

launch() {
  local tools script=$1 gpus=$2 where
  tools=$(dirname "${BASH_SOURCE[0]}")
  shift 2
  case $gpus in
  '' | *[!0-9]* | 0)
    echo "error: the number of processes must be 1 or more, not '$gpus'" >&2
    exit 2
    ;;
  esac
  if [ -z "${PORT:-}${NNODES:-}" ]; then
    where=(--standalone) # this machine, a free port
  else
    where=(--nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}"
      --master_addr "${MASTER_ADDR:-127.0.0.1}"
      --master_port "${PORT:-29500}")
  fi
  PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" \
    -m mmdet_owp.engine.torchrun "${where[@]}" --nproc_per_node "$gpus" \
    "$tools/$script.py" "$@" --launcher pytorch
}
