"""Cook soups of one skill: checkpoints along one training of beer, and beers from other seeds; writes models/soups.

    python -m training.soups                     (25 minutes on two cores)
    python -m training.soups --smoke --out DIR   two steps each, on a fraction of the data, as a test

An ingredient is stored as its difference from the shipped beer, in float8 (e5m2): 1.5 MB, and bits per byte within
0.002 of the trained model's. measured.json has what ingredients and soups score, and how many recipes are valid.
"""

import argparse
import copy
import json
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import save_file
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

from helpers import average_models, bits_per_byte, heldout_texts, is_recipe, load_models, named_weights
from merging.measure.samples import sample_recipes
from merging.paths import ROOT
from training import train

LAST, EVERY, SEEDS, SAMPLES = 100, 20, (5, 6), 96


def checkpoints(beer, streams, phase, every):
    """name -> model, saved along a training that goes on from beer at a constant rate."""
    kept = {}

    def keep(step, model):
        if step % every == 0:
            kept[f"step-{step}"] = copy.deepcopy(model).eval()

    train.train(copy.deepcopy(beer), streams, name="checkpoints", **phase, end=1, after=keep)
    return kept


def store(models, beer, out):
    """Write each model's difference from beer, as OUT/NAME.safetensors."""
    theta = named_weights(beer)
    for name, model in models.items():
        change = {key: (tensor - theta[key]).to(torch.float8_e5m2) for key, tensor in named_weights(model).items()}
        save_file(change, out / f"{name}.safetensors")


def measure(beer, ingredients, cooled, tokenizer, out, samples):
    """What beer, its ingredients as trained, their soups and beer cooled down score; writes OUT/measured.json.

    Bits per byte on each text, and how many of some sampled recipes are valid: of beer, of the last checkpoint and the
    average of all, of the seeds and their soup.
    """
    steps, seeds = ([name for name in ingredients if name.startswith(kind)] for kind in ("step-", "seed-"))
    average, soup = "average of the steps", "soup of the seeds"
    models = {"beer": beer, **ingredients, "cooled": cooled}
    models[average] = average_models([ingredients[name] for name in steps])
    models[soup] = average_models([beer, *[ingredients[name] for name in seeds]])
    texts, rows = heldout_texts(), []
    for name, model in models.items():
        row = {"bits": {kind: round(bits_per_byte(model, tokenizer, text), 4) for kind, text in texts.items()}}
        if name in ("beer", steps[-1], average, *seeds, soup):
            row["recipes"] = sum(map(is_recipe, sample_recipes(model, tokenizer, samples, seed=1)))
        rows.append(f"  {json.dumps(name)}: {json.dumps(row)}")
    text = f'{{"samples": {samples}, "rows": {{\n' + ",\n".join(rows) + "\n}}\n"
    (out / "measured.json").write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "soups")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    trio = load_models("tiny", device="cpu")
    base, beer, tokenizer = trio["base"].model, trio["beer"].model, trio["base"].tokenizer
    texts = train.corpora(scale=0.002 if arguments.smoke else 1.0)
    (phase,) = train.STAGES["beer"]
    streams = {name: train.Stream(texts[name], tokenizer) for name in phase["mix"]}
    few = train.SMOKE if arguments.smoke else {}
    further = phase | {"steps": LAST, "seed": 8} | few
    with mock.patch.object(GPTNeoSelfAttention, "_attn", train.fast_attention):
        ingredients = checkpoints(beer, streams, further, every=1 if arguments.smoke else EVERY)
        for seed in SEEDS:
            settings = phase | {"seed": seed} | few
            ingredients[f"seed-{seed}"] = train.train(copy.deepcopy(base), streams, name=f"seed {seed}", **settings)
        cooled = train.train(copy.deepcopy(beer), streams, name="cooled", **further)
    store(ingredients, beer, arguments.out)
    measure(beer, ingredients, cooled, tokenizer, arguments.out, samples=2 if arguments.smoke else SAMPLES)


if __name__ == "__main__":
    main()
