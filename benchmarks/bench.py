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
import statistics
import subprocess
import sys
from pathlib import Path

import torch
import transformers

import helpers
from benchmarks import disk, methods, real_model
from benchmarks.timing import NEO, SMOKE, median_times, random_model, seconds_of
from merging.paths import ROOT

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
IMPORTS = {
    "import_torch": ("`import torch`", "import torch"),
    "import_auto": (
        "transformers' `AutoModelForCausalLM`, torch included",
        "from transformers import AutoModelForCausalLM",
    ),
    "import_helpers": ("`import helpers`, which needs both", "import helpers"),
}
ROWS = {**MEMORY, **FRESH, **IMPORTS, **disk.ROWS, **methods.ROWS, **real_model.ROWS}


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
    block = [name for name in helpers.named_weights(one) if helpers.tensor_kind(name)[1] == 1]
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


def import_table(rounds):
    """The lines of the table of imports, each in fresh processes."""
    yield "| row | what | seconds |"
    yield "|:--|:--|--:|"
    run = lambda code: seconds_of(lambda: subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True))
    for name, (what, code) in IMPORTS.items():
        yield f"| `{name}` | {what} | {statistics.median(run(code) for _ in range(rounds)):.2f} |"


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
    sections = [
        f"# Merging, measured\n\n`make bench` on {where}. Medians of {rounds} rounds or more.",
        f"## In memory, warm: GPT-Neo-125M's shape, float32, on {device}\n\n{WARM}",
        "\n".join(memory_table(seconds, alone)),
        f"## In memory, in a fresh process: the same shape\n\n{FIRST.format(rounds=rounds)}",
        "\n".join(fresh_table(fresh)),
        "## Imports, in a fresh process",
        "\n".join(import_table(rounds)),
        *disk.sections(small, big, rounds),
        *methods.sections(small, rounds, device),
        *real_model.sections("tiny" if arguments.smoke else "smollm2", rounds),
    ]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if not arguments.smoke:
        (Path(__file__).parent / "results.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
