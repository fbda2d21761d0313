"""Does this machine fit the wheels of a kit, and did they all arrive whole? Needs nothing but Python itself.

python teaching/fits.py 3.11 linux_x86_64 wheels        the exit status is 0 when they fit
"""

import platform
import re
import struct
import sys
import zipfile
from pathlib import Path

SYSTEMS = {"linux": "linux", "manylinux": "linux", "win": "win32", "macosx": "darwin"}
LIST = "LIST.txt"  # in the folder of the wheels: their names
TAKE = (
    "PYTHON=/path/to/python sh install.sh"
    if sys.platform != "win32"
    else 'in cmd, set PYTHON="C:\\path to\\python.exe"'
)


def system_of(tag):
    """The system of a platform tag as sys.platform has it, or None."""
    return next((SYSTEMS[start] for start in SYSTEMS if tag.startswith(start)), None)


def glibc_needed(names):
    """The minor version of glibc 2 that wheels with these names need at least: each fits if any of its tags does."""
    versions = [[int(n) for n in re.findall(r"manylinux_2_(\d+)_", name)] for name in names]
    return max((min(each) for each in versions if each), default=0)


def misfit(version, tag, names=()):
    """What about this Python or this machine differs from what the wheels are for, in one sentence, or None."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != version:
        return f"The wheels are for Python {version}, this is {here}. To take another one: {TAKE}"
    machine, bits = platform.machine().lower(), 8 * struct.calcsize("P")
    if sys.platform != system_of(tag) or not tag.endswith((machine, "universal2")) or bits != 64:
        this = f"a {bits}-bit Python on {sys.platform}, {machine}"
        return f"The wheels are for {tag}, this is {this}: it takes another kit."
    library, found = platform.libc_ver()
    needed = glibc_needed(names)
    if sys.platform == "linux" and library == "glibc" and int(found.split(".")[1]) < needed:
        return f"The wheels need glibc 2.{needed} or newer, this is {found}: make the kit on such a machine."
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return f"This Python has no {error.name}: on Debian and Ubuntu, install python{version}-venv."
    return None


def damage(wheels):
    """What is wrong with the wheels in a folder beside the list of their names, in one sentence, or None."""
    listed = wheels / LIST
    if not listed.is_file():
        return f"There is no {listed.resolve()}: copy the whole kit."
    names = listed.read_text(encoding="utf-8").split()
    lost = [name for name in names if not undamaged(wheels / name)]
    return f"Missing or damaged: {', '.join(lost)}. Copy the folder wheels once more." if lost else None


def undamaged(path):
    """Whether there is a zip whose files are all as they were packed."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:
        return False


def main(version, tag, folder):
    wheels = Path(folder)
    reason = misfit(version, tag, [path.name for path in wheels.glob("*.whl")]) or damage(wheels)
    if reason:
        print(reason)
    return bool(reason)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
