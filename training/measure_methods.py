"""Measure every method of notebooks 08 and 09 on the tiny trio, and write models/methods.json.

    python -m training.measure_methods                    all of them
    python -m training.measure_methods --only TIES        one method; all other numbers stay
    python -m training.measure_methods --smoke --out F    four methods, one value of each knob, few samples, as a test

Each method has one knob. Its value is chosen on calibration text by the worse of the two gains kept; what is reported
are the gains kept on the held-out texts, and sampled functions and recipes. Where chance plays, there are three seeds.
training/measure_real_methods.py measures SmolLM2.
"""

import argparse
import functools
import json
import re
import statistics
from pathlib import Path

from merging.load.loading import load_models
from merging.measure.bits import keeper
from merging.measure.samples import sample_functions, sample_recipes
from merging.measure.texts import calibration_texts, heldout_texts
from merging.measure.valid import is_function, is_recipe
from merging.methods.batches import finetune, token_batches
from merging.methods.fisher import fisher, fisher_average
from merging.methods.lambdas import learn_lambdas, merge_lambdas
from merging.methods.mergekit import merge_with
from merging.methods.regmean import input_products, regmean
from merging.methods.spectral import isotropic
from merging.paths import ROOT
from training.functions import HELDOUT_TASKS

SEEDS = (0, 1, 2)
LAM = 0.6  # for DARE, which thins what task arithmetic adds
BEER = 0.8  # beer's lambda where each task vector has its own
ALPHAS, SIZES = [0.3, 0.4, 0.5, 0.6, 0.7], [3e-5, 1e-4, 3e-4, 1e-3]
KNOBS = {  # method -> its knob and the values tried; alpha is the share of clippy
    "average": ("alpha", ALPHAS),
    "SLERP": ("alpha", ALPHAS),
    "task arithmetic": ("lambda", [0.4, 0.5, 0.6, 0.7, 0.8, 1.0]),
    "two lambdas": (f"clippy's lambda, beer's {BEER}", [0.3, 0.4, 0.5, 0.6, 0.7]),
    "TIES": ("density", [0.1, 0.2, 0.35, 0.5, 0.8, 1.0]),
    "DARE": ("density", [0.2, 0.35, 0.5, 0.65, 0.8, 0.9]),
    "Iso-C": ("lambda", [0.4, 0.6, 0.8, 1.0, 1.2, 1.5]),
    "Fisher": ("alpha", ALPHAS),
    "RegMean": ("alpha", ALPHAS),
    "learned lambdas": ("step size", [0.005, 0.01, 0.02, 0.05]),
    "steps from the average": ("step size", SIZES),
    "steps from base": ("step size", SIZES),
}
CHANCE = ("DARE", "learned lambdas", "steps from the average", "steps from base")
SMOKE = ("average", "DARE", "RegMean", "learned lambdas")


def merges(base, pair, fit, tokenizer):
    """method -> function of the knob's value and a seed that gives a model."""
    code, beer = (token_batches(tokenizer, fit[kind]) for kind in ("code", "beer"))
    few = [token_batches(tokenizer, fit["code"], rows=4), token_batches(tokenizer, fit["beer"], rows=1)]
    of_both = functools.cache(lambda measure: [measure(model, text) for model, text in zip(pair, (code, beer))])
    half = merge_with("task_arithmetic", pair, base, lam=0.5)
    add = lambda weights: merge_with("task_arithmetic", pair, base, weights=weights)
    return {
        "average": lambda alpha, seed: add([alpha, 1 - alpha]),
        "SLERP": lambda alpha, seed: merge_with("slerp", pair, alpha=alpha),
        "task arithmetic": lambda lam, seed: add([lam, lam]),
        "two lambdas": lambda lam, seed: add([lam, BEER]),
        "TIES": lambda density, seed: merge_with("ties", pair, base, density=density),
        "DARE": lambda density, seed: merge_with("dare_linear", pair, base, lam=LAM, density=density, seed=seed),
        "Iso-C": lambda lam, seed: isotropic(pair, base, lam),
        "Fisher": lambda alpha, seed: fisher_average(pair, of_both(fisher), [alpha, 1 - alpha]),
        "RegMean": lambda alpha, seed: regmean(pair, of_both(input_products), [alpha, 1 - alpha]),
        "learned lambdas": lambda size, seed: merge_lambdas(
            base, pair, learn_lambdas(base, pair, few, lr=size, seed=seed)
        ),
        "steps from the average": lambda size, seed: finetune(half, few, lr=size, seed=seed),
        "steps from base": lambda size, seed: finetune(base, few, lr=size, seed=seed),
    }


def sampled(model, tokenizer, functions, recipes, seed=32):
    """[share of valid functions, share of valid recipes] of samples; functions: how many for each held-out task."""
    codes = [code for _, code in sample_functions(model, tokenizer, list(HELDOUT_TASKS), functions, seed)]
    texts = sample_recipes(model, tokenizer, recipes, seed)
    return [sum(map(is_function, codes)) / len(codes), sum(map(is_recipe, texts)) / len(texts)]


def measure(functions=2, recipes=16, knobs=KNOBS, seeds=SEEDS):
    """What each value of each knob gives, and the table of the chosen values."""
    loaded = load_models("tiny")
    base, *pair = (loaded[label].model for label in ("base", "clippy", "beer"))
    tokenizer, specialists = loaded["base"].tokenizer, dict(zip(("code", "beer"), pair))
    score = {
        name: rounded(keeper(base, specialists, tokenizer, text))
        for name, text in (("choose", calibration_texts("choose")), ("kept", heldout_texts()))
    }
    merge = merges(base, pair, calibration_texts("fit"), tokenizer)
    sample = lambda model, seed=32: sampled(model, tokenizer, functions, recipes, seed)
    grid, table = {}, {label: row([model], score["kept"], sample) for label, model in zip(("clippy", "beer"), pair)}
    for method, (knob, values) in knobs.items():
        models = (merge[method](value, 0) for value in values)
        points = [{name: kept(model) for name, kept in score.items()} | {"valid": sample(model)} for model in models]
        grid[method] = {"knob": knob, "values": values} | {
            name: [point[name] for point in points] for name in points[0]
        }
        best = values[max(range(len(values)), key=lambda i: min(points[i]["choose"]))]
        runs = (merge[method](best, seed) for seed in (seeds if method in CHANCE else seeds[:1]))
        table[method] = {"value": best} | row(runs, score["kept"], sample)
        print(method, table[method], flush=True)
    return {"samples": {"functions": functions * len(HELDOUT_TASKS), "recipes": recipes}, "grid": grid, "table": table}


def rounded(kept):
    """The function kept with its numbers rounded to four digits."""
    return lambda model: [round(share, 4) for share in kept(model)]


def row(models, kept, sample):
    """The gains kept by each model, and the shares of valid texts over all of them, sampled with other seeds."""
    gained, shares = zip(*[(kept(model), sample(model, 1000 * i)) for i, model in enumerate(models, 1)])
    return {"kept": gained, "valid": [round(statistics.mean(each), 4) for each in zip(*shares)]}


def laid_over(known, found):
    """The numbers with those that were measured anew in place of the old ones; all others stay."""
    in_order = lambda rows: {name: rows[name] for name in ("clippy", "beer", *KNOBS) if name in rows}
    both = {part: in_order(known.get(part, {}) | found[part]) for part in ("grid", "table")}
    return known | found | both


def as_text(found):
    """JSON in which each list of numbers has a line of its own."""
    return re.sub(r"\[[^\[\]{}]*\]", lambda numbers: " ".join(numbers[0].split()), json.dumps(found, indent=1)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(KNOBS), help="one method instead of all")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "methods.json")
    parser.add_argument("--smoke", action="store_true", help="the least of four methods")
    arguments = parser.parse_args()
    least = dict(functions=1, recipes=2, seeds=(0,))
    least |= dict(knobs={method: (knob, values[2:3]) for method, (knob, values) in KNOBS.items() if method in SMOKE})
    settings = least if arguments.smoke else {}
    if arguments.only:
        settings["knobs"] = {arguments.only: KNOBS[arguments.only]}
    known = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    arguments.out.write_text(as_text(laid_over(known, measure(**settings))), encoding="utf-8")


if __name__ == "__main__":
    main()
