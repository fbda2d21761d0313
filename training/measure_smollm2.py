"""Measure what the real trio and its merges can do, and write models/smollm2/measured.json, which notebook 06 draws.

    python -m training.measure_smollm2                     all of it (see the card for the time it takes)
    python -m training.measure_smollm2 --part 0/2 --out A  every second point; then --join A B
    python -m training.measure_smollm2 --smoke --out FILE  two points and few tasks, as a test

Points: base, asked in four ways; eleven averages (alpha is the share of clippy); a grid of task arithmetic; merges of
selected layers; the average of the two adapters' files. Each solves tasks that no training saw (A, B and C of
skill.skill_tasks), once more when they are asked in base's chat template, and writes recipes of 16 styles. The
averages, among which one is chosen, also solve the tasks for choosing and write recipes of the other 16 styles.
"""

import argparse
import copy
import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import load_file, save_file

from helpers import bits_per_byte, heldout_texts, is_recipe, load_models, named_weights, tensor_kind
from lessons.measured import measured_smollm2, pass_at_1, recipes, style
from merging.load.device import fast_dtype
from merging.load.loading import add_adapter
from merging.measure.passes.skill import ask, skill_tasks, solves
from merging.measure.rows import answers_to
from merging.measure.style import CHECKS, in_style, style_checks, style_prompt, styles
from merging.measure.valid import cannot_be_recipe
from merging.paths import ROOT

FOLDER = ROOT / "models" / "smollm2"
ALPHAS = [i / 10 for i in range(11)]
HOSTS = {"clippy": (1.0, 0.0), "beer": (0.0, 1.0)}
GRID = [(0.4, 0.8), (0.6, 0.6), (0.6, 0.8), (0.8, 0.8)]
CHOSEN = 0.4  # the alpha that best_of_both chooses among the averages
ADAPTERS = "average of the adapters"
SPLITS = ("A", "B", "C")
SURELY = ("base", "alpha 0.0", "alpha 0.5", "alpha 1.0")  # also solve the tasks at temperature 0
ANSWERS, RECIPES = 4, 2  # to each task, and of each style
TEMPERATURE = 0.2
RECIPE = 480  # tokens of a recipe behind its prompt; most have 330


def style_names(part):
    """The styles of a part, "report" (every second one, the article's among them) or "choose"."""
    return sorted(styles())[(sorted(styles()).index("Scottish Ale") + (part != "report")) % 2 :: 2]


def points():
    """name -> (share of clippy's task vector, share of beer's) of every point in the plane that is measured."""
    averages = {f"alpha {alpha}": (alpha, round(1 - alpha, 1)) for alpha in ALPHAS}
    sums = {f"task arithmetic {code} {beer}": (code, beer) for code, beer in GRID}
    return {"base": (0.0, 0.0)} | averages | sums


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


def average_adapters(trio, alpha):
    """Base with one adapter, whose tensors are alpha of clippy's and the rest of beer's: no average of the models."""
    clippy, beer = (load_file(FOLDER / label / "adapter_model.safetensors") for label in ("clippy", "beer"))
    with tempfile.TemporaryDirectory() as folder:
        mixed = {name: alpha * tensor + (1 - alpha) * beer[name] for name, tensor in clippy.items()}
        save_file(mixed, Path(folder, "adapter_model.safetensors"))
        shutil.copy(FOLDER / "clippy" / "adapter_config.json", folder)
        return add_adapter(ADAPTERS, folder, trio["base"]).model


def passes_of(model, tokenizer, tasks, n, temperature=TEMPERATURE, chat=False):
    """How many of a model's n answers to each task are right, as a text of one digit a task."""
    answers = ask(model, tokenizer, tasks, n, temperature, chat)
    return "".join(str(sum(solves(text, task) for text in texts)) for task, texts in zip(tasks, answers))


def recipes_of(model, tokenizer, names, n, seed=32):
    """Counts of n recipes of each style: "n", "valid", "in style"; "checks": how many of CHECKS each holds; "held".

    "elsewhere": the share of CHECKS that they would hold if they were of the other styles, which is what luck gives.
    """
    prompts = [style_prompt(name) for name in names]
    hopeless = lambda text: cannot_be_recipe(f"boil_size:{text}")
    answers = answers_to(model, tokenizer, prompts, n, TEMPERATURE, RECIPE, seed, hopeless)
    texts = [prompt + text for prompt, each in zip(prompts, answers) for text in each]
    each = [style_checks(text) for text in texts]
    held = {name: sum(checks[name] for checks in each) for name in CHECKS}
    counts = {"n": len(texts), "valid": sum(map(is_recipe, texts)), "in style": sum(map(in_style, texts))}
    checks = "".join(str(sum(checks.values())) for checks in each)
    return counts | {"checks": checks, "held": held, "elsewhere": round(fmean(map(elsewhere, texts)), 4)}


def elsewhere(recipe):
    """The share of CHECKS that a recipe would hold as one of the other styles, in the mean over these."""
    first, rest = recipe.split("\n", 1)
    others = (f"style: {name}\n{rest}" for name in styles() if first != f"style: {name}")
    return fmean(sum(style_checks(other).values()) / len(CHECKS) for other in others) if is_recipe(recipe) else 0.0


def skills(model, tokenizer, every, n, **how):
    """split -> passes_of the tasks of each split; every: take each so-manieth task."""
    return {split: passes_of(model, tokenizer, skill_tasks(split)[::every], n, **how) for split in SPLITS}


def curve(trio, out, texts, alphas=ALPHAS):
    """Bits per byte of the averages over alpha, the share of clippy: {"alphas", "bits": text -> a list, "base"}."""
    score = lambda: {kind: round(bits_per_byte(out, trio["base"].tokenizer, text), 4) for kind, text in texts.items()}
    base = score() if place(out, trio, 0.0, 0.0) else None
    found = [score() for alpha in alphas if place(out, trio, alpha, 1 - alpha)]
    return {"alphas": list(alphas), "bits": {kind: [each[kind] for each in found] for kind in texts}, "base": base}


def measure(name, where, out, tokenizer, every=1):
    """One row: what `out` solves and writes, and for the base and each end of the line also surely (temperature 0)."""
    start, row = time.perf_counter(), {"point": name} | where
    row["n"] = ANSWERS
    row["solved"] = skills(out, tokenizer, every, ANSWERS)
    row["chat"] = skills(out, tokenizer, every, 1, temperature=0.0, chat=True)
    row["recipes"] = recipes_of(out, tokenizer, style_names("report")[::every], RECIPES)
    if name == "base":
        row["chat sampled"] = skills(out, tokenizer, every, ANSWERS, chat=True)
    if name in SURELY:
        row["solved surely"] = skills(out, tokenizer, every, 1, temperature=0.0)
    if name.startswith("alpha"):
        row["choose"] = {
            "solved": passes_of(out, tokenizer, skill_tasks("choose")[::every], 2),
            "recipes": recipes_of(out, tokenizer, style_names("choose")[::every], 1, seed=1000),
        }
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


def write(path, result):
    """Write what is measured so far, one row a line."""
    rows = ",\n".join(json.dumps(row) for row in result["rows"])
    head = json.dumps({key: value for key, value in result.items() if key != "rows"})
    path.write_text(f'{head[:-1]}, "rows": [\n{rows}\n]}}\n', encoding="utf-8")


def join(paths):
    """The parts as one result, with the rows in the order of points() and selections(), and the adapters' last."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    order = [*points(), *selections(), ADAPTERS]
    whole = {key: value for part in parts for key, value in part.items()}
    return whole | {
        "rows": sorted((row for part in parts for row in part["rows"]), key=lambda r: order.index(r["point"]))
    }


def table(rows):
    """The card's table, in Markdown."""
    say = lambda share, low, high: f"{share:.2f} [{low:.2f}, {high:.2f}]"
    header = "point | A and B | A | B | C | style checks | valid recipes | in its template, A and B".split(" | ")
    lines = [header, [":--", *["--:"] * (len(header) - 1)]]
    for row in rows:
        asked = [key for key in ("solved", "solved surely", "chat sampled") if key in row]
        for way in asked:
            words = {"solved": "", "solved surely": ", temperature 0", "chat sampled": ", in its chat template"}[way]
            solved = [say(*pass_at_1(row, splits, way)) for splits in (("A", "B"), "A", "B", "C")]
            chat = say(*pass_at_1(row, asked="chat")) if "chat" in row else ""
            others = [say(*style(row)), say(*recipes(row)), chat]
            lines.append([row["point"] + words, *solved, *(others if way == "solved" else ["", "", ""])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER / "measured.json")
    parser.add_argument("--part", default="0/1", help="which of how many parts of the points (default: 0/1, all)")
    parser.add_argument("--only", nargs="*", help="these points instead; without any, the curve alone")
    parser.add_argument("--join", type=Path, nargs="*", help="put parts together instead")
    parser.add_argument("--smoke", action="store_true", help="two points, few tasks, little text")
    parser.add_argument("--table", action="store_true", help="print what is stored as the card's table instead")
    arguments = parser.parse_args()
    if arguments.table:
        return print(table(measured_smollm2()["rows"]))
    if arguments.join:
        return write(arguments.out, join(arguments.join))
    part, parts = map(int, arguments.part.split("/"))
    trio, texts, every = load_models("smollm2"), heldout_texts(), 1
    todo = points() | selections() | {ADAPTERS: CHOSEN}
    if arguments.smoke:
        texts, every = {kind: documents[:1] for kind, documents in texts.items()}, 40
        todo = {name: todo[name] for name in ("base", "alpha 0.5")}
    dtype = fast_dtype(trio["base"].model)
    out = copy.deepcopy(trio["base"].model).to(dtype)
    result = {"dtype": str(dtype).removeprefix("torch."), **geometry(trio), "rows": []}
    mine = list(todo)[part::parts] if arguments.only is None else arguments.only
    for name, at in ((name, todo[name]) for name in mine):
        if name in points():
            model, where = place(out, trio, *at), dict(zip(("clippy", "beer"), at))
        elif name in selections():
            model, where = place(out, trio, 0.5, 0.5, HOSTS[at[0]], at[1]), dict(zip(("host", "kind"), at))
        else:
            model, where = average_adapters(trio, at).to(dtype), {"adapters": at}
        result["rows"].append(measure(name, where, model, trio["base"].tokenizer, every))
        write(arguments.out, result)
    if part == parts - 1 and not arguments.only:
        result["curve"] = curve(trio, out, texts, ALPHAS[:: 10 if arguments.smoke else 1])
        write(arguments.out, result)


if __name__ == "__main__":
    main()
