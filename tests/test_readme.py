"""The commands of README and CONTRIBUTING work as they are written, and links and pictures lead somewhere."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from browser import free_port, wait_for
from forms import for_each

from merging.paths import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "models/README.md")]
README, CONTRIBUTING = (page.read_text(encoding="utf-8") for page in PAGES[:2])
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README + CONTRIBUTING, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
MAKE = [command for command in COMMANDS if "make " in command]
PIP = [command for command in COMMANDS if " pip install " in command]


def run(command):
    """Run a command in the repository, without the flags that a make around the tests hands down."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_two_commands_and_the_plain_ones_are_there():
    assert {"make lab", "make test"} <= set(COMMANDS)
    assert PIP and ".venv/bin/python -m pytest" in COMMANDS


@for_each(MAKE)
def test_each_make_command_is_one_that_make_knows(command):
    words = shlex.split(command)
    steps = run(["make", "-n", *words[words.index("make") + 1 :]])
    assert steps.returncode == 0, steps.stderr
    assert re.search(r"\.venv|^git ", steps.stdout)


def test_every_make_target_is_told():
    targets = re.findall(r"^([a-z][a-z0-9-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    told = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", README + CONTRIBUTING))
    assert set(targets) - told == {"env"}


def test_the_front_page_is_short():
    assert len(README.splitlines()) <= 110


@pytest.mark.long
@for_each(PIP)
def test_a_pip_line_finds_everything_installed_here(command):
    words = shlex.split(command)
    result = run([sys.executable, *words[1:], "--dry-run", "--quiet", "--no-deps"])
    assert result.returncode == 0, result.stderr
    assert "Would install" not in result.stdout


def test_make_test_is_the_plain_line():
    steps = run(["make", "-n", "test"]).stdout
    assert steps.splitlines()[-1] == ".venv/bin/python -m pytest"


@pytest.mark.long
def test_jupyterlab_opens_on_the_first_notebook():
    line = run(["make", "-n", "lab"]).stdout.splitlines()[-1]
    assert line in COMMANDS
    words = shlex.split(line)[1:]
    port = free_port()
    server = subprocess.Popen(
        [
            sys.executable,
            *words,
            "--no-browser",
            f"--ServerApp.port={port}",
            "--ServerApp.allow_root=True",
            "--IdentityProvider.token=tutorial",
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        notebook = f"http://127.0.0.1:{port}/api/contents/01_load_models.ipynb?content=0&token=tutorial"
        assert wait_for(notebook) == 200
    finally:
        server.terminate()
        server.wait(timeout=30)


@for_each(PAGES)
def test_links_and_pictures_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    assert all(len(alt) > 20 for alt in re.findall(r"!\[(.*?)\]\(", text))


def test_nothing_is_left_to_fill_in():
    pages = PAGES + sorted((ROOT / "notebooks").glob("*.ipynb"))
    for page in pages:
        assert not re.search(r"PROSE_|RUN0\d|TODO|FIXME", page.read_text(encoding="utf-8")), page.name
