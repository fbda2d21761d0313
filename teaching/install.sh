#!/bin/sh
# Sets up the environment .venv in this folder from the folder wheels alone: nothing is downloaded.
#   sh install.sh                            with python@VERSION@
#   PYTHON=/path/to/python sh install.sh     with another Python @VERSION@
# A second run starts afresh: after a folder was moved, or an installation was cut off.
cd "$(dirname "$0")" || exit 1
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
PYTHON=${PYTHON:-python@VERSION@}
"$PYTHON" -c "" || {
    echo "$PYTHON does not run here. To take another Python @VERSION@: PYTHON=/path/to/python sh install.sh"
    exit 1
}
"$PYTHON" teaching/fits.py @VERSION@ @PLATFORM@ wheels || exit 1
echo "Installing from the folder wheels: 3 to 10 minutes."
"$PYTHON" -m venv --clear .venv &&
    .venv/bin/python -m pip install --no-index --find-links wheels -q @WITH@ -c requirements/pins.txt &&
    .venv/bin/python -m pip install --no-index --find-links wheels -q --no-deps @ALONE@ -c requirements/pins.txt || {
    echo "Not installed: the reason stands above. Nothing outside of $PWD/.venv was touched; sh install.sh starts afresh."
    exit 1
}
touch .venv/installed .venv/installed-tests .venv/installed-site
.venv/bin/python -m teaching.check_room
ready=$?
echo "Now, in $PWD: .venv/bin/jupyter lab notebooks/01_load_models.ipynb    (or, with make: make lab)"
exit $ready
