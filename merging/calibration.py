"""Text to fit and to choose merges on, what a merge keeps of what its parents have gained, and what was measured so."""

import json

from merging.loading import ROOT
from merging.scoring import bits_per_byte, gain_kept
from merging.text import threads_for

PARTS = ("fit", "choose", "report")  # for methods that read text, for their knobs, and for what comes out


def calibration_texts(part):
    """The texts "code" and "beer" of one of PARTS, each a list of documents (see training/calibration.py)."""
    folder = ROOT / "models" / "calibration" / part
    read = lambda kind: (folder / f"{kind}.txt").read_text(encoding="utf-8").strip("\n").split("\n\n\n")
    return {kind: [document + "\n" for document in read(kind)] for kind in ("code", "beer")}


def keeper(base, specialists, tokenizer, texts):
    """A function of a model that gives the share of each specialist's gain over base that the model keeps.

    specialists: kind of text -> model; each gain is that on the specialist's own kind, see gain_kept. Raises ValueError
    if a specialist scores what base scores.
    """

    def bits(model, kind):
        with threads_for(model):
            return bits_per_byte(model, tokenizer, texts[kind])

    ends = {kind: (bits(base, kind), bits(model, kind)) for kind, model in specialists.items()}
    return lambda model: tuple(gain_kept(*ends[kind], bits(model, kind)) for kind in ends)


def measured_methods(family):
    """What training/measure_methods.py stored of a family, or None: "samples", "kept on", "grid" and "table"."""
    file = ROOT / "models" / "methods.json"
    return json.loads(file.read_text(encoding="utf-8")).get(family) if file.is_file() else None


def measured_smollm2():
    """What training/measure_smollm2.py stored: "dtype", "samples", "distance", "cosine", "curve", and "rows"."""
    return json.loads((ROOT / "models" / "smollm2" / "measured.json").read_text(encoding="utf-8"))


def best_of_both(rows):
    """The row whose lower share, of valid functions and of valid recipes, is highest on the samples for choosing."""
    return max(rows, key=lambda row: min(row["chosen on"]["functions"], row["chosen on"]["recipes"]))
