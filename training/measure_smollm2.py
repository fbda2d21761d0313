"""Measure the real trio and its merges and write models/smollm2/measured.json, which notebook 06 draws.

    python -m training.measure_smollm2                     all of it (see the log for the time it takes)
    python -m training.measure_smollm2 --smoke --out FILE  two points, two samples each, as a test

Points: eleven averages (alpha is the share of clippy), a grid of task arithmetic, base. Every point is measured twice:
on tasks and seeds for choosing, and on the held-out tasks with other seeds for reporting.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch

from helpers import bits_per_byte, heldout_texts, is_function, is_recipe, load_models, merge_tensors
from merging.loading import ROOT
from merging.sandbox import correct_share
from merging.scoring import sample_functions, sample_recipes
from merging.text import fast_dtype
from training.functions import HELDOUT_TASKS

ALPHAS = [i / 10 for i in range(11)]
GRID = [(code, beer) for code in (0.4, 0.6, 0.8, 1.0) for beer in (0.6, 0.8, 1.0)]
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
    """name -> (share of clippy's task vector, share of beer's) of every point that is measured."""
    averages = {f"alpha {alpha}": (alpha, round(1 - alpha, 1)) for alpha in ALPHAS}
    sums = {f"task arithmetic {code} {beer}": (code, beer) for code, beer in GRID}
    return {"base": (0.0, 0.0)} | averages | {name: at for name, at in sums.items() if at not in averages.values()}


@torch.no_grad()
def place(out, trio, code, beer):
    """Write base + code * (clippy - base) + beer * (beer - base) into out, computed in float32 and rounded once."""
    base, clippy, brewer = (merge_tensors(trio[label].model) for label in ("base", "clippy", "beer"))
    for name, theta in merge_tensors(out).items():
        theta.copy_(base[name] + code * (clippy[name] - base[name]) + beer * (brewer[name] - base[name]))
    return out


def written(model, tokenizer, tasks, n_functions, n_recipes, seed):
    """Shares of valid and of correct functions and of valid recipes; correct is None for tasks without examples."""
    functions = sample_functions(model, tokenizer, list(tasks), n_functions // len(tasks), seed)
    recipes = sample_recipes(model, tokenizer, n_recipes, seed)
    share = lambda passed: round(sum(passed) / len(passed), 4)
    return {
        "functions": share([is_function(code) for _, code in functions]),
        "correct": round(correct_share(functions), 4) if tasks is HELDOUT_TASKS else None,
        "recipes": share([is_recipe(text) for text in recipes]),
    }


def measure(name, at, trio, out, texts, n):
    """One row: bits per byte on all held-out text, and what the model writes on both splits."""
    start, tokenizer = time.perf_counter(), trio["base"].tokenizer
    place(out, trio, *at)
    row = {"point": name, "clippy": at[0], "beer": at[1]}
    row["bits"] = {kind: round(bits_per_byte(out, tokenizer, documents), 4) for kind, documents in texts.items()}
    row["chosen on"] = written(out, tokenizer, CHOICE_TASKS, max(n // 2, 8), max(n // 2, 2), seed=1000)
    row["reported"] = written(out, tokenizer, HELDOUT_TASKS, max(n, 16), n, seed=32)
    print(f"{name}: {row['bits']} {row['chosen on']} {row['reported']} {time.perf_counter() - start:.0f} s", flush=True)
    return row


def geometry(trio):
    """Length of each task vector over the base's, and the cosine between the two."""
    base, clippy, beer = (merge_tensors(trio[label].model) for label in ("base", "clippy", "beer"))
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
    parser.add_argument("--smoke", action="store_true", help="two points, two samples each, little text")
    arguments = parser.parse_args()
    trio, texts, todo, n = load_models("smollm2"), heldout_texts(), points(), arguments.samples
    if arguments.smoke:
        texts, n = {kind: documents[:1] for kind, documents in texts.items()}, 2
        todo = {name: todo[name] for name in ("base", "alpha 0.5")}
    dtype = fast_dtype(trio["base"].model)
    out = copy.deepcopy(trio["base"].model).to(dtype)
    result = {"dtype": str(dtype).removeprefix("torch."), "samples": n, **geometry(trio), "rows": []}
    for name, at in todo.items():
        result["rows"].append(measure(name, at, trio, out, texts, n))
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
