"""Is a sampled function correct? Run it on a few inputs, in a process of its own that can do little else.

This is a fence around what a tutorial's own models write, not a security product: do not put strangers' code into it.
The child process sees no environment, finds modules that compute and no others, and ends at its first audited act (an
import, a file, a process, a look at a frame), or at its limits on time, memory and output; what it can do is wait, and
the clock ends that. Windows has only the limits on the clock and on output, and macOS does not keep to the one on
memory.
"""

import contextlib
import json
import math
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from merging.measure.passes.tasks import FILE_TASK, FILES, TASKS

TIMEOUT = 2.0  # seconds of CPU time for all examples of a task; Python's start takes some hundredths of them
PATIENCE = 5  # times as long by the clock
MEMORY = 256 * 2**20  # bytes of address space; Python itself takes about 30 MB
OUTPUT = 10_000  # characters that a call may print, and bytes of all answers together
CODE = 10_000  # characters of a sample; 200 tokens are about 1,000
CHILD = Path(__file__).with_name("child.py")


def passes(code, task, timeout=TIMEOUT):
    """True if sampled code is correct: it gives what is expected for each example of one of TASKS.

    code: what was sampled, without the prompt. timeout: CPU seconds for all examples, rounded up. An error in any
    example and a limit that was reached are False. ValueError for a task without examples, RuntimeError if the child
    process cannot start, which says nothing about the sample.
    """
    if task not in TASKS:
        raise ValueError(f"There are no examples for {task!r}. Choose a task of sandbox.TASKS.")
    judge, examples = TASKS[task]
    arguments = [example[0] for example in examples]
    answers = run_code(code, arguments, timeout, FILES if task == FILE_TASK else None)
    if answers is None:
        return False
    readings = zip(*(example[1:] for example in examples))
    return any(all(map(judge, answers, reading, arguments)) for reading in readings)


def run_code(code, calls, timeout=TIMEOUT, files=None):
    """What a sampled function answers to each list of arguments, or None if it does not get that far.

    Of the top-level functions it is the one that takes most of the first call's arguments, the last of these. An answer
    is what it returns, or what it printed if it returns None, with tuples, sets and iterators as lists. input() gives
    it the arguments as text, one after the other. files: name -> text for an open() that reads these and nothing else.
    """
    if len(code) > CODE:
        return None
    as_typed = lambda argument: " ".join(map(str, argument)) if isinstance(argument, list) else str(argument)
    calls = [(arguments, [as_typed(argument) for argument in arguments]) for arguments in calls]
    token = secrets.token_hex(16)  # what the sample prints by itself is no answer
    limits = dict(CPU=math.ceil(timeout), AS=MEMORY, FSIZE=OUTPUT, NOFILE=0, NPROC=0, CORE=0)
    job = dict(source=code, calls=calls, files=files, token=token, limits=limits, output=OUTPUT)
    try:
        with tempfile.TemporaryFile() as said:  # unlike a pipe it is never full, never left open, and limited in size
            run_child(json.dumps(job).encode(), said, timeout * PATIENCE)
            said.seek(0)
            return read_answers(said.read(OUTPUT).decode(errors="replace"), token)
    except OSError as error:
        raise RuntimeError(
            f"The sample was not run: {sys.executable} cannot be started with a temporary file ({error.strerror}). Set "
            "TMPDIR to a folder that you may write to."
        ) from None


def run_child(job, said, seconds):
    """Let a new Python do a job and write to an open file, for at most so many seconds."""
    # Like -I, but with a PYTHONHASHSEED, which gives sets the same order every time. It does not see our environment.
    command = [sys.executable, "-P", "-s", "-S", "-W", "ignore", str(CHILD)]
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    options = dict(stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
    with subprocess.Popen(command, env=kept | {"PYTHONHASHSEED": "0"}, **options) as child:
        try:
            child.communicate(job, seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when the reader interrupts the cell
            kill(child)


def kill(child):
    """End a child process that still runs, and whatever it started."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
            os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()


def read_answers(said, token):
    """The answers in what a child wrote, or None; RuntimeError if it did not come as far as its first line."""
    started, _, rest = said.partition("\n")
    if started.strip() != token:
        raise RuntimeError(
            f"{sys.executable} did not start, or not in time, so the sample was not run. A larger timeout helps where "
            f"the machine is busy. It said: {said or 'nothing.'}"
        )
    try:
        sender, answers = json.loads(rest)
    except (ValueError, TypeError, RecursionError):
        return None
    return answers if sender == token else None
