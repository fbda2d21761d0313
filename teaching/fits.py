"""Does this Python fit the wheels of a kit, and did they survive the way here? Needs nothing but Python itself.

python teaching/fits.py 3.11 linux_x86_64 wheels        the exit status is 0 when they fit
"""

import platform
import struct
import sys
import zipfile
from pathlib import Path

SYSTEMS = {"linux": "linux", "manylinux": "linux", "win": "win32", "macosx": "darwin"}


def misfit(version, tag):
    """What about this Python or this machine differs from what the wheels are for, in one sentence, or None."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != version:
        return f"The wheels are for Python {version}, this is {here}: set the variable PYTHON to another one's path."
    system = next((SYSTEMS[start] for start in sorted(SYSTEMS, reverse=True) if tag.startswith(start)), None)
    machine = platform.machine().lower()
    bits = 8 * struct.calcsize("P")
    if sys.platform != system or not tag.endswith((machine, "universal2")) or bits != 64:
        this = f"a {bits}-bit Python on {sys.platform}, {machine}"
        return f"The wheels are for {tag}, this is {this}: it takes another kit."
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return f"This Python has no {error.name}: on Debian and Ubuntu, install python{version}-venv."
    return None


def damaged(wheels):
    """The wheels that cannot be read to their end or whose checksums are wrong."""
    return [path.name for path in sorted(Path(wheels).glob("*.whl")) if not whole(path)]


def whole(path):
    """Whether a zip's files are all as they were packed."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:
        return False


def main(version, tag, wheels):
    reason = misfit(version, tag)
    broken = [] if reason else damaged(wheels)
    if broken:
        reason = f"Damaged on the way here: {', '.join(broken)}. Copy the folder wheels once more."
    elif not reason and not any(Path(wheels).glob("*.whl")):
        reason = f"There are no wheels in {Path(wheels).resolve()}: copy the whole kit."
    if reason:
        print(reason)
    return bool(reason)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
