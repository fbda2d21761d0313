"""What a folder says about the merge in it: the model card README.md, and the merge config beside it."""

import re
from pathlib import Path

import yaml

from merging.disk.merge_config import merge_config
from merging.errors import LONGEST, escaped

CONFIG_IS_THERE = "The merge config is in `mergekit_config.yml`."

CARD = """---
tags: [merge, linear, model-soup]
{parents}---
# A linear merge

Weighted average of the weights of these models ([arXiv 2203.05482](https://arxiv.org/abs/2203.05482)):

| model | share |
|:--|--:|
{shares}

Averaged: {what}. Config and tokenizer are the first model's. {config}
{measured}{known}"""


def describe_merge(
    folder, sources, weights, names, tensors, dtypes, scores=None, notes=(), on_disk=lambda names: names
):
    """Write what was merged: mergekit_config.yml, which mergekit runs, and README.md, the model card.

    sources, weights, names, scores, notes: as in save_merge; tensors: the names of all; dtypes: of what is written.
    on_disk: a function of a selection that gives its names in the sources' files, where mergekit looks for them, or
    None if they have none there: then there is no merge config, and the card says so.
    """
    one_dtype = str(next(iter(dtypes))).removeprefix("torch.") if len(set(dtypes)) == 1 else None
    selection = None if len(names) == len(tensors) else names
    filters, config = on_disk(selection) if selection else None, CONFIG_IS_THERE
    if selection and not filters:
        config = "mergekit has no merge config for this selection."
        print("The sources' files have other names for this selection, so there is no merge config of it for mergekit.")
    else:
        merge = merge_config(sources, weights, filters, one_dtype, on_disk(list(tensors)) or tensors)
        (folder / "mergekit_config.yml").write_text(yaml.safe_dump(merge, sort_keys=False), encoding="utf-8")
    card = model_card(sources, weights, selection, len(tensors), scores, notes, config)
    (folder / "README.md").write_text(card, encoding="utf-8")


def model_card(sources, weights, selection, n, scores=None, notes=(), config=CONFIG_IS_THERE):
    """The text of README.md; selection: the names that are averaged of n tensors, None for all."""
    shares = "\n".join(f"| {escaped(source)} | {weight:g} |" for source, weight in zip(sources, weights))
    what = (
        f"{len(selection)} of {n} tensors; the others are those of {escaped(sources[0])}"
        if selection
        else "all tensors"
    )
    ids = [
        source for source in map(str, sources) if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not Path(source).is_dir()
    ]
    parents = yaml.safe_dump({"base_model": ids, "base_model_relation": "merge"}) if ids else ""
    measured = "".join(f"| {escaped(name)} | {score:.3f} |\n" for name, score in (scores or {}).items())
    measured = measured and f"\nMeasured:\n\n| text | bits per byte |\n|:--|--:|\n{measured}"
    known = notes and "\nBefore you repeat it:\n\n" + "".join(f"- {escaped(note, LONGEST)}\n" for note in notes)
    return CARD.format(parents=parents, shares=shares, what=what, config=config, measured=measured, known=known or "")
