@echo off
rem Sets up the environment .venv in this folder from the folder wheels alone: nothing is downloaded.
rem   install.bat                                       with the launcher's Python @VERSION@
rem   set PYTHON="C:\path to\python.exe" (quotes too)   first, for another Python @VERSION@
rem A second run starts afresh: after a folder was moved, or an installation was cut off.
setlocal
cd /d "%~dp0"
set PIP_CONFIG_FILE=nul
set PIP_DISABLE_PIP_VERSION_CHECK=1
if not defined PYTHON set PYTHON=py -@VERSION@
%PYTHON% -c "" || goto nopython
%PYTHON% teaching\fits.py @VERSION@ @PLATFORM@ wheels || exit /b 1
echo Installing from the folder wheels: 3 to 10 minutes.
%PYTHON% -m venv --clear .venv || goto failed
.venv\Scripts\python -m pip install --no-index --find-links wheels -q @WITH@ -c requirements/pins.txt || goto failed
.venv\Scripts\python -m pip install --no-index --find-links wheels -q --no-deps @ALONE@ -c requirements/pins.txt || goto failed
.venv\Scripts\python -m teaching.check_room
set READY=%errorlevel%
echo Now, in %CD%: .venv\Scripts\jupyter lab notebooks\01_load_models.ipynb
exit /b %READY%

:nopython
echo %PYTHON% does not run here. For another Python @VERSION@, with quotes: set PYTHON="C:\path to\python.exe"
exit /b 1

:failed
echo Not installed: the reason stands above. Nothing outside of %CD%\.venv was touched; install.bat starts afresh.
exit /b 1
