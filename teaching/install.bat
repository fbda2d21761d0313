@echo off
rem Sets up the environment .venv in this folder from the folder wheels alone: nothing is downloaded.
rem   install.bat                       with the launcher's Python @VERSION@
rem   set PYTHON=C:\path\to\python.exe  first, for another Python @VERSION@
cd /d "%~dp0"
set PIP_CONFIG_FILE=nul
set PIP_DISABLE_PIP_VERSION_CHECK=1
if not defined PYTHON set PYTHON=py -@VERSION@
%PYTHON% -c "import sys; sys.exit('%%d.%%d' %% sys.version_info[:2] != '@VERSION@')"
if errorlevel 1 (
    echo The wheels are for Python @VERSION@. Install it, or name one: set PYTHON=C:\path\to\python.exe
    exit /b 1
)
%PYTHON% -m venv .venv || exit /b 1
.venv\Scripts\python -m pip install --no-index --find-links wheels -q @WITH@ -c requirements/pins.txt || exit /b 1
.venv\Scripts\python -m pip install --no-index --find-links wheels -q --no-deps @ALONE@ -c requirements/pins.txt || exit /b 1
.venv\Scripts\python -m teaching.check_room || exit /b 1
echo Now: .venv\Scripts\jupyter lab notebooks\01_load_models.ipynb
