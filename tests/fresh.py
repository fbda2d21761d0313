"""Processes of their own, in which what takes long to import is there already, and nothing that a test has made."""

import importlib
import multiprocessing
import os
import re
import runpy
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from huggingface_hub import constants

from merging.disk import checkpoints
from merging.load import gguf, loading

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "merging.disk.checkpoints",
        "helpers",
        "lessons.views.explorers",
        "lessons.figures.experiments",
        "nbformat",
        "pytest",
    ]
    + ["transformers.models.gpt_neo.modeling_gpt_neo", "transformers.models.llama.modeling_llama"]
)


def peak_of_a_merge(small, large, destination):
    """Write how many kilobytes a merge of large checkpoints adds to the peak of a process that merged small ones."""
    # Not getrusage: its peak is handed down from the process that starts this one.
    peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    checkpoints.merge_checkpoints(small, [0.5, 0.5], destination / "small")
    before = peak()
    checkpoints.merge_checkpoints(large, [0.5, 0.5], destination / "large")
    (destination / "grown").write_text(str(peak() - before))


def slow_merge(sources, destination):
    """A merge that pauses at every tensor and at both renames, to be killed."""
    slowly = lambda function, seconds: lambda *arguments: time.sleep(seconds) or function(*arguments)
    checkpoints.average_stored = slowly(checkpoints.average_stored, 0.01)
    Path.rename = slowly(Path.rename, 0.3)
    checkpoints.merge_checkpoints(sources, [0.5, 0.5], destination, overwrite=True)


def killed_merge(sources, destination):
    """A merge that ends as if it was killed, before the first tensor is written."""
    checkpoints.average_stored = lambda *arguments: os._exit(9)
    checkpoints.merge_checkpoints(sources, [0.5, 0.5], destination)


def killed_conversion(file, home):
    """A conversion of a GGUF file that ends as if it was killed, before its numbers are made."""
    gguf.constants.HF_HOME = home
    gguf.AutoModelForCausalLM.from_pretrained = lambda *arguments, **options: os._exit(9)
    loading.load_models({"m": file}, device="cpu")


def run(function, *arguments):
    """function(*arguments) in a process of its own; fails if that ends in an error, whose traceback is shown."""
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0, f"{function.__name__}{arguments} ended with {process.exitcode}"


def run_module(name, *arguments):
    """`python -m name arguments` in a process of its own."""
    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(name, run_name="__main__")


def run_code(code, arguments, variables):
    """Like subprocess.run of `python -c code arguments`: returncode, stdout and stderr.

    variables: the environment, from which the Hub's client reads its settings anew; all else is imported already.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("out", "err")]
        process = CONTEXT.Process(target=as_started, args=(code, arguments, variables, files))
        process.start()
        process.join()
        printed, complained = (file.read_text() for file in files)
        return SimpleNamespace(returncode=process.exitcode, stdout=printed, stderr=complained)


def as_started(code, arguments, variables, files):
    """Run code with these arguments, environment variables, and files for what it prints."""
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(variables)
    importlib.reload(constants)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})
