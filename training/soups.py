"""Cook soups of one skill: checkpoints along one training of beer, and beers from other seeds; writes models/soups.

    python -m training.soups                     (25 minutes on two cores)
    python -m training.soups --smoke --out DIR   two steps each, on a fraction of the data, as a test

An ingredient is stored as its difference from the shipped beer, in float8 (e5m2): 1.5 MB, and bits per byte within
0.0003 of the trained model's. measured.json has what ingredients and soups score, and how many recipes are valid.
"""

import argparse
import copy
import json
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import load_file, save_file
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


def cooked(beer, file):
    """Beer plus a stored difference."""
    model, change = copy.deepcopy(beer), load_file(file)
    for name, tensor in named_weights(model).items():
        tensor.add_(change[name].float())
    return model


def score(model, tokenizer, texts, samples):
    """Bits per byte on each text, and how many of some sampled recipes are valid."""
    bits = {kind: round(bits_per_byte(model, tokenizer, documents), 4) for kind, documents in texts.items()}
    recipes = sample_recipes(model, tokenizer, samples, seed=1)
    return {"bits": bits, "recipes": sum(map(is_recipe, recipes))}


def measure(beer, cooled, tokenizer, out, samples):
    """What beer, its stored ingredients, their soups and beer cooled down score; cooled is None or a model."""
    files = sorted(out.glob("*.safetensors"), key=lambda file: (len(file.stem), file.stem))
    models = {"beer": beer} | {file.stem: cooked(beer, file) for file in files}
    steps, seeds = ([model for name, model in models.items() if name.startswith(kind)] for kind in ("step", "seed"))
    models |= {"average of the steps": average_models(steps), "soup of the seeds": average_models([beer, *seeds])}
    models |= {"cooled": cooled} if cooled else {}
    texts = heldout_texts()
    rows = {name: score(model, tokenizer, texts, samples) for name, model in models.items()}
    lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()]
    text = f'{{"samples": {samples}, "rows": {{\n' + ",\n".join(lines) + "\n}}\n"
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
    few = {"steps": 2} if arguments.smoke else {}
    further = phase | {"steps": LAST, "seed": 8} | few
    with mock.patch.object(GPTNeoSelfAttention, "_attn", train.fast_attention):
        ingredients = checkpoints(beer, streams, further, every=1 if arguments.smoke else EVERY)
        for seed in SEEDS:
            settings = phase | {"seed": seed} | few
            ingredients[f"seed-{seed}"] = train.train(copy.deepcopy(base), streams, name=f"seed {seed}", **settings)
        cooled = train.train(copy.deepcopy(beer), streams, name="cooled", **further)
    store(ingredients, beer, arguments.out)
    measure(beer, cooled, tokenizer, arguments.out, samples=2 if arguments.smoke else SAMPLES)


if __name__ == "__main__":
    main()
