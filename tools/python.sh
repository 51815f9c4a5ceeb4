# Sourced by the other scripts: PYTHON is the interpreter to run ours with,
# that of the active environment if it has torch, else the one that
# tools/install.sh made.
if [ -z "${PYTHON:-}" ]; then
  _venv="$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/python"
  if python -c 'import sys, importlib.util as util
sys.exit(not util.find_spec("torch"))' 2>/dev/null; then
    PYTHON=python
  elif [ -x "$_venv" ]; then
    PYTHON=$_venv
  else
    echo "error: no Python with torch here: run \`bash tools/install.sh\`" >&2
    exit 1
  fi
fi
