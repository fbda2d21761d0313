"""A folder that is there when it is complete: written beside its place, by one process at a time, and then renamed."""

import errno
import os
import re
import shutil
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from merging.errors import MergeError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_folder(destination, folders, overwrite, nbytes):
    """A temporary folder to write into; it becomes destination when the with block ends well, and vanishes if not.

    folders: what is read meanwhile. An older destination is replaced at the end, if overwrite, and stays if the block
    fails or is interrupted. Raises MergeError (within a source, another process writes there), FileExistsError, OSError
    (disk full, no permission).
    """
    partial, old = (destination.with_name(f".{destination.name}.{what}") for what in ("partial", "old"))
    check_apart(destination, folders)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with only_one(destination):
            settle(old, destination)  # what an earlier run left that was killed
            check_destination(destination, overwrite, nbytes)
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir()
                yield partial
                if destination.exists():
                    destination.rename(old)
                partial.rename(destination)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
                settle(old, destination)
    except Exception as error:
        if not system_error(error):
            raise
        raise explained(system_error(error), destination) from None


def settle(old, destination):
    """Put the old folder back if its place is empty, else remove it."""
    if old.exists() and not destination.exists():
        old.rename(destination)
    shutil.rmtree(old, ignore_errors=True)


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


def check_apart(destination, folders):
    """Refuse a destination that would damage a source."""
    resolved = destination.resolve()
    for folder in folders:
        if folder.resolve() == resolved or folder.resolve() in resolved.parents or resolved in folder.resolve().parents:
            raise MergeError(
                f"The destination {destination} and the source {folder} lie within each other. Choose another folder."
            )


def check_destination(destination, overwrite, nbytes):
    """Refuse a destination that exists already, or a disk with too little space."""
    if destination.exists() and not (overwrite and destination.is_dir()):
        raise FileExistsError(
            f"{destination} exists. Choose another destination"
            + (", or replace it with overwrite=True." if destination.is_dir() else ": this one is a file.")
        )
    free = shutil.disk_usage(destination.parent).free
    if free < nbytes + 10e6:
        raise OSError(
            f"The merge needs {nbytes / 1e9:.2f} GB in {destination.parent}, where {free / 1e9:.2f} GB are free."
        )


def system_error(error):
    """The number that the system gave an error, or None; the safetensors library has it in its text only."""
    in_text = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, SafetensorError) else None
    return int(in_text[1]) if in_text else getattr(error, "errno", None)


def explained(number, destination):
    """An error of the system while a destination was written, as a sentence."""
    remedy = "Free space there" if number in FULL else "Check that you may write there"
    return OSError(
        number,
        f"{destination} could not be written ({os.strerror(number)}), and nothing is left of it. {remedy}, or choose "
        "another destination.",
    )
