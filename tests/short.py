"""Short texts and shallow models, for tests of what is done with them and not of what they say."""

import itertools
import json
import re
import shutil
import timeit

from safetensors.torch import load_file, save_file
from transformers import GenerationMixin

import helpers
import merging.measure.texts
from lessons.views import explorers
from merging.load.loading import FAMILIES
from merging.measure import cost, rows
from merging.measure.passes import skill


def cut_short(n=8, length=300, tokens=8):
    """Let this process read n documents a text of so many characters, write continuations of so many tokens, and time
    a way by one call."""
    cut = lambda texts: {kind: [document[:length] for document in documents[:n]] for kind, documents in texts.items()}
    heldout, calibration = merging.measure.texts.heldout_texts, merging.measure.texts.calibration_texts
    generate, stream, answers = GenerationMixin.generate, explorers.stream_text, rows.answers_to
    helpers.heldout_texts = merging.measure.texts.heldout_texts = lambda: cut(heldout())
    merging.measure.texts.calibration_texts = lambda part: cut(calibration(part))
    explorers.stream_text = lambda *arguments, **how: itertools.islice(stream(*arguments, **how), tokens)
    GenerationMixin.generate = lambda model, ids, max_length, **options: generate(
        model, ids, max_length=min(max_length, ids.shape[1] + tokens), **options
    )
    cost.seconds = lambda ways: {name: timeit.timeit(way, number=1) for name, way in ways.items()}
    rows.answers_to = skill.answers_to = lambda model, tokenizer, prompts, n, temperature, longest, *others: answers(
        model, tokenizer, prompts, n, temperature, min(longest, tokens), *others
    )


def write_shallow(folder, blocks):
    """The tiny models in a folder, as they would be if they ended after so many of their six blocks, an even number."""
    shape = {
        "num_layers": blocks,
        "attention_layers": ["global", "local"] * (blocks // 2),
        "attention_types": [[["global", "local"], blocks // 2]],
    }
    for source in FAMILIES["tiny"]["base"].parent.iterdir():
        place = shutil.copytree(source, folder / source.name)
        config = json.loads((source / "config.json").read_text(encoding="utf-8")) | shape
        (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
        weights = load_file(source / "model.safetensors")
        first = {name: tensor for name, tensor in weights.items() if not re.search(rf"\.h\.[{blocks}-9]\.", name)}
        save_file(first, place / "model.safetensors", {"format": "pt"})


def use_shallow(folder):
    """Let "tiny" be what write_shallow wrote, in this process."""
    FAMILIES["tiny"] = {label: folder / label for label in FAMILIES["tiny"]}
