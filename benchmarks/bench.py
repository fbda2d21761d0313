"""Merging against the memory and the disk: ratios to a floor or a peer that is timed in the same run.

    python -m benchmarks.bench           GPT-Neo-125M's shape, random weights; writes results.md (about four minutes)
    python -m benchmarks.bench --smoke   a tiny shape, writes nothing

The floor of a merge in memory is one torch.add(out=) over as many bytes: two reads and a write. Times are medians.
"""

import argparse
import copy
import platform
import random
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
from merging.interop import mergekit_recipe
from merging.loading import ROOT
from merging.stored import Stored, header_bytes

NEO = dict(vocab_size=50257, hidden_size=768, num_layers=12, num_heads=12, attention_types=[[["global", "local"], 6]])
BIG = dict(vocab_size=50257, hidden_size=2048, num_layers=18, num_heads=16, attention_types=[[["global", "local"], 9]])
SMOKE = dict(vocab_size=512, hidden_size=64, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]])


def median_times(rounds, **actions):
    """name -> median seconds; each round runs every action once and in another order, so that all see the same moods
    of the machine and nobody always runs after the same neighbour."""
    times = {name: [] for name in actions}
    for action in actions.values():
        action()
    dice, order = random.Random(1), list(actions.items())
    for _ in range(rounds):
        dice.shuffle(order)
        for name, action in order:
            start = time.perf_counter()
            action()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


# --- in memory --------------------------------------------------------------------------------------------------


def random_model(settings, seed, device):
    torch.manual_seed(seed)
    return GPTNeoForCausalLM(GPTNeoConfig(**settings)).eval().to(device)


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
    """Rows of (what, seconds, times its floor)."""
    models = [random_model(settings, seed, device) for seed in range(5)]
    *parents, out = models
    one, other = parents[:2]
    n = sum(parameter.numel() for parameter in one.parameters())
    a, b, c = (torch.rand(n, device=device) for _ in range(3))
    block = [name for name in helpers.merge_tensors(one) if helpers.tensor_kind(name)[1] == 1]
    times = median_times(
        rounds,
        floor=lambda: torch.add(a, b, out=c),
        merge=lambda: helpers.merge_models(one, other, 0.3, out=out),
        four=lambda: helpers.average_models(parents, [0.4, 0.3, 0.2, 0.1], out=out),
        block=lambda: helpers.merge_into(out, [one, other], [0.3, 0.7], block),
        loop=lambda: naive_loop(one, other, out),
        load=lambda: naive_load(one, other, out),
        copies=lambda: naive_copy(one, other, out),
    )
    floor = times["floor"]
    return [
        ("floor: one torch.add(out=) over the same bytes", floor, 1.0),
        ("merge_models(out=)", times["merge"], times["merge"] / floor),
        (
            "average_models of 4 (out=), against its own floor of 4 reads and 1 write",
            times["four"],
            times["four"] / (floor * 5 / 3),
        ),
        ("merge_into for one block", times["block"], times["block"] / floor),
        ("naive: a loop of copy_(a * x + b * y)", times["loop"], times["loop"] / floor),
        ("naive: dict comprehension and load_state_dict", times["load"], times["load"] / floor),
        ("naive: the same after a deepcopy", times["copies"], times["copies"] / floor),
    ]


# --- from disk to disk ------------------------------------------------------------------------------------------


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
    imports="import yaml\nfrom mergekit.config import MergeConfiguration\nfrom mergekit.merge import MergeOptions, run_merge",
    action="run_merge(MergeConfiguration.model_validate(yaml.safe_load(open(sys.argv[1]))), sys.argv[2], MergeOptions(quiet=True))",
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


# --- the table --------------------------------------------------------------------------------------------------


def machine(device):
    name = (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"{torch.get_num_threads()} CPU threads, {platform.machine()}"
    )
    return f"{name}; Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, one round, nothing is written")
    arguments = parser.parse_args()
    small, big, rounds = (SMOKE, SMOKE, 1) if arguments.smoke else (NEO, BIG, 5)
    device = helpers.get_device()
    lines = [
        f"# Merging, measured\n\n`make bench` on {machine(device)}. Medians of {rounds} rounds; compare the ratios.",
        f"## In memory, GPT-Neo-125M's shape, float32, on {device}\n",
        "| what | seconds | times its floor |",
        "|:--|--:|--:|",
    ]
    lines += [
        f"| {what} | {seconds:.3f} | {ratio:.2f} |" for what, seconds, ratio in in_memory(small, 3 * rounds, device)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        disk = on_disk(Path(scratch), small, rounds)
    lines += [
        "\n## From disk to disk, two checkpoints of that shape\n",
        "| what | seconds | times merge_checkpoints | peak memory grows by (MB) |",
        "|:--|--:|--:|--:|",
    ]
    names = {
        "ours": "merge_checkpoints (imports apart)",
        "copy": "copying one of the files: half of the reads, the same writes",
        "mergekit": "mergekit, called from Python (imports apart)",
        "command": "the command mergekit-yaml (imports included)",
    }
    lines += [
        f"| {what} | {disk[name][0]:.2f} | {disk[name][0] / disk['ours'][0]:.2f} | {f'{disk[name][1]:.0f}' if name in ('ours', 'mergekit') else ''} |"
        for name, what in names.items()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        seconds, growth = on_disk(Path(scratch), big, 1, peer=False)["ours"]
    lines += [f"\nTwo checkpoints of 4 GB: {seconds:.1f} s, and the peak memory grows by {growth:.0f} MB."]
    print("\n".join(lines))
    if not arguments.smoke:
        (Path(__file__).parent / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
