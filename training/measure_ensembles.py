"""Measure how near a family's merges are to ensembles of logits over the size of the step: models/ensembles.json.

    python -m training.measure_ensembles                  smollm2 (some minutes on two cores)
    python -m training.measure_ensembles --family NAME    another family; the others' numbers stay
    python -m training.measure_ensembles --smoke --out F  tiny, one step, one document of each text, as a test

Notebook 07 computes the same of tiny, on the same texts (every fourth held-out document), and draws both.
"""

import argparse
import json
from pathlib import Path

from merging.load.loading import FAMILIES, load_models
from merging.measure.ensembles import merge_vs_ensemble
from merging.measure.texts import heldout_texts
from merging.paths import ROOT

STEPS = [0.5, 1.0, 1.5]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=list(FAMILIES), default="smollm2")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "ensembles.json")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    family = "tiny" if arguments.smoke else arguments.family
    models = load_models(family)
    every = 100 if arguments.smoke else 4
    texts = {kind: documents[::every] for kind, documents in heldout_texts().items()}
    trio = [models[label].model for label in ("base", "clippy", "beer")]
    found = merge_vs_ensemble(trio, models["base"].tokenizer, texts, STEPS[:1] if arguments.smoke else STEPS)
    for what in ("merge", "parents"):
        found[what] = {kind: [float(f"{bits:.4g}") for bits in values] for kind, values in found[what].items()}
    stored = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in (stored | {family: found}).items()]
    arguments.out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
