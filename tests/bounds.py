"""A test that sets its own bounds: what hangs or grows fails instead of taking the machine with it."""

import signal
import sys
from contextlib import contextmanager

import psutil

try:
    import resource
except ImportError:  # Windows: no bounds there
    resource = None


class TooLong(BaseException):
    """What no `except Exception` takes for an error of the file that is read."""


@contextmanager
def bounded(seconds=5, megabytes=500):
    """Let a with block compute for so many seconds and take so much more memory; MemoryError or TooLong beyond."""
    if resource is None:
        yield
        return

    def too_long(*_):
        raise TooLong(f"computed for longer than {seconds} s")

    old = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGPROF, too_long)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + megabytes * 2**20, old[0][1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old[1])
        resource.setrlimit(resource.RLIMIT_AS, old[0])
