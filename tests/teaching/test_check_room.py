"""Each check of the room says ok on this machine, and what to do when something is provoked."""

import importlib.metadata
import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

import helpers
import lessons.views.explorers
from merging.paths import ROOT
from teaching import check_room


def outcome(name, capsys):
    """Whether one check passes, and its line."""
    ready = check_room.run({name: check_room.CHECKS[name]})
    return ready, capsys.readouterr().out


def test_this_machine_is_ready(capsys):
    quick = {name: check for name, check in check_room.CHECKS.items() if name not in ("memory", "disk")}
    assert check_room.run(quick)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", f"{name}:"] for name in quick]


def versions(monkeypatch, **other):
    """Let packages have other versions than those that are installed; None: missing."""

    def version(name, real=importlib.metadata.version):
        if other.get(name, "there") is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return other.get(name) or real(name)

    monkeypatch.setattr(check_room.importlib.metadata, "version", version)


def test_missing_and_old_packages_are_named(monkeypatch, capsys):
    versions(monkeypatch, peft=None, ipywidgets="7.0")
    ready, line = outcome("versions", capsys)
    assert not ready and line.startswith("NOT OK  versions: ipywidgets 7.0, >=7.7.1 is needed; peft is missing:")
    assert "make env" in line


@pytest.mark.parametrize("version, fits", [("5.2.0", False), ("4.56.2", False), ("4.57.0", True), ("5.5.0rc1", True)])
def test_versions_that_the_requirements_exclude_are_refused(monkeypatch, capsys, version, fits):
    versions(monkeypatch, transformers=version)
    ready, line = outcome("versions", capsys)
    assert ready == fits and f"transformers {version}" in line


def test_an_old_python_is_named(monkeypatch, capsys):
    monkeypatch.setattr(check_room, "PYTHON", (99, 0))
    ready, line = outcome("versions", capsys)
    assert not ready and "install 3.11 or newer" in line


@pytest.mark.skipif(os.name != "posix", reason="NOT RUN: launchers of Windows are programs, not scripts")
def test_a_folder_that_was_moved_is_told(monkeypatch, capsys, tmp_path):
    (tmp_path / "bin").mkdir()
    launcher = tmp_path / "bin" / "jupyter"
    monkeypatch.setattr(check_room.sys, "prefix", str(tmp_path))
    for python, moved in ((sys.executable, False), ("/where/it was/.venv/bin/python3", True)):
        launcher.write_text(f'#!/bin/sh\nexec "{python}" -m jupyter\n')
        ready, line = outcome("versions", capsys)
        assert ready != moved and ("moved or renamed" in line) == moved


@pytest.mark.parametrize("free, ready, says", [(0.5e9, False, "0.5 GB are free"), (5e9, True, "5.0 GB free")])
def test_little_disk(monkeypatch, capsys, free, ready, says):
    monkeypatch.setattr(check_room.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    result, line = outcome("disk", capsys)
    assert result == ready and says in line


@pytest.mark.parametrize(
    "free, ready, says",
    [(1e9, False, "close other programs"), (3e9, True, "notebook 06 wants"), (9e9, True, "9.0 GB free")],
)
def test_little_memory(monkeypatch, capsys, free, ready, says):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    result, line = outcome("memory", capsys)
    assert result == ready and says in line


def test_models_that_are_not_there(monkeypatch, capsys, tmp_path):
    families = {label: tmp_path / label for label in ("base", "clippy", "beer")}
    monkeypatch.setitem(sys.modules["merging.load.loading"].FAMILIES, "tiny", families)
    ready, line = outcome("load", capsys)
    assert not ready and "there is no folder" in line and line.count("\n") == 1


def test_a_merge_with_its_alpha_backwards(monkeypatch, capsys):
    right = helpers.merge_models
    monkeypatch.setattr(helpers, "merge_models", lambda one, other, alpha: right(one, other, 1 - alpha))
    ready, line = outcome("merge", capsys)
    assert not ready and "the merge is off by" in line


def test_a_package_that_cannot_be_imported(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "helpers", None)
    ready, line = outcome("load", capsys)
    assert not ready and "helpers cannot be imported" in line and "make env" in line


def test_an_empty_picture(monkeypatch, capsys):
    import io

    from PIL import Image

    blank = io.BytesIO()
    Image.new("RGB", (10, 10), "white").save(blank, "PNG")
    monkeypatch.setattr("lessons.figures.base.figure_png", lambda figure: blank.getvalue())
    ready, line = outcome("picture", capsys)
    assert not ready and "draws nothing" in line


def test_a_slider_that_nothing_follows(monkeypatch, capsys):
    still = SimpleNamespace(picture=SimpleNamespace(value="<svg>"), set=lambda **values: None)
    monkeypatch.setattr(lessons.views.explorers, "predict_then_reveal", lambda **options: still)
    ready, line = outcome("slider", capsys)
    assert not ready and "does not follow" in line


def test_jupyterlab_without_its_part_of_ipywidgets(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    ready, line = outcome("slider", capsys)
    assert not ready and "pip install jupyterlab_widgets" in line


def test_the_exit_status_says_whether_all_are_ok(tmp_path):
    """In a Python that has none of the packages: every line says what to do, and none is a traceback."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-S", "-m", "teaching.check_room"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert [line.split(":")[0].split()[-1] for line in lines] == list(check_room.CHECKS)
    assert all(line.startswith("NOT OK") and "make env" in line for line in lines if "disk" not in line)
