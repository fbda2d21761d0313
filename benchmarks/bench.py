"""Merging against the memory and the disk: ratios to a floor or a peer that is timed in the same run.

    python -m benchmarks.bench           GPT-Neo-125M's shape, random weights; writes results.md (some minutes)
    python -m benchmarks.bench --smoke   a tiny shape, writes nothing

The floor of a merge in memory is one torch.add(out=) over as many bytes: two reads and a write. Times are medians.
A row of the tables in results.md begins with its name in ROWS.
"""

import argparse
import copy
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
from benchmarks import busy, disk, methods, real_model
from benchmarks.timing import NEO, SMOKE, median_times, random_gpt_neo, seconds_of
from merging.paths import ROOT

BIG = dict(vocab_size=50257, hidden_size=2048, num_layers=18, num_heads=16, attention_types=[[["global", "local"], 9]])

# name -> (what is timed, its floor in floors of two reads and a write)
MEMORY = {
    "floor": ("one `torch.add(out=)` over the same bytes", 1),
    "merge": ("`merge_models(out=)`, which looks for NaN and infinity first", 1),
    "into": ("`merge_into`, the same without any check", 1),
    "four": ("`average_models(out=)` of 4 models: 4 reads and a write, after the check's 4 reads", 5 / 3),
    "new": ("`average_models` of the 4 into a new model", 5 / 3),
    "block": ("`merge_into` for one block", 1),
    "loop": ("naive: a loop of `copy_(a * x + b * y)`", 1),
    "load": ("naive: dict comprehension and `load_state_dict`", 1),
    "copies": ("naive: the same after a deepcopy", 1),
}
IMPORTS = {
    "import_torch": ("`import torch`", "import torch"),
    "import_auto": (
        "transformers' `AutoModelForCausalLM`, torch included",
        "from transformers import AutoModelForCausalLM",
    ),
    "import_helpers": ("`import helpers`, which needs both", "import helpers"),
}
ROWS = {**MEMORY, **IMPORTS, **disk.ROWS, **methods.ROWS, **real_model.ROWS, **busy.ROWS}


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


def in_memory(settings, rounds, device):
    """name -> median seconds of the rows in MEMORY, in their order."""
    *parents, out = [random_gpt_neo(settings, seed, device) for seed in range(5)]
    one, other = parents[:2]
    n = sum(parameter.numel() for parameter in one.parameters())
    a, b, c = (torch.rand(n, device=device) for _ in range(3))
    block = [name for name in helpers.named_weights(one) if helpers.tensor_kind(name)[1] == 1]
    return median_times(
        rounds,
        floor=lambda: torch.add(a, b, out=c),
        merge=lambda: helpers.merge_models(one, other, 0.3, out=out),
        into=lambda: helpers.merge_into(out, [one, other], [0.3, 0.7]),
        four=lambda: helpers.average_models(parents, [0.4, 0.3, 0.2, 0.1], out=out),
        new=lambda: helpers.average_models(parents, [0.4, 0.3, 0.2, 0.1]),
        block=lambda: helpers.merge_into(out, [one, other], [0.3, 0.7], block),
        loop=lambda: naive_loop(one, other, out),
        load=lambda: naive_load(one, other, out),
        copies=lambda: naive_load(one, other, copy.deepcopy(one)),
    )


def on_one_thread(action, *arguments):
    """What the action returns with one thread in place of all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return action(*arguments)
    finally:
        torch.set_num_threads(threads)


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


def import_table(rounds):
    """The lines of the table of imports, each in fresh processes."""
    yield "| row | what | seconds |"
    yield "|:--|:--|--:|"
    run = lambda code: seconds_of(lambda: subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True))
    for name, (what, code) in IMPORTS.items():
        yield f"| `{name}` | {what} | {statistics.median(run(code) for _ in range(rounds)):.2f} |"


WARM = """\
Each round runs all rows in another order; `out` is given, but in `new` and `copies`. What `merge` takes beyond `into`
is the price of its checks: it reads all numbers of both models, to refuse NaN and overflow, before it reads them to
average them. Who merges one set again and again pays once, with `check_mergeable`, and then calls `merge_into`, as the
sliders do. The last column is the ratio on one thread, to the floor on one thread."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, one round, nothing is written")
    arguments = parser.parse_args()
    small, big, rounds = (SMOKE, SMOKE, 1) if arguments.smoke else (NEO, BIG, 5)
    device = helpers.get_device()
    where = machine(device)
    seconds = in_memory(small, 3 * rounds, device)
    alone = on_one_thread(in_memory, small, rounds, device) if device == "cpu" else {}
    sections = [
        f"# Merging, measured\n\n`make bench` on {where}. Medians of {rounds} rounds or more.",
        f"## In memory: GPT-Neo-125M's shape, float32, on {device}\n\n{WARM}",
        "\n".join(memory_table(seconds, alone)),
        "## Imports, in a fresh process",
        "\n".join(import_table(rounds)),
        *disk.sections(small, big, rounds),
        *methods.sections(small, rounds, device),
        *real_model.sections("tiny" if arguments.smoke else "smollm2", rounds),
        *busy.sections({"tiny": 40} if arguments.smoke else {"tiny": 4, "smollm2": 24}, 1 if arguments.smoke else 3),
    ]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if not arguments.smoke:
        (Path(__file__).parent / "results.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
