#!/bin/sh
# Sets up the environment .venv in this folder from the folder wheels alone: nothing is downloaded.
#   sh install.sh                            with python@VERSION@
#   PYTHON=/path/to/python sh install.sh     with another Python @VERSION@
# A second run starts afresh: after a folder was moved, or an installation was cut off.
unset CDPATH  # with it, cd goes to a folder of the same name elsewhere
cd -- "$(dirname -- "$0")" || exit 1
trap 'echo "Interrupted: sh install.sh starts afresh."; exit 130' INT
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
PYTHON=${PYTHON:-python@VERSION@}
"$PYTHON" -c "" || {
    echo "$PYTHON does not run here. To take another Python @VERSION@: PYTHON=/path/to/python sh install.sh"
    exit 1
}
echo "1 of 4: looking whether this machine fits the kit, and whether all wheels are here and whole"
"$PYTHON" teaching/fits.py @VERSION@ @PLATFORM@ wheels || exit 1
echo "2 of 4: installing the packages, 2 to 12 minutes"
"$PYTHON" -m venv --clear .venv &&
    .venv/bin/python -m pip install --no-index --find-links wheels -q @WITH@ -c requirements/pins.txt &&
    echo "3 of 4: installing those that come without what they require" &&
    .venv/bin/python -m pip install --no-index --find-links wheels -q --no-deps @ALONE@ -c requirements/pins.txt || {
    echo "Not installed: the reason stands above. Nothing outside of $PWD/.venv was touched; sh install.sh starts afresh."
    exit 1
}
touch .venv/installed .venv/installed-tests .venv/installed-site
echo "4 of 4: checking"
.venv/bin/python -m teaching.check_room
ready=$?
here=$(printf '%s' "$PWD" | sed "s/'/'\\\\''/g")  # a path may have an apostrophe
echo "Now: cd '$here' && .venv/bin/python -m jupyterlab notebooks/01_load_models.ipynb"
exit $ready
