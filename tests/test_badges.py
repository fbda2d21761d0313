"""The setup cell and the badges: the same in all notebooks, generated from one address, and a notebook starts alone."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import badges

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
FIND_SPEC = importlib.util.find_spec
SETUP = badges.setup_cell(*badges.read_address(ROOT))


def code_cells(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.fixture
def copy(tmp_path):
    """What badges.py rewrites, in a folder of its own."""
    for folder in ("notebooks", "images"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".ipynb", ".md", ".txt")
    }


def test_the_setup_cell_is_the_same_everywhere_and_is_the_generated_one():
    assert [code_cells(path)[0] for path in NOTEBOOKS] == [SETUP] * len(NOTEBOOKS)


def test_writing_anew_changes_nothing(copy):
    if (ROOT / "repository.txt").is_file():
        shutil.copy(ROOT / "repository.txt", copy)
    before = contents(copy)
    badges.main(copy, [])
    assert contents(copy) == before


def test_an_address_goes_everywhere_and_is_replaced_everywhere(copy):
    badges.main(copy, [])
    without = contents(copy)
    badges.main(copy, ["old/place", "v1"])
    badges.main(copy, ["owner/name"])
    assert (copy / "repository.txt").read_text() == "owner/name main\n"
    for path in [*sorted((copy / "notebooks").glob("[0-9]*.ipynb")), copy / "README.md"]:
        text = path.read_text(encoding="utf-8")
        name = path.name if path.suffix == ".ipynb" else "01_load_models.ipynb"
        assert text.count(f"https://colab.research.google.com/github/owner/name/blob/main/notebooks/{name}") == 1
        assert text.count(f"repo_url=https%3A%2F%2Fgithub.com%2Fowner%2Fname%2Fblob%2Fmain%2Fnotebooks%2F{name}") == 1
        assert "old/place" not in text and "old%2Fplace" not in text and "blob/v1" not in text
    (copy / "repository.txt").unlink()
    badges.main(copy, [])
    assert contents(copy) == without  # no address: no badges, and nothing else changed


def test_without_an_address_there_are_no_badges(copy):
    badges.main(copy, [])
    assert not any(b"colab.research" in text for text in contents(copy).values())


def test_an_address_of_another_form_is_refused(copy):
    before = contents(copy)
    with pytest.raises(SystemExit, match="'https://github.com/owner/name' is not of the form owner/name"):
        badges.main(copy, ["https://github.com/owner/name"])
    assert contents(copy) == before


def run_setup(monkeypatch, folder, missing=(), fails=False):
    """The commands that the setup cell runs in a folder, with some packages missing."""
    ran, here = [], os.getcwd()

    def run(command, shell):
        ran.append(command)
        if command.startswith("git") and not fails:
            (folder / "series" / "notebooks").mkdir(parents=True)
        return subprocess.CompletedProcess(command, int(fails))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else FIND_SPEC(name))
    monkeypatch.setattr(sys, "path", list(sys.path))
    os.chdir(folder)
    try:
        exec(badges.setup_cell("owner/name", "main"), {})
        return ran, os.getcwd()
    finally:
        os.chdir(here)


def test_setup_does_nothing_where_helpers_is_found(monkeypatch, tmp_path):
    (tmp_path / "helpers.py").touch()
    (tmp_path / "notebooks").mkdir()
    assert run_setup(monkeypatch, tmp_path / "notebooks", missing=["scipy"]) == ([], str(tmp_path / "notebooks"))


def test_setup_clones_and_installs_only_what_is_missing(monkeypatch, tmp_path):
    clone = "git clone --quiet --depth=1 --branch=main https://github.com/owner/name series"
    ran, where = run_setup(monkeypatch, tmp_path, missing=["scipy"])
    assert ran == [clone, f"{sys.executable} -m pip install --quiet scipy"] and where == str(
        tmp_path / "series" / "notebooks"
    )
    assert run_setup(monkeypatch, tmp_path) == ([], where)  # a second start: what is there is used


def test_setup_that_fails_says_how_to_go_on(monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match="failed: get https://github.com/owner/name by hand and open it from there"):
        run_setup(monkeypatch, tmp_path, fails=True)
    assert not (tmp_path / "series").exists()


def test_a_notebook_alone_in_an_empty_folder_runs(tmp_path, monkeypatch):
    """As Colab starts it, with a local repository in GitHub's place."""
    remote, alone = tmp_path / "remote", tmp_path / "content"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (remote / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, remote / name)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(remote)]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message=all"],
    ):
        subprocess.run([*git, *command], check=True)
    alone.mkdir()
    badges.main(remote, ["owner/name"])
    shutil.copy(remote / "notebooks" / "01_load_models.ipynb", alone)
    for name, value in {
        "COUNT": "1",
        "KEY_0": f"url.{remote.as_uri()}.insteadOf",
        "VALUE_0": "https://github.com/owner/name",
    }.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    notebook = nbformat.read(alone / "01_load_models.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(alone)}}).execute()
    assert (alone / "series" / "helpers.py").is_file()
    assert re.search(r"base +GPTNeoForCausalLM", str(notebook))
