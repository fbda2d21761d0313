"""Merging against the memory and the disk: ratios to a floor or a peer that is timed in the same run.

    python -m benchmarks.bench           GPT-Neo-125M's shape, random weights; writes results.md (some minutes)
    python -m benchmarks.bench --smoke   a tiny shape, writes nothing

The floor of a merge in memory is one torch.add(out=) over as many bytes: two reads and a write. Times are medians.
A row of the tables in results.md begins with its name in ROWS.
"""

import argparse
import copy
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
import yaml
from transformers import GPTNeoConfig, GPTNeoForCausalLM

import helpers
from benchmarks import methods, real_model
from benchmarks.timing import NEO, SMOKE, median_times, random_model, seconds_of
from merging.interop import mergekit_recipe
from merging.loading import ROOT
from merging.stored import Stored, header_bytes

BIG = dict(vocab_size=50257, hidden_size=2048, num_layers=18, num_heads=16, attention_types=[[["global", "local"], 9]])

# name -> (what is timed, its floor in floors of two reads and a write)
MEMORY = {
    "floor": ("one `torch.add(out=)` over the same bytes", 1),
    "merge": ("`merge_models(out=)`", 1),
    "four": ("`average_models(out=)` of 4 models: 4 reads and a write", 5 / 3),
    "block": ("`merge_into` for one block", 1),
    "loop": ("naive: a loop of `copy_(a * x + b * y)`", 1),
    "load": ("naive: dict comprehension and `load_state_dict`", 1),
    "copies": ("naive: the same after a deepcopy", 1),
}
FRESH = {
    "four_first": ("the first `average_models(out=)` of 4 models", 5 / 3),
    "four_second": ("the second", 5 / 3),
    "four_new": ("`average_models` of the 4 into a new model", 5 / 3),
}
DISK = {
    "ours": "`merge_checkpoints` (imports apart)",
    "copy": "copying one of the files: half of the reads, the same writes",
    "mergekit": "mergekit, called from Python (imports apart)",
    "command": "the command `mergekit-yaml` (imports included)",
}
ROWS = {**MEMORY, **FRESH, **DISK, **methods.ROWS, **real_model.ROWS}


@torch.no_grad()
def naive_loop(one, other, out):
    theirs = dict(other.named_parameters())
    target = dict(out.named_parameters())
    for name, theta in one.named_parameters():
        target[name].copy_(0.3 * theta + 0.7 * theirs[name])


@torch.no_grad()
def naive_load(one, other, out):
    theirs = other.state_dict()
    out.load_state_dict({name: 0.3 * theta + 0.7 * theirs[name] for name, theta in one.state_dict().items()})


@torch.no_grad()
def naive_copy(one, other, out):
    naive_load(one, other, copy.deepcopy(one))


def in_memory(settings, rounds, device):
    """name -> median seconds of the rows in MEMORY, in their order: `out` is given, and all checks are behind."""
    *parents, out = [random_model(settings, seed, device) for seed in range(5)]
    one, other = parents[:2]
    n = sum(parameter.numel() for parameter in one.parameters())
    a, b, c = (torch.rand(n, device=device) for _ in range(3))
    block = [name for name in helpers.merge_tensors(one) if helpers.tensor_kind(name)[1] == 1]
    return median_times(
        rounds,
        floor=lambda: torch.add(a, b, out=c),
        merge=lambda: helpers.merge_models(one, other, 0.3, out=out),
        four=lambda: helpers.average_models(parents, [0.4, 0.3, 0.2, 0.1], out=out),
        block=lambda: helpers.merge_into(out, [one, other], [0.3, 0.7], block),
        loop=lambda: naive_loop(one, other, out),
        load=lambda: naive_load(one, other, out),
        copies=lambda: naive_copy(one, other, out),
    )


def on_one_thread(action, *arguments):
    """What the action returns with one thread in place of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return action(*arguments)
    finally:
        torch.set_num_threads(threads)


def first_merges(settings, device):
    """name -> seconds of the rows in FRESH and of the floor, for a process that has merged nothing yet."""
    *parents, out = [random_model(settings, seed, device) for seed in range(5)]
    a, b, c = (torch.rand(sum(p.numel() for p in out.parameters()), device=device) for _ in range(3))
    weights = [0.4, 0.3, 0.2, 0.1]
    seconds = median_times(3, floor=lambda: torch.add(a, b, out=c))
    for name in ("four_first", "four_second"):
        seconds[name] = seconds_of(lambda: helpers.average_models(parents, weights, out=out))
    seconds["four_new"] = seconds_of(lambda: helpers.average_models(parents, weights))
    return seconds


def in_fresh_processes(settings, rounds, device):
    """name -> (median seconds, median ratio to a floor that was timed in the same process) of the rows in FRESH."""
    code = """
import json, sys
from benchmarks.bench import first_merges
print(json.dumps(first_merges(*json.loads(sys.argv[1]))))"""
    command, runs = [sys.executable, "-c", code, json.dumps([settings, device])], []
    for _ in range(rounds):
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        runs.append(json.loads(done.stdout))
    median = lambda name, unit: statistics.median(run[name] / unit(run) for run in runs)
    return {name: (median(name, lambda run: 1), median(name, lambda run: run["floor"])) for name in FRESH}


def random_checkpoint(folder, settings, seed):
    """A checkpoint of random float32 weights, written tensor by tensor."""
    config = GPTNeoConfig(**settings, architectures=["GPTNeoForCausalLM"], dtype="float32")
    config.save_pretrained(folder)
    with torch.device("meta"):
        tensors = {
            name: Stored(folder, 0, "F32", tuple(tensor.shape))
            for name, tensor in GPTNeoForCausalLM(config).named_parameters()
        }
    dice, names = torch.Generator().manual_seed(seed), sorted(tensors)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(header_bytes(names, tensors))
        for name in names:
            out.write(torch.empty(tensors[name].shape).normal_(0, 0.02, generator=dice).numpy())
    return folder


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
    imports="from merging.checkpoints import merge_checkpoints",
    action="merge_checkpoints(sys.argv[1:3], [0.3, 0.7], sys.argv[3])",
)
MERGEKIT = dict(
    imports="""
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge""",
    action="""
recipe = MergeConfiguration.model_validate(yaml.safe_load(open(sys.argv[1])))
run_merge(recipe, sys.argv[2], MergeOptions(quiet=True))""",
)


def in_process(kind, *arguments):
    """(seconds, growth of the peak in MB) of a merge in a fresh Python, its imports apart."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(**kind), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return tuple(map(float, done.stdout.split()))


def on_disk(folder, settings, rounds, peer=True):
    """name -> (median seconds, median growth of the peak in MB or None)."""
    sources = [folder / "one", folder / "other"]
    for seed, source in enumerate(sources):
        random_checkpoint(source, settings, seed)
    recipe = folder / "recipe.yml"
    recipe.write_text(yaml.safe_dump(mergekit_recipe(sources, [0.3, 0.7])))
    results = {}
    for _ in range(rounds):

        def note(name, values):
            results.setdefault(name, []).append(values)
            shutil.rmtree(folder / "merged", ignore_errors=True)

        start = time.perf_counter()
        shutil.copyfile(sources[0] / "model.safetensors", folder / "copy")
        note("copy", (time.perf_counter() - start, 0))
        note("ours", in_process(OURS, *sources, folder / "merged"))
        if peer:
            note("mergekit", in_process(MERGEKIT, recipe, folder / "merged"))
            start = time.perf_counter()
            subprocess.run(
                [Path(sys.executable).with_name("mergekit-yaml"), recipe, folder / "merged"],
                check=True,
                capture_output=True,
            )
            note("command", (time.perf_counter() - start, 0))
    return {name: tuple(map(statistics.median, zip(*values))) for name, values in results.items()}


def processor():
    """Name, cores and hardware threads of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    cores = re.findall(r"^physical id\s*: (\d+)$(?:\n.+)*?\ncore id\s*: (\d+)$", text, re.MULTILINE)
    counted = f"{len(set(cores))} cores, " if cores else ""
    return f"{name[1] if name else platform.machine()}, {counted}{os.cpu_count()} hardware threads"


def machine(device):
    """What the numbers are measured on, and how busy it is now."""
    parts = [torch.cuda.get_device_name()] if device == "cuda" else []
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    parts += [f"{processor()}, {torch.get_num_threads()} of them used by torch{load}", platform.system()]
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    return "; ".join([*parts, versions])


def memory_table(seconds, alone):
    """The lines of the table of merges in memory; alone: the same on one thread, or {}."""
    yield "| row | what | seconds | times its floor | the same on one thread |"
    yield "|:--|:--|--:|--:|--:|"
    for name, (what, floors) in MEMORY.items():
        ratio = seconds[name] / seconds["floor"] / floors
        single = f"{alone[name] / alone['floor'] / floors:.2f}" if alone else ""
        yield f"| `{name}` | {what} | {seconds[name]:.3f} | {ratio:.2f} | {single} |"


def fresh_table(fresh):
    """The lines of the table of first merges."""
    yield "| row | what | seconds | times its floor |"
    yield "|:--|:--|--:|--:|"
    for name, (what, floors) in FRESH.items():
        seconds, ratio = fresh[name]
        yield f"| `{name}` | {what} | {seconds:.3f} | {ratio / floors:.2f} |"


def disk_table(disk):
    """The lines of the table of merges from disk to disk."""
    yield "| row | what | seconds | times merge_checkpoints | peak memory grows by (MB) |"
    yield "|:--|:--|--:|--:|--:|"
    for name, what in DISK.items():
        seconds, growth = disk[name]
        peak = f"{growth:.0f}" if name in ("ours", "mergekit") else ""
        yield f"| `{name}` | {what} | {seconds:.2f} | {seconds / disk['ours'][0]:.2f} | {peak} |"


WARM = """\
`out` is given, every check is behind, and each round runs all rows in another order: what a slider does at every move.
The last column is the ratio on one thread, to the floor on one thread."""
FIRST = """\
Medians of {rounds} processes that have merged nothing before. The first merge of a set reads all values once more, to
refuse NaN and overflow; a merge into a new model copies a model before it writes."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, one round, nothing is written")
    arguments = parser.parse_args()
    small, big, rounds = (SMOKE, SMOKE, 1) if arguments.smoke else (NEO, BIG, 5)
    device = helpers.get_device()
    where = machine(device)
    seconds = in_memory(small, 3 * rounds, device)
    alone = on_one_thread(in_memory, small, rounds, device) if device == "cpu" else {}
    fresh = in_fresh_processes(small, rounds, device)
    with tempfile.TemporaryDirectory() as scratch:
        disk = on_disk(Path(scratch), small, rounds)
    with tempfile.TemporaryDirectory() as scratch:
        big_seconds, growth = on_disk(Path(scratch), big, 1, peer=False)["ours"]
    sections = [
        f"# Merging, measured\n\n`make bench` on {where}. Medians of {rounds} rounds or more.",
        f"## In memory, warm: GPT-Neo-125M's shape, float32, on {device}\n\n{WARM}",
        "\n".join(memory_table(seconds, alone)),
        f"## In memory, in a fresh process: the same shape\n\n{FIRST.format(rounds=rounds)}",
        "\n".join(fresh_table(fresh)),
        "## From disk to disk, two checkpoints of that shape",
        "\n".join(disk_table(disk)),
        f"Two checkpoints of 4 GB: {big_seconds:.1f} s, and the peak memory grows by {growth:.0f} MB.",
        *methods.sections(small, rounds, device),
        *real_model.sections("tiny" if arguments.smoke else "smollm2", rounds),
    ]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if not arguments.smoke:
        (Path(__file__).parent / "results.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
