#!/usr/bin/env bash
# Installs if need be, checks style and types, and runs the tests. Arguments go
# to pytest, which prints its summary last.
set -eu
cd "$(dirname "$0")/.."
bash tools/install.sh
python=.venv/bin/python
[ "${OWP_ENV:-}" != active ] || python=python
# Tests start processes of their own: more threads would only fight.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MPLBACKEND=Agg
"$python" -m ruff check .
"$python" -m ruff format --check .
# What mypy finds depends on the versions of what the package imports.
[ "${OWP_ENV:-}" = active ] || "$python" -m mypy
exec "$python" -m pytest "$@"
