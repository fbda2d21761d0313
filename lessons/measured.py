"""What was measured beforehand and stored as JSON: methods of merging, how near a merge is to an ensemble, and what
merges of the real model write.
"""

import json

from merging.paths import ROOT


def measured_methods(family):
    """What training/measure_methods.py stored of a family, or None: "samples", "kept on", "grid" and "table".

    "rivals" of tiny are training/multitask.py's.
    """
    return stored("methods.json").get(family)


def measured_ensembles(family):
    """What training/measure_ensembles.py stored of a family (see merge_vs_ensemble), or None."""
    return stored("ensembles.json").get(family)


def stored(name):
    """What a JSON file of models/ holds; an empty dict if it is not there."""
    file = ROOT / "models" / name
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def measured_smollm2():
    """What training/measure_smollm2.py stored: "dtype", "samples", "distance", "cosine", "curve", and "rows"."""
    return json.loads((ROOT / "models" / "smollm2" / "measured.json").read_text(encoding="utf-8"))


def best_of_both(rows):
    """The row whose lower share, of valid functions and of valid recipes, is highest on the samples for choosing."""
    return max(rows, key=lambda row: min(row["chosen on"]["functions"], row["chosen on"]["recipes"]))
