# Sourced by the other scripts: sets PYTHON, unless it is set, to the Python of
# the active environment if it has torch and mmdet, else to that of .venv.
if [ -z "${PYTHON:-}" ]; then
  _venv="$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/python"
  if python -c 'import sys, importlib.util as util
sys.exit(not all(map(util.find_spec, ("torch", "mmdet"))))' 2>/dev/null; then
    PYTHON=python
  elif [ -x "$_venv" ]; then
    PYTHON=$_venv
  else
    echo "error: no Python with torch and mmdet here: run \`bash tools/install.sh\`" >&2
    exit 1
  fi
fi
