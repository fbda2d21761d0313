"""Finetune beer further away from base than the shipped one, and measure its merges with clippy; writes further.json.

    python -m training.further                  every run (about 50 minutes on two cores)
    python -m training.further --smoke --out F  two steps of each run and three alphas, as a test

The curves are shipped, the models are not: notebook 07 draws them.
"""

import argparse
import copy
import json
from pathlib import Path

from transformers.models.gpt_neo import modeling_gpt_neo

import helpers
from merging.paths import ROOT
from training import train

ALPHAS = [i / 10 for i in range(11)]
RUNS = [  # name, what differs from the shipped beer, seeds
    ("ten times the learning rate", {"lr": 1e-2}, (3, 5, 6)),
    ("as shipped", {}, (3, 5, 6)),
    ("four times the steps", {"steps": 1400}, (3,)),
]


def distance(model, base):
    """Euclidean length of the task vector over that of base's weights."""
    theta = helpers.named_weights(base)
    squares = [
        ((tensor - theta[name]).pow(2).sum(), theta[name].pow(2).sum())
        for name, tensor in helpers.named_weights(model).items()
    ]
    return float(sum(moved for moved, _ in squares) / sum(size for _, size in squares)) ** 0.5


def measure(name, phase, streams, alphas):
    """Train one beer and sweep alpha (share of clippy) over its merges with clippy; alpha 0 is the beer itself."""
    trio, texts = helpers.load_models("tiny", device="cpu"), helpers.heldout_texts()
    base, clippy, tokenizer = trio["base"].model, trio["clippy"].model, trio["base"].tokenizer
    beer = train.train(copy.deepcopy(base), streams, name=name, **phase)
    merges = [helpers.merge_models(clippy, beer, alpha) for alpha in alphas]
    bits = {
        kind: [round(helpers.bits_per_byte(model, tokenizer, documents), 4) for model in merges]
        for kind, documents in texts.items()
    }
    return {
        "run": name,
        "lr": phase["lr"],
        "steps": phase["steps"],
        "seed": phase["seed"],
        "distance": round(distance(beer, base), 4),
        "alphas": alphas,
        "bits": bits,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "further.json")
    parser.add_argument(
        "--smoke", action="store_true", help="two steps and three alphas a run, on a fraction of the data"
    )
    arguments = parser.parse_args()
    modeling_gpt_neo.GPTNeoSelfAttention._attn = train.fast_attention
    tokenizer = helpers.load_models("tiny")["base"].tokenizer
    texts = train.corpora(scale=0.002 if arguments.smoke else 1.0)
    (phase,) = train.STAGES["beer"]
    streams = {name: train.Stream(texts[name], tokenizer) for name in phase["mix"]}
    done = []
    for name, changes, seeds in RUNS:
        for seed in seeds[:1] if arguments.smoke else seeds:
            settings = phase | changes | {"seed": seed} | (train.SMOKE if arguments.smoke else {})
            done.append(measure(name, settings, streams, ALPHAS[::5] if arguments.smoke else ALPHAS))
            arguments.out.write_text("[\n" + ",\n".join(json.dumps(run) for run in done) + "\n]\n")


if __name__ == "__main__":
    main()
