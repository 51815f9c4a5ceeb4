#!/usr/bin/env bash
# Installs if need be, checks style and types, and runs the tests, in two
# processes where pytest-xdist is there. Arguments go to pytest (`-n 0`: one
# process, as --pdb wants it), which prints its summary last.
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
# A file stays in one process, so what its tests share is made once.
two=(-n 2 --dist loadfile)
"$python" -c 'import xdist' 2>/dev/null || two=()
exec "$python" -m pytest ${two[@]+"${two[@]}"} "$@"
