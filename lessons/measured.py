"""What was measured beforehand and stored as JSON: methods of merging, how near a merge is to an ensemble, and what
merges of the real model can do.
"""

import json

from merging.measure.counts import mean_interval, wilson
from merging.paths import ROOT


def measured_methods():
    """What training/measure_methods.py stored of the tiny trio: "samples", "grid", "table".

    Its "rivals" are training/multitask.py's.
    """
    return stored("methods.json")


def real_methods():
    """method -> a row as in measured_smollm2's, of SmolLM2: each method's merge at its chosen "value" of its "knob".

    training/measure_real_methods.py stored them. "kept" are its gains, a pair for each seed.
    """
    pick = lambda method: {"knob": method["knob"], "value": method["value"]} | pooled(method["runs"])
    return {name: pick(method) for name, method in stored("smollm2/methods.json").items()}


def pooled(runs):
    """The answers and recipes of several runs as those of one row, and "kept", a pair for each run."""
    splits = {
        split: [sum(map(int, right)) for right in zip(*(run["solved"][split] for run in runs))]
        for split in runs[0]["solved"]
    }
    counts = {key: sum(run["recipes"][key] for run in runs) for key in ("n", "valid", "in style")}
    written = counts | {"checks": "".join(run["recipes"]["checks"] for run in runs)}
    return {"n": sum(run["n"] for run in runs), "solved": splits, "recipes": written, "kept": [r["kept"] for r in runs]}


def measured_ensembles(family):
    """What training/measure_ensembles.py stored of a family (see merge_vs_ensemble), or None."""
    return stored("ensembles.json").get(family)


def stored(name):
    """What a JSON file of models/ holds; an empty dict if it is not there."""
    file = ROOT / "models" / name
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def measured_smollm2():
    """What training/measure_smollm2.py stored: "dtype", "distance", "cosine", "curve", and "rows"."""
    return json.loads((ROOT / "models" / "smollm2" / "measured.json").read_text(encoding="utf-8"))


def averages(rows):
    """The rows that are averages of clippy and beer, from alpha = 0 to 1."""
    return sorted((row for row in rows if row["point"].startswith("alpha ")), key=lambda row: row["clippy"])


def shares(row, splits=("A", "B"), asked="solved"):
    """A number for each task of the splits: the share of a row's answers to it that are right.

    asked: "solved" (the article's prompt, row["n"] answers at temperature 0.2), "solved surely" (one, at 0), "chat" (in
    the base's chat template, one, at 0) or "chat sampled" (row["n"], at 0.2).
    """
    n = row["n"] if asked in ("solved", "chat sampled") else 1
    return [int(right) / n for split in splits for right in row[asked][split]]


def pass_at_1(row, splits=("A", "B"), asked="solved"):
    """(share, low, high) of right answers, with a 95 % interval over tasks; see shares."""
    return mean_interval(shares(row, splits, asked))


def difference(row, other, splits=("A", "B"), asked="solved", other_asked=None):
    """(difference, low, high) of two rows' shares of right answers, paired by task, with its 95 % interval."""
    pairs = zip(shares(row, splits, asked), shares(other, splits, other_asked or asked), strict=True)
    return mean_interval([one - two for one, two in pairs])


def recipes(row, what="valid"):
    """(share, low, high) of a row's recipes that are "valid" or wholly "in style", with Wilson's 95 % interval."""
    counts = row["recipes"]
    return counts[what] / counts["n"], *wilson(counts[what], counts["n"])


def style(row):
    """(share, low, high) of the checks of style that a row's recipes hold, with a 95 % interval over recipes."""
    return mean_interval([int(held) / 4 for held in row["recipes"]["checks"]])


def best_of_both(rows, clippy, beer):
    """The row that keeps most of both skills: the lower of the two parts kept, on the tasks for choosing."""
    right = lambda row: sum(map(int, row["choose"]["solved"]))
    held = lambda row: sum(map(int, row["choose"]["recipes"]["checks"]))
    return max(rows, key=lambda row: min(right(row) / right(clippy), held(row) / held(beer)))
