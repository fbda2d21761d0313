#!/bin/sh
# Sets up the environment .venv in this folder from the folder wheels alone: nothing is downloaded.
#   sh install.sh                            with python@VERSION@
#   PYTHON=/path/to/python sh install.sh     with another Python @VERSION@
cd "$(dirname "$0")" || exit 1
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
PYTHON=${PYTHON:-python@VERSION@}
"$PYTHON" -c 'import sys, venv, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] != "@VERSION@")' || {
    echo "The wheels are for Python @VERSION@, with its venv module. Name one: PYTHON=/path/to/python sh install.sh"
    exit 1
}
set -e
"$PYTHON" -m venv .venv
.venv/bin/python -m pip install --no-index --find-links wheels -q @WITH@ -c requirements/pins.txt
.venv/bin/python -m pip install --no-index --find-links wheels -q --no-deps @ALONE@ -c requirements/pins.txt
touch .venv/installed .venv/installed-tests
.venv/bin/python -m teaching.check_room
echo "Now: .venv/bin/jupyter lab notebooks/01_load_models.ipynb    (or, with make: make lab)"
