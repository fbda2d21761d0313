"""Measure the real trio and its merges and write models/smollm2/measured.json, which notebook 06 draws.

    python -m training.measure_smollm2                     all of it (see the log for the time it takes)
    python -m training.measure_smollm2 --smoke --out FILE  two points, two samples each, as a test

Points: base, eleven averages (alpha is the share of clippy), a grid of task arithmetic, and merges of selected layers.
The points are measured twice, on tasks and seeds for choosing and on the held-out tasks with other seeds for a report;
among the selections nothing is chosen, so they have the report only. The curve has bits per byte at 21 alphas, for the
notebook's slider.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch

from helpers import bits_per_byte, heldout_texts, is_function, is_recipe, load_models, named_weights, tensor_kind
from merging.load.device import fast_dtype
from merging.measure.passes.sandbox import correct_share
from merging.measure.passes.tasks import TASKS
from merging.measure.samples import sample_functions, sample_recipes
from merging.paths import ROOT
from training.functions import HELDOUT_TASKS

ALPHAS = [i / 10 for i in range(11)]
FINE = [i / 20 for i in range(21)]
HOSTS = {"clippy": (1.0, 0.0), "beer": (0.0, 1.0)}
GRID = [(0.4, 0.8), (0.6, 0.6), (0.6, 0.8), (0.8, 0.8)]
# None of these is among the held-out tasks.
CHOICE_TASKS = (
    "return the square of a number",
    "check whether a number is even",
    "join a list of words with commas",
    "return the last element of a list",
    "count how often a letter occurs in a word",
    "convert a temperature from Celsius to Fahrenheit",
    "return the smaller of two numbers",
    "compute the area of a circle",
)


def points():
    """name -> (share of clippy's task vector, share of beer's) of every point in the plane that is measured."""
    averages = {f"alpha {alpha}": (alpha, round(1 - alpha, 1)) for alpha in ALPHAS}
    sums = {f"task arithmetic {code} {beer}": (code, beer) for code, beer in GRID}
    return {"base": (0.0, 0.0)} | averages | {name: at for name, at in sums.items() if at not in averages.values()}


def selections():
    """name -> (host, kind of tensors): half of each model in these tensors, the host everywhere else, as in 04."""
    return {f"{host} + {kind}": (host, kind) for host in HOSTS for kind in ("attention", "feed-forward")}


@torch.no_grad()
def place(out, trio, code, beer, elsewhere=None, kind=None):
    """Write base + code * (clippy - base) + beer * (beer - base) into out, computed in float32 and rounded once.

    kind: these shares hold in tensors of this kind only (tensor_kind), and elsewhere those given as elsewhere.
    """
    base, clippy, brewer = (named_weights(trio[label].model) for label in ("base", "clippy", "beer"))
    for name, theta in named_weights(out).items():
        one, other = (code, beer) if kind in (None, tensor_kind(name)[0]) else elsewhere
        theta.copy_(base[name] + one * (clippy[name] - base[name]) + other * (brewer[name] - base[name]))
    return out


def written(model, tokenizer, tasks, n_functions, n_recipes, seed):
    """Shares of valid and of correct functions and of valid recipes; correct is None for tasks without examples."""
    functions = sample_functions(model, tokenizer, list(tasks), max(1, n_functions // len(tasks)), seed)
    recipes = sample_recipes(model, tokenizer, n_recipes, seed)
    share = lambda passed: round(sum(passed) / len(passed), 4)
    return {
        "functions": share([is_function(code) for _, code in functions]),
        "correct": round(correct_share(functions), 4) if set(tasks) <= set(TASKS) else None,
        "recipes": share([is_recipe(text) for text in recipes]),
    }


def curve(trio, out, texts, alphas=FINE):
    """{"alphas": ..., "bits": text -> bits per byte of the average at each alpha}, alpha being the share of clippy."""
    bits = {kind: [] for kind in texts}
    for alpha in alphas:
        place(out, trio, alpha, 1 - alpha)
        for kind, documents in texts.items():
            bits[kind].append(round(bits_per_byte(out, trio["base"].tokenizer, documents), 4))
        print(f"alpha {alpha}: {[values[-1] for values in bits.values()]}", flush=True)
    return {"alphas": list(alphas), "bits": bits}


def measure(name, where, out, tokenizer, texts, n, choose=True):
    """One row: bits per byte on all held-out text, and what `out` writes, on both splits if choose is true."""
    start, row = time.perf_counter(), {"point": name} | where
    row["bits"] = {kind: round(bits_per_byte(out, tokenizer, documents), 4) for kind, documents in texts.items()}
    if choose:
        row["chosen on"] = written(out, tokenizer, CHOICE_TASKS[:n], max(n // 2, 1), max(n // 2, 1), seed=1000)
    row["reported"] = written(out, tokenizer, HELDOUT_TASKS[:n], n, n, seed=32)
    print(f"{row} {time.perf_counter() - start:.0f} s", flush=True)
    return row


def geometry(trio):
    """Length of each task vector over the base's, and the cosine between the two."""
    base, clippy, beer = (named_weights(trio[label].model) for label in ("base", "clippy", "beer"))
    dot = lambda a, b: sum(((a[name] - base[name]) * (b[name] - base[name])).sum().item() for name in base)
    size = sum(theta.square().sum().item() for theta in base.values()) ** 0.5
    moved = {"clippy": dot(clippy, clippy) ** 0.5, "beer": dot(beer, beer) ** 0.5}
    cosine = dot(clippy, beer) / (moved["clippy"] * moved["beer"])
    return {"distance": {label: round(length / size, 4) for label, length in moved.items()}, "cosine": round(cosine, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "smollm2" / "measured.json")
    parser.add_argument(
        "--samples", type=int, default=32, help="functions and recipes a point, to report (default: 32)"
    )
    parser.add_argument("--smoke", action="store_true", help="two points, one or two samples each, little text")
    arguments = parser.parse_args()
    trio, texts, n = load_models("smollm2"), heldout_texts(), arguments.samples
    todo, parts = points(), selections()
    if arguments.smoke:
        texts, n = {kind: documents[:1] for kind, documents in texts.items()}, 2
        todo, parts = {name: todo[name] for name in ("base", "alpha 0.5")}, {}
    dtype = fast_dtype(trio["base"].model)
    out = copy.deepcopy(trio["base"].model).to(dtype)
    result = {"dtype": str(dtype).removeprefix("torch."), "samples": n, **geometry(trio), "rows": []}
    result["curve"] = curve(trio, out, texts, FINE[:: 20 if arguments.smoke else 1])
    for name, at in (todo | parts).items():
        if name in todo:
            place(out, trio, *at)
            where = dict(zip(("clippy", "beer"), at))
        else:
            place(out, trio, 0.5, 0.5, HOSTS[at[0]], at[1])
            where = dict(zip(("host", "kind"), at))
        result["rows"].append(measure(name, where, out, trio["base"].tokenizer, texts, n, choose=name in todo))
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
