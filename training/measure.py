"""Print the tables of the model card: bits per byte and valid samples for the trio and its merges.

python -m training.measure                  the shipped trio
python -m training.measure --folder DIR     another one (DIR/base, DIR/clippy, DIR/beer)
"""

import argparse
from pathlib import Path

import helpers
from merging.measure.counts import count_in_words
from merging.measure.text import prompt_of
from merging.paths import ROOT
from training.functions import HELDOUT_TASKS

ALPHAS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
PROMPTS = [prompt_of(task) for task in HELDOUT_TASKS]


def row(name, model, tokenizer, texts, samples):
    """One line of the table: bits per byte on each text, valid recipes and functions with their intervals."""
    bits = {text: helpers.bits_per_byte(model, tokenizer, documents) for text, documents in texts.items()}
    line = f"| {name} | " + " | ".join(f"{value:.3f}" for value in bits.values())
    if samples:
        recipes = helpers.valid_share(model, tokenizer, [helpers.BEER_PROMPT], samples, helpers.is_recipe)
        each = samples // len(PROMPTS)
        functions = helpers.valid_share(model, tokenizer, PROMPTS, each, helpers.is_function)
        line += f" | {count_in_words(round(recipes * samples), samples)}"
        line += f" | {count_in_words(round(functions * each * len(PROMPTS)), each * len(PROMPTS))}"
    return bits, line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "models" / "tiny")
    parser.add_argument("--samples", type=int, default=32, help="sampled texts of each kind; 0 for none (default: 32)")
    arguments = parser.parse_args()
    trio = helpers.load_models({label: arguments.folder / label for label in ("base", "clippy", "beer")})
    texts = helpers.heldout_texts()
    print(
        "| model | "
        + " | ".join(texts)
        + (" | valid recipes | valid functions" if arguments.samples else "")
        + " | clippy's gain kept | beer's gain kept |"
    )
    scores = {}
    for label, (model, tokenizer) in trio.items():
        scores[label], line = row(label, model, tokenizer, texts, arguments.samples)
        print(line + " | | |", flush=True)
    base, clippy, beer = (trio[label].model for label in trio)
    merges = {f"alpha {alpha}": [0, alpha, 1 - alpha] for alpha in ALPHAS[1:-1]} | {"uniform soup": None}
    for name, weights in merges.items():
        merged = helpers.average_models([base, clippy, beer], weights)
        bits, line = row(name, merged, trio["base"].tokenizer, texts, arguments.samples)
        kept = [
            helpers.gain_kept(scores["base"][text], scores[label][text], bits[text])
            for label, text in (("clippy", "code"), ("beer", "beer"))
        ]
        print(f"{line} | {kept[0]:.2f} | {kept[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
