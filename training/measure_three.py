"""Measure what an average of one, two or three specialists of SmolLM2 keeps, and write models/smollm2/three.json.

    python -m training.measure_three    (40 minutes on one core)

Every set of the specialists is averaged with equal shares, and its task vectors are also added to base, each times LAM,
a value that was set beforehand. Each model reads the answers to held-out prompts (bits per byte of the answer) and
writes its own: functions that are run (A and B of skill.skill_tasks), recipes and configs. Base is also asked for
configs in its chat template, with two examples in the question.
"""

import argparse
import copy
import itertools
import json
import math
import random
from pathlib import Path

import torch

from helpers import heldout_texts, load_models, named_weights
from merging.load.device import fast_dtype, quick
from merging.load.loading import add_adapter
from merging.measure.bits import window_nats
from merging.measure.passes.skill import skill_tasks
from merging.measure.rows import answers_to
from merging.measure.text import prompt_of
from merging.paths import ROOT
from training.configs import config_text, heldout_configs, is_config, pair
from training.families import read_families, split
from training.measure_smollm2 import TEMPERATURE, passes_of, recipes_of, style_names

SPECIALISTS = ("clippy", "beer", "config")
LAM = 0.6
ANSWERS, TOKENS = 2, 160  # to each task, and of a config


def solved(tasks):
    """(prompt, answer) of each task, as it is worded and solved first."""
    return [(prompt_of(task.wordings[0]), f"\n\n{task.solutions[0]}") for task in tasks]


def texts():
    """specialist -> (prompt, answer) pairs that no training saw."""
    held_out = split(read_families())[1]
    return {
        "clippy": solved(held_out["A"] + held_out["B"]),
        "beer": [("", recipe) for recipe in heldout_texts()["beer"]],
        "config": [(prompt, config_text(wanted)) for prompt, wanted in heldout_configs()],
    }


def answer_bits(model, tokenizer, pairs):
    """Bits per byte of the answers, each behind its prompt."""
    tokens = lambda text: tokenizer(text)["input_ids"] if text else []
    rows = [([tokenizer.bos_token_id, *tokens(prompt)], tokens(answer)) for prompt, answer in pairs]
    windows = sorted(((given + told, len(told)) for given, told in rows), key=lambda window: len(window[0]))
    model = quick(model)
    nats = sum(window_nats(model, windows[i : i + 8]).sum().item() for i in range(0, len(windows), 8))
    return nats / math.log(2) / sum(len(answer.encode()) for _, answer in pairs)


def configs_of(model, tokenizer, asked, chat=False):
    """Which answers to prompts for configs are right, as a text of digits; chat: in base's template, with examples."""
    prompts = [prompt for prompt, _ in asked]
    if chat:
        shown = [pair(random.Random(seed)) for seed in (1, 2)]
        examples = [
            {"role": role, "content": text.strip()} for each in shown for role, text in zip(("user", "assistant"), each)
        ]
        say = lambda prompt: tokenizer.apply_chat_template(
            [*examples, {"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        prompts = [say(prompt) for prompt in prompts]
    answers = answers_to(model, tokenizer, prompts, 1, TEMPERATURE, TOKENS, 32, chat=chat)
    return "".join(str(int(is_config(text, wanted))) for (text,), (_, wanted) in zip(answers, asked))


def outcome(model, tokenizer, pairs):
    """What a model reads and writes."""
    return {
        "bits": {name: round(answer_bits(model, tokenizer, each), 4) for name, each in pairs.items()},
        "n": ANSWERS,
        "solved": {split: passes_of(model, tokenizer, skill_tasks(split), ANSWERS) for split in ("A", "B")},
        "recipes": recipes_of(model, tokenizer, style_names("report"), 2),
        "configs": configs_of(model, tokenizer, heldout_configs()),
    }


def sets():
    """(name, members, share of each task vector) of what is measured: averages, and sums of two or three."""
    for k in range(1, 4):
        for members in itertools.combinations(SPECIALISTS, k):
            yield "average", members, 1 / k
            if k > 1:
                yield "sum", members, LAM


@torch.no_grad()
def place_sum(out, base, models, share):
    """Write base + share * (the sum of the models' task vectors) into out."""
    theta, *others = map(named_weights, (base, *models))
    for name, target in named_weights(out).items():
        target.copy_(theta[name] + share * sum(other[name] - theta[name] for other in others))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "smollm2" / "three.json")
    arguments = parser.parse_args()
    loaded = load_models("smollm2")
    loaded["config"] = add_adapter("config", ROOT / "models" / "smollm2" / "config", loaded["base"])
    base, tokenizer = loaded["base"]
    models, out = {name: loaded[name].model for name in SPECIALISTS}, copy.deepcopy(base).to(fast_dtype(base))
    pairs = texts()
    rows = [{"way": "base", "members": []} | outcome(out, tokenizer, pairs)]
    chat = configs_of(out, tokenizer, heldout_configs(), chat=True)
    head = json.dumps(geometry(base, models) | {"base's configs in its chat template": chat})
    for way, members, share in sets():
        place_sum(out, base, [models[name] for name in members], share)
        rows.append({"way": way, "members": members, "share": round(share, 3)} | outcome(out, tokenizer, pairs))
        print(rows[-1], flush=True)
        text = ",\n".join(map(json.dumps, rows))
        arguments.out.write_text(f'{head[:-1]}, "rows": [\n{text}\n]}}\n', encoding="utf-8")


def geometry(base, models):
    """Length of each task vector over base's, and the cosine of each pair."""
    theta = named_weights(base)
    vectors = {name: [named_weights(model)[t] - theta[t] for t in theta] for name, model in models.items()}
    dot = lambda a, b: sum(float((x * y).sum()) for x, y in zip(a, b))
    size = {name: dot(tau, tau) ** 0.5 for name, tau in vectors.items()}
    whole = sum(float(t.square().sum()) for t in theta.values()) ** 0.5
    cosines = {
        f"{one}, {other}": round(dot(vectors[one], vectors[other]) / (size[one] * size[other]), 4)
        for one, other in itertools.combinations(models, 2)
    }
    return {"distance": {name: round(length / whole, 4) for name, length in size.items()}, "cosine": cosines}


if __name__ == "__main__":
    main()
