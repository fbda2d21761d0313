"""Where this repository lies, and folders that are there for good or gone."""

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def whole(partial, folder, first=lambda: None):
    """An empty folder, partial, that becomes folder in one step when the with block ends well, and vanishes if not.

    first: called just before that step, when all that was written is on the disk.
    """
    try:
        partial.mkdir()
        yield partial
        flush(partial)
        first()
        partial.rename(folder)
        flush_entry(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def flush(folder):
    """Have a folder and its files written to the disk, so that a cut of power leaves no empty files behind."""
    for place in [*folder.rglob("*"), folder]:
        if place.is_file():
            with open(place, "rb+") as stream:
                os.fsync(stream.fileno())
        elif os.name != "nt":  # Windows keeps folders by itself
            flush_entry(place)


def flush_entry(folder):
    """Have the names in a folder written to the disk, where its file system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def remove(folder):
    """Remove a folder, or what else has its name. Raises OSError that names it if something of it cannot be removed."""
    try:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"{folder} cannot be removed ({reason}). Remove it by hand.") from None
