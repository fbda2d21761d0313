"""What other programs read: recipes that mergekit runs, and model cards."""

import re
from pathlib import Path
from typing import NamedTuple

import yaml

from merging.checks import check_weights
from merging.errors import MergeError
from merging.stored import CODES


def write_recipe(folder, sources, weights, names, dtypes, scores=None, notes=()):
    """Write what was merged: mergekit_config.yml, which mergekit runs, and README.md, the model card."""
    one_dtype = str(next(iter(dtypes.values()))).removeprefix("torch.") if len(set(dtypes.values())) == 1 else None
    selection = None if len(names) == len(dtypes) else names
    recipe = yaml.safe_dump(mergekit_recipe(sources, weights, selection, one_dtype, dtypes), sort_keys=False)
    (folder / "mergekit_config.yml").write_text(recipe, encoding="utf-8")
    shares = "\n".join(f"| {source} | {weight:g} |" for source, weight in zip(sources, weights))
    what = (
        f"{len(names)} of {len(dtypes)} tensors; the others are those of {sources[0]}" if selection else "all tensors"
    )
    ids = [
        source for source in map(str, sources) if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not Path(source).is_dir()
    ]
    parents = yaml.safe_dump({"base_model": ids, "base_model_relation": "merge"}) if ids else ""
    measured = "".join(f"| {name} | {score:.3f} |\n" for name, score in (scores or {}).items())
    measured = measured and f"\nMeasured:\n\n| text | bits per byte |\n|:--|--:|\n{measured}"
    known = notes and "\nBefore you repeat it:\n\n" + "".join(f"- {note}\n" for note in notes)
    (folder / "README.md").write_text(
        CARD.format(parents=parents, shares=shares, what=what, measured=measured, known=known or ""), encoding="utf-8"
    )


CARD = """---
tags: [merge, linear, model-soup]
{parents}---
# A linear merge

Weighted average of the weights of these models ([arXiv 2203.05482](https://arxiv.org/abs/2203.05482)):

| model | share |
|:--|--:|
{shares}

Averaged: {what}. Config and tokenizer are the first model's. The recipe is in `mergekit_config.yml`.
{measured}{known}"""


def mergekit_recipe(sources, weights, names=None, dtype="float32", tensors=()):
    """A linear merge as a mergekit configuration, a dict for yaml.safe_dump.

    names: the tensors that are averaged (None: all); for the others the first source has weight 1, the rest 0. Each
    becomes a filter of its own. mergekit looks for filters inside of names: raises MergeError if a selected name is
    part of another name in tensors. dtype: what the merge is saved in (None: as the sources are); mergekit is told to
    average half precision in float32, as we do. Format: https://github.com/arcee-ai/mergekit
    """
    for name in names or ():
        inside = [other for other in tensors if name in other and other not in names]
        if inside:
            raise MergeError(
                f"A mergekit filter for {name} would also select {inside[0]}: this selection has no recipe."
            )
    filters = lambda weight: [{"filter": name, "value": weight} for name in sorted(names)]
    models = [
        {
            "model": str(source),
            "parameters": {"weight": weight if names is None else [*filters(weight), {"value": 0.0 if i else 1.0}]},
        }
        for i, (source, weight) in enumerate(zip(sources, weights))
    ]
    half = dtype in ("float16", "bfloat16")
    dtypes = {"dtype": "float32", "out_dtype": dtype} if half else {"dtype": dtype} if dtype else {}
    return {"merge_method": "linear", **dtypes, "models": models}


class Recipe(NamedTuple):
    """A weighted average as arguments of merge_checkpoints; names and dtype are None where the recipe leaves them."""

    sources: list
    weights: list
    names: set | None
    dtype: str | None


def read_recipe(file):
    """The Recipe in a mergekit configuration.

    merge_checkpoints(**read_recipe(file)._asdict(), destination=...) carries it out.
    Raises MergeError with the reason for what cannot be read and for what a plain weighted average cannot express.
    """
    refuse = lambda reason: MergeError(f"{file} cannot be carried out here: {reason}.")
    recipe = load_yaml(file, refuse)
    if (
        not isinstance(recipe, dict)
        or recipe.get("merge_method") != "linear"
        or not isinstance(recipe.get("models"), list)
    ):
        raise refuse("only merge_method: linear with a list of models is a weighted average")
    unknown = [key for key in recipe if key not in ("merge_method", "dtype", "out_dtype", "models")]
    if unknown:
        raise refuse(f"{shown(unknown[0])} is not supported")
    entries = [read_entry(entry, refuse) for entry in recipe["models"]]
    sources, weights, selections, rests = ([entry[i] for entry in entries] for i in range(4))
    if len(set(selections)) > 1 or (selections and selections[0] and rests != [1] + [0] * (len(rests) - 1)):
        raise refuse("its selections are not 'average these tensors, take the others from the first model'")
    dtype = next((recipe[key] for key in ("out_dtype", "dtype") if recipe.get(key) is not None), None)
    if dtype not in (None, *CODES):
        raise refuse(f"{shown(dtype)} is none of the dtypes {', '.join(CODES)}")
    try:
        weights = check_weights(weights, len(sources))
    except MergeError as error:
        raise refuse(str(error).removesuffix(".")) from None
    return Recipe(sources, weights, set(selections[0]) or None, dtype)


def load_yaml(file, refuse):
    """What a YAML file holds; refuse(reason) makes the error for one that cannot be read."""
    try:
        return yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise refuse(f"it cannot be read ({error.strerror})") from None
    except Exception as error:  # beside YAMLError: no UTF-8, deep nesting, dates like 2001-99-99, !!int without digits
        mark = getattr(error, "problem_mark", None)
        raise refuse(f"it is no YAML{f', see line {mark.line + 1}' if mark else ''}") from None


def read_entry(entry, refuse):
    """(model, its weight, the names that the weight is for, the weight of the others) of one entry under models."""
    if (
        not isinstance(entry, dict)
        or set(entry) != {"model", "parameters"}
        or not isinstance(entry["parameters"], dict)
        or set(entry["parameters"]) != {"weight"}
    ):
        raise refuse("each model needs a model and a weight, and nothing else")
    model, weight = entry["model"], entry["parameters"]["weight"]
    if not isinstance(model, str):
        raise refuse(f"a model is given as a {type(model).__name__}, not as the text of a folder or Hub id")
    conditions = weight if isinstance(weight, list) else [{"value": weight}]
    for condition in conditions:
        if (
            not isinstance(condition, dict)
            or not set(condition) <= {"filter", "value"}
            or not isinstance(condition.get("filter", ""), str)
            or type(condition.get("value")) not in (int, float)
            or not 0 <= condition["value"] <= 1
        ):
            raise refuse(f"the weight of {shown(model)} is a gradient or no number from 0 to 1")
    filtered, rest = [c for c in conditions if "filter" in c], [c["value"] for c in conditions if "filter" not in c]
    if len({c["value"] for c in filtered}) > 1 or len(rest) != 1 or "filter" in conditions[-1]:
        raise refuse(f"{shown(model)} has several weights")
    return model, filtered[0]["value"] if filtered else rest[0], frozenset(c["filter"] for c in filtered), rest[0]


def shown(value):
    """What stands in a recipe, as it may stand in a sentence."""
    return f"{' '.join(value.split()):.100}" if isinstance(value, str) else f"a value of type {type(value).__name__}"
