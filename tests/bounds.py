"""A test that sets its own bounds: what hangs or grows fails instead of taking the machine with it."""

import signal
import sys
from contextlib import contextmanager

import psutil

try:
    import resource
except ImportError:  # Windows: no bounds there
    resource = None


WAIT = 120  # seconds by the clock, after which only what waits for ever, as for a pipe, has not ended


class TooLong(BaseException):
    """What no `except Exception` takes for an error of the file that is read."""


@contextmanager
def bounded(seconds=5, megabytes=500):
    """Let a with block compute for so many seconds and take so much more memory; MemoryError or TooLong beyond."""
    if resource is None:
        yield
        return

    def too_long(*_):
        raise TooLong(f"computed for longer than {seconds} s, or waited for {WAIT} s")

    old = resource.getrlimit(resource.RLIMIT_AS)
    clocks = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, WAIT)}
    handlers = {sign: signal.signal(sign, too_long) for sign in clocks}
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + megabytes * 2**20, old[1]))
    for clock, length in clocks.values():
        signal.setitimer(clock, length)
    try:
        yield
    finally:
        for sign, (clock, _) in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(sign, handlers[sign])
        resource.setrlimit(resource.RLIMIT_AS, old)
