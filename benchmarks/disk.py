"""Merges from disk to disk, against a plain copy and against mergekit; also of files that no memory holds any more."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import yaml
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from benchmarks.timing import seconds_of
from merging.disk.merge_config import merge_config
from merging.disk.stored import Stored, header_bytes
from merging.load.kinds import CODES
from merging.paths import ROOT

WARM = {
    "ours": "`merge_checkpoints` (imports apart)",
    "copy": "copying one of the files: half of the reads, the same writes",
    "mergekit": "mergekit, called from Python (imports apart)",
    "command": "the command `mergekit-yaml` (imports included)",
}
# name -> (what, number of sources, their dtype)
COLD = {
    "cold_two": ("`merge_checkpoints` of two", 2, "float32"),
    "cold_four": ("of four", 4, "float32"),
    "cold_two_bfloat16": ("of two in bfloat16", 2, "bfloat16"),
    "cold_four_bfloat16": ("of four in bfloat16", 4, "bfloat16"),
}
PIECE = 1 << 23  # bytes that plain reading and writing take at a time
ROWS = {**WARM, **COLD}

# Not resource.getrusage: its peak is handed down from the process that starts this one.
MEASURE = """
import re, sys, time
{imports}
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e3
before, start = peak(), time.perf_counter()
{action}
print(time.perf_counter() - start, peak() - before)
"""
OURS = dict(
    imports="from merging.disk.checkpoints import merge_checkpoints",
    action="merge_checkpoints(sys.argv[2:], [1 / len(sys.argv[2:])] * len(sys.argv[2:]), sys.argv[1])",
)
MERGEKIT = dict(
    imports="""
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge""",
    action="""
config = MergeConfiguration.model_validate(yaml.safe_load(open(sys.argv[2])))
run_merge(config, sys.argv[1], MergeOptions(quiet=True))""",
)


def random_checkpoint(folder, settings, seed, dtype="float32"):
    """A checkpoint of random weights, written tensor by tensor."""
    config = GPTNeoConfig(**settings, architectures=["GPTNeoForCausalLM"], dtype=dtype)
    config.save_pretrained(folder)
    with torch.device("meta"):
        tensors = {
            name: Stored(folder, 0, CODES[dtype], tuple(tensor.shape))
            for name, tensor in GPTNeoForCausalLM(config).named_parameters()
        }
    dice, names = torch.Generator().manual_seed(seed), sorted(tensors)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(header_bytes(names, tensors))
        for name in names:
            numbers = torch.empty(tensors[name].shape).normal_(0, 0.02, generator=dice).to(getattr(torch, dtype))
            out.write(numbers.flatten().view(torch.uint8).numpy())
    return folder


def in_process(kind, *arguments):
    """(seconds, growth of the peak in MB) of a merge in a fresh Python, its imports apart."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(**kind), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return tuple(map(float, done.stdout.split()))


def warm(folder, settings, rounds, peer=True):
    """name -> (median seconds, median growth of the peak in MB) of the rows in WARM; without `peer` not mergekit's."""
    sources = [random_checkpoint(folder / f"model{seed}", settings, seed) for seed in range(2)]
    config, merged, results = folder / "merge.yml", folder / "merged", {}
    config.write_text(yaml.safe_dump(merge_config(sources, [0.5, 0.5])))
    command = [Path(sys.executable).with_name("mergekit-yaml"), config, merged]
    actions = {
        "copy": lambda: (seconds_of(lambda: shutil.copyfile(weights(sources[0]), folder / "copy")), 0),
        "ours": lambda: in_process(OURS, merged, *sources),
        "mergekit": lambda: in_process(MERGEKIT, merged, config),
        "command": lambda: (seconds_of(lambda: subprocess.run(command, check=True, capture_output=True)), 0),
    }
    for _ in range(rounds):
        for name in actions if peer else ("ours",):
            results.setdefault(name, []).append(actions[name]())
            shutil.rmtree(merged, ignore_errors=True)
    return {name: tuple(map(statistics.median, zip(*values))) for name, values in results.items()}


def weights(source):
    """The file of a checkpoint's weights."""
    return source / "model.safetensors"


def forget(sources):
    """Have the system drop what it holds of these files in memory: the next read comes from the disk."""
    os.sync()  # only what is written can be dropped
    for source in sources:
        with open(weights(source), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_and_write(sources, out):
    """Read all files one after the other, and write as much as one of them holds."""
    piece = bytearray(PIECE)
    for source in sources:
        with open(weights(source), "rb", buffering=0) as file:
            while file.readinto(piece):
                pass
    with open(out, "wb", buffering=0) as file:
        for _ in range(0, weights(sources[0]).stat().st_size, PIECE):
            file.write(piece)


def cold(folder, settings, rounds):
    """name -> (median seconds, median seconds of read_and_write) of the rows in COLD, each after forget()."""
    sources = {
        dtype: [random_checkpoint(folder / f"{dtype}{seed}", settings, seed, dtype) for seed in range(4)]
        for dtype in ("float32", "bfloat16")
    }
    seconds = {name: ([], []) for name in COLD}
    for round in range(rounds):
        for name, (_, n, dtype) in COLD.items():
            some = sources[dtype][:n]
            actions = [
                lambda: in_process(OURS, folder / "merged", *some)[0],
                lambda: seconds_of(lambda: read_and_write(some, folder / "plain")),
            ]
            for i in (0, 1) if round % 2 else (1, 0):
                forget(some)
                seconds[name][i].append(actions[i]())
            shutil.rmtree(folder / "merged")
    return {name: tuple(map(statistics.median, both)) for name, both in seconds.items()}


def warm_table(measured):
    """The lines of the table of the rows in WARM."""
    yield "| row | what | seconds | times merge_checkpoints | peak memory grows by (MB) |"
    yield "|:--|:--|--:|--:|--:|"
    for name, what in WARM.items():
        seconds, growth = measured[name]
        peak = f"{growth:.0f}" if name in ("ours", "mergekit") else ""
        yield f"| `{name}` | {what} | {seconds:.2f} | {seconds / measured['ours'][0]:.2f} | {peak} |"


def cold_table(measured):
    """The lines of the table of the rows in COLD."""
    yield "| row | what | seconds | the same reads and a write, plainly | ratio |"
    yield "|:--|:--|--:|--:|--:|"
    for name, (what, _, _) in COLD.items():
        ours, plain = measured[name]
        yield f"| `{name}` | {what} | {ours:.2f} | {plain:.2f} | {ours / plain:.2f} |"


def sections(settings, big, rounds):
    """The parts of the report: titles, tables and a sentence."""
    in_scratch = lambda action, *arguments: with_scratch(lambda folder: action(folder, *arguments))
    yield "## From disk to disk, two checkpoints of that shape"
    yield "\n".join(warm_table(in_scratch(warm, settings, rounds)))
    seconds, growth = in_scratch(warm, big, 1, False)["ours"]
    yield f"Two checkpoints of 4 GB: {seconds:.1f} s, and the peak memory grows by {growth:.0f} MB."
    yield (
        "The same, of files that the system has just dropped from its memory, so that they are read from the disk "
        "(what a virtual machine's host keeps of them cannot be dropped from inside):"
    )
    yield "\n".join(cold_table(in_scratch(cold, settings, rounds)))


def with_scratch(action):
    """What the action returns for a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        return action(Path(folder))
