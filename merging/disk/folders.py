"""A folder that is there when it is complete: written beside its place, by one process at a time, and then renamed."""

import errno
import os
import re
import shutil
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from merging.errors import LoadError, MergeError
from merging.load.memory import in_words
from merging.paths import remove, whole

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_folder(destination, sources, overwrite):
    """A temporary folder to write into; it becomes destination when the with block ends well, and vanishes if not.

    sources: what is read meanwhile, folders and files among them. An older destination is replaced at the end, if
    overwrite, and stays if the block fails or is interrupted; one that appears meanwhile stays in any case. Raises
    MergeError (within a source, another process writes there), FileExistsError, OSError (disk full, no permission,
    something that cannot be removed).
    """
    destination = resolved(destination)
    partial, old = (destination.with_name(f".{destination.name}.{what}") for what in ("partial", "old"))
    check_apart(destination, sources)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with only_one(destination):
            put_back(old, destination)  # what an earlier run left that was killed
            remove(old)
            remove(partial)
            check_destination(destination, overwrite)
            before = identity(destination)
            try:
                with whole(partial, destination, lambda: set_aside(destination, old, before)):
                    yield partial
            finally:
                put_back(old, destination)
                with suppress(OSError):
                    remove(old)
            if old.exists():
                warnings.warn(f"{old}, which {destination} replaces, cannot be removed: do so by hand.", stacklevel=4)
    except Exception as error:
        if not (number := system_error(error)):
            raise
        raise explained(number, destination) from None


def resolved(destination):
    """Where a destination is after ~ and links are followed. Raises OSError."""
    try:
        return Path(destination).expanduser().resolve()
    except (OSError, RuntimeError):
        raise OSError(f"{destination} leads nowhere, or to itself. Choose another destination.") from None


def put_back(old, destination):
    """Put the old folder back if its place is empty."""
    if old.exists() and not destination.exists():
        old.rename(destination)


def identity(place):
    """What tells a file or folder from another one in its place; None if there is none."""
    return (place.stat().st_dev, place.stat().st_ino) if place.exists() else None


def set_aside(destination, old, before):
    """Move the folder that was there before out of its place. Raises FileExistsError if it is another one now."""
    if identity(destination) not in (None, before):
        raise FileExistsError(
            f"{destination} appeared while the merge was written, and is not touched. Choose another destination."
        )
    if destination.exists():
        destination.rename(old)


@contextmanager
def only_one(destination):
    """Hold .NAME.lock beside a destination, a lock that ends with its process. Raises MergeError if it is taken."""
    path = destination.with_name(f".{destination.name}.lock")
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise MergeError(
            f"Another merge is writing {destination} at this moment. Wait until it has finished, or choose another "
            "folder."
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it at the release
            path.unlink()
        lock.release()


def check_apart(destination, sources):
    """Refuse a destination that would damage a source; destination is resolved."""
    for source in sources:
        place = Path(str(source)).expanduser().resolve()
        if place.exists() and (place == destination or place in destination.parents or destination in place.parents):
            raise MergeError(
                f"The destination {destination} and the source {source} lie within each other. Choose another folder."
            )


def check_destination(destination, overwrite):
    """Refuse a destination that exists already."""
    if destination.exists() and not (overwrite and destination.is_dir()):
        raise FileExistsError(
            f"{destination} exists. Choose another destination"
            + (", or replace it with overwrite=True." if destination.is_dir() else ": this one is a file.")
        )
    if destination.exists() and any(destination.iterdir()) and not list(destination.glob("*config.json")):
        raise FileExistsError(f"{destination} holds no model, and is not replaced. Choose another destination.")


def check_space(partial, nbytes):
    """Raise OSError if the disk has too little space for what will be written into a folder."""
    free, needed = shutil.disk_usage(partial).free, nbytes + 10e6
    if free < needed:
        raise OSError(
            f"The merge needs {in_words(needed)} in {partial.parent}, where {in_words(free)} are free. Free space "
            "there, or choose another destination."
        )


def system_error(error):
    """The number that the system gave an error, or None; libraries written in Rust have it in their text only."""
    ours = isinstance(error, (LoadError, MergeError))
    in_text = None if ours else re.search(r"\(os error (\d+)\)", str(error))
    return int(in_text[1]) if in_text else getattr(error, "errno", None)


def explained(number, destination):
    """An error of the system while a destination was written, as a sentence."""
    remedy = "Free space there" if number in FULL else "Check that you may write there"
    return OSError(
        number,
        f"{destination} could not be written ({os.strerror(number)}), and nothing is left of it. {remedy}, or choose "
        "another destination.",
    )
