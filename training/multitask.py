"""Train the rival of every merge, one tiny model on both mixes at once, and measure it into models/methods.json.

    python -m training.multitask                    both budgets
    python -m training.multitask --smoke --out F    two steps of each on a fraction of the data, as a test

A row of a batch comes from clippy's mix or from beer's as often as their finetunes had rows: with as many steps as both
together, every source is seen as often as by the specialists. The weights are not kept: only their numbers are shown.
"""

import argparse
import copy
import json
from pathlib import Path
from unittest import mock

from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

from merging.load.loading import load_models
from merging.measure.bits import keeper
from merging.measure.texts import heldout_texts
from merging.paths import ROOT
from training import train
from training.measure_methods import as_text, rounded, row, sampled

(CLIPPY,), (BEER,) = train.STAGES["clippy"], train.STAGES["beer"]
BOTH = CLIPPY["steps"] + BEER["steps"]
BUDGETS = {"both tasks, all steps": BOTH, "both tasks, half the steps": BOTH // 2}


def joint_mix():
    """The share of each source in rows that are drawn from the two mixes in proportion to their steps."""
    parts = [(phase["steps"] / BOTH, phase["mix"]) for phase in (CLIPPY, BEER)]
    names = dict.fromkeys(name for _, mix in parts for name in mix)
    return {name: sum(share * mix.get(name, 0) for share, mix in parts) for name in names}


def finetune_on_both(base, streams, name, steps):
    """A copy of base after so many steps on both mixes at once."""
    phase = CLIPPY | {"mix": joint_mix(), "steps": steps, "seed": 8}
    with mock.patch.object(GPTNeoSelfAttention, "_attn", train.fast_attention):  # which cannot write token by token
        return train.train(copy.deepcopy(base), streams, name=name, **phase)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "methods.json")
    parser.add_argument("--smoke", action="store_true", help="two steps a run, few samples, as a test")
    arguments = parser.parse_args()
    base, clippy, beer = load_models("tiny", device="cpu").values()
    tokenizer, specialists = base.tokenizer, {"code": clippy.model, "beer": beer.model}
    kept = rounded(keeper(base.model, specialists, tokenizer, heldout_texts()))
    functions, recipes = (1, 2) if arguments.smoke else (2, 16)
    texts = train.corpora(scale=0.002 if arguments.smoke else 1.0)
    streams = {name: train.Stream(documents, tokenizer) for name, documents in texts.items()}
    known = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    rivals = known.setdefault("rivals", {})
    for name, steps in BUDGETS.items():
        model = finetune_on_both(base.model, streams, name, 2 if arguments.smoke else steps)
        sample = lambda model, seed: sampled(model, tokenizer, functions, recipes, seed)
        rivals[name] = {"value": steps} | row([model], kept, sample)
        print(name, rivals[name], flush=True)
        arguments.out.write_text(as_text(known), encoding="utf-8")


if __name__ == "__main__":
    main()
