@echo off
rem Sets up the environment .venv in this folder from the folder wheels alone: nothing is downloaded.
rem   install.bat                                       with the launcher's Python @VERSION@; or a double click
rem   install.bat unattended                            without waiting for a key at the end
rem   set PYTHON="C:\path to\python.exe" (quotes too)   first, in cmd, for another Python @VERSION@
rem A second run starts afresh: after a folder was moved, or an installation was cut off.
setlocal
cd /d "%~dp0" || goto nowhere
if not exist teaching\fits.py goto nowhere
set PIP_CONFIG_FILE=nul
set PIP_DISABLE_PIP_VERSION_CHECK=1
set READY=1
if not defined PYTHON set PYTHON=py -@VERSION@
%PYTHON% -c "" || goto nopython
echo 1 of 4: looking whether this machine fits the kit, and whether all wheels are here and whole
%PYTHON% teaching\fits.py @VERSION@ @PLATFORM@ wheels || goto end
echo 2 of 4: installing the packages, 2 to 12 minutes
%PYTHON% -m venv --clear .venv || goto failed
.venv\Scripts\python -m pip install --no-index --find-links wheels -q @WITH@ -c requirements/pins.txt || goto failed
echo 3 of 4: installing those that come without what they require
.venv\Scripts\python -m pip install --no-index --find-links wheels -q --no-deps @ALONE@ -c requirements/pins.txt || goto failed
echo 4 of 4: checking
.venv\Scripts\python -m teaching.check_room
set READY=%errorlevel%
echo Now, in "%CD%": .venv\Scripts\python -m jupyterlab notebooks\01_load_models.ipynb
goto end

:nowhere
set READY=1
echo Unpack the whole zip to a disk of this machine first, and start install.bat there.
goto end

:nopython
echo %PYTHON% does not run here. For another Python @VERSION@, in cmd and with quotes: set PYTHON="C:\path to\python.exe"
goto end

:failed
echo Not installed: the reason stands above. Nothing outside of "%CD%\.venv" was touched; install.bat starts afresh.

:end
if "%1"=="" pause
exit /b %READY%
