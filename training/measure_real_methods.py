"""Measure the methods of notebooks 08 and 09 on SmolLM2 by what merges do, and write models/smollm2/methods.json.

    python -m training.measure_real_methods                  an hour on one core
    python -m training.measure_real_methods --only TIES      one method; all other numbers stay
    python -m training.measure_real_methods --smoke --out F  one method, one value, few tasks, as a test

Each method has one knob. Of its values the one is taken whose merge keeps most of both skills on the tasks and styles
for choosing (best_of_both), as the average's alpha was. What is reported are other tasks and other styles, see
training/measure_smollm2.py, and the gains kept: bits of held-out solutions and recipes. RegMean reads tasks with
solutions that clippy learned from, and recipes. Where chance plays, there are three seeds.
"""

import argparse
import json
from pathlib import Path

import torch

from helpers import heldout_texts, load_models
from lessons.measured import averages, best_of_both, measured_smollm2
from merging.load.device import quick
from merging.measure.bits import gain_kept
from merging.measure.passes.skill import skill_tasks
from merging.measure.texts import calibration_texts
from merging.paths import ROOT
from training.families import read_families, split
from training.measure_methods import CHANCE, KNOBS, SEEDS, merges, rounded
from training.measure_smollm2 import ANSWERS, RECIPES, passes_of, recipes_of, style_names
from training.measure_three import answer_bits, solved

DEAR = ("Iso-C", "Fisher", "learned lambdas", "steps from the average", "steps from base")  # too dear for 135 million
METHODS = {name: (knob, values[::2]) for name, (knob, values) in KNOBS.items() if name not in DEAR}
METHODS["average"] = KNOBS["average"]


def gains_on_answers(base, specialists, tokenizer, tasks):
    """A function of a model that gives the gains it keeps on solutions and on held-out recipes: (clippy's, beer's)."""
    answers = {
        "clippy": solved(tasks),
        "beer": [("", recipe) for recipe in heldout_texts()["beer"]],
    }
    bits = lambda model, name: answer_bits(model, tokenizer, answers[name])
    ends = {name: (bits(base, name), bits(model, name)) for name, model in specialists.items()}
    return rounded(lambda model: [gain_kept(*ends[name], bits(model, name)) for name in ends])


def chosen_by(model, tokenizer, every):
    """What a merge does with the tasks and the styles for choosing, in the form of measure_smollm2's rows."""
    right = passes_of(model, tokenizer, skill_tasks("choose")[::every], 2)
    return {
        "choose": {"solved": right, "recipes": recipes_of(model, tokenizer, style_names("choose")[::every], 1, 1000)}
    }


def reported(model, tokenizer, kept, every):
    """What a merge keeps, solves and writes, in the form of measure_smollm2's rows."""
    solved_by = {part: passes_of(model, tokenizer, skill_tasks(part)[::every], ANSWERS) for part in ("A", "B")}
    written = recipes_of(model, tokenizer, style_names("report")[::every], RECIPES)
    return {"kept": kept(model), "n": ANSWERS, "solved": solved_by, "recipes": written}


def measure(merge, knob, values, tokenizer, kept, seeds, every=1):
    """One method: {"knob", "grid": a row for each value, "value": the chosen one, "runs": a row for each seed}."""
    grid = [{"value": value} | chosen_by(quick(merge(value, 0)), tokenizer, every) for value in values]
    beer, *_, clippy = averages(measured_smollm2()["rows"])
    best = best_of_both(grid, clippy, beer)["value"]
    runs = [reported(quick(merge(best, seed)), tokenizer, kept, every) for seed in seeds]
    return {"knob": knob, "grid": grid, "value": best, "runs": runs}


def write(path, found):
    """One method a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "smollm2" / "methods.json")
    parser.add_argument(
        "--only", nargs="*", choices=tuple(METHODS), help="these methods; what is stored of others stays"
    )
    parser.add_argument("--smoke", action="store_true", help="one value of RegMean, one task in forty")
    arguments = parser.parse_args()
    loaded, every = load_models("smollm2"), 40 if arguments.smoke else 1
    base, clippy, beer = (loaded[label].model for label in ("base", "clippy", "beer"))
    tokenizer = loaded["base"].tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    training, held_out = split(read_families())
    fit = {"code": ["".join(pair) for pair in solved(training[::10])], "beer": calibration_texts("fit")["beer"]}
    merge = merges(base, [clippy, beer], fit, tokenizer)
    kept = gains_on_answers(base, {"clippy": clippy, "beer": beer}, tokenizer, (held_out["A"] + held_out["B"])[::every])
    found = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    for name in ["RegMean"] if arguments.smoke else arguments.only or METHODS:
        knob, values = METHODS[name]
        seeds = SEEDS if name in CHANCE else SEEDS[:1]
        found[name] = measure(
            merge[name], knob, values[: 1 if arguments.smoke else None], tokenizer, kept, seeds, every
        )
        print(name, found[name], flush=True)
        write(arguments.out, {each: found[each] for each in METHODS if each in found})


if __name__ == "__main__":
    main()
