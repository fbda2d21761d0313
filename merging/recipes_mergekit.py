"""Recipes for SLERP, task arithmetic, TIES, DARE and Model Stock: written, read, and carried out by mergekit on disk.

A weighted average has a recipe in interop and is streamed by checkpoints; everything else is mergekit's work (LGPL-3.0,
an extra: requirements/scale.txt). alpha is the share of the first model.
"""

import copy
from pathlib import Path
from typing import NamedTuple

import yaml
from safetensors.torch import load_file

from merging.checkpoints import check_checkpoints
from merging.checks import magnitude
from merging.errors import MergeError
from merging.folders import whole_folder
from merging.loading import find_folder
from merging.mergekit_methods import KNOBS, mergekit_call, mergekit_settings
from merging.stored import CODES, stored_tensors

TAKES = {  # method -> what a recipe sets for all models, and what for each (or for all)
    "slerp": (("t",), ()),
    "nuslerp": ((), ("weight",)),
    "task_arithmetic": (("lambda", "normalize", "rescale"), ("weight",)),
    "ties": (("lambda", "normalize", "rescale"), ("weight", "density")),
    "dare_linear": (("lambda", "normalize", "rescale"), ("weight", "density")),
}


class MethodRecipe(NamedTuple):
    """A merge by a method of mergekit: arguments of method_recipe, and of merge_with once the sources are loaded."""

    method: str
    sources: list
    base: str | None
    dtype: str | None
    knobs: dict


def method_recipe(method, sources, base=None, dtype="float32", **knobs):
    """A merge by merge_with as a mergekit configuration, a dict for yaml.safe_dump.

    sources, base: folders or Hub ids, as mergekit will find them. method, knobs: as in merge_with, but no seed, which a
    recipe has no place for: give it to run_method_recipe. dtype: what the merge is saved in (None: as the sources are);
    half precision is merged in float32. Raises MergeError. Format: https://github.com/arcee-ai/mergekit
    """
    sources = list(sources)
    if "seed" in knobs:
        raise MergeError("A recipe has no place for a seed: give it to run_method_recipe, or to mergekit-yaml.")
    parameters = copy.copy(mergekit_settings(method, len(sources), base is not None, **knobs).get("parameters", {}))
    weight, density = parameters.pop("weight", {}), parameters.pop("density", None)
    each = lambda i: {"weight": weight[i]} | ({} if density is None else {"density": density})
    first = 0 if base is None else 1
    models = [
        {"model": str(source)} | ({"parameters": each(i)} if weight else {}) for i, source in enumerate(sources, first)
    ]
    start = sources[0] if method == "slerp" else base
    half = dtype in ("float16", "bfloat16")
    dtypes = {"dtype": "float32", "out_dtype": dtype} if half else {"dtype": dtype} if dtype else {}
    return (
        {"merge_method": method}
        | ({} if start is None else {"base_model": str(start)})
        | dtypes
        | ({"parameters": parameters} if parameters else {})
        | {"models": models}
    )


def write_method_recipe(file, method, sources, base=None, dtype="float32", **knobs):
    """Write method_recipe to a file that mergekit-yaml runs; returns the file as a Path. Raises MergeError."""
    file = Path(file)
    recipe = method_recipe(method, sources, base, dtype, **knobs)
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return file


def read_method_recipe(file):
    """The MethodRecipe in a mergekit configuration; MergeError with the reason for what merge_with cannot express."""
    refuse = lambda reason: MergeError(f"{file} cannot be carried out here: {reason}.")
    try:
        recipe = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise refuse(f"it is no YAML ({str(error).splitlines()[0]})") from None
    method = recipe.get("merge_method") if isinstance(recipe, dict) else None
    if method == "linear":
        raise refuse("a weighted average has read_recipe, and needs no mergekit")
    if method not in KNOBS:
        raise refuse(f"its method is {method!r}, and not one of {', '.join(KNOBS)}")
    known = {"merge_method", "base_model", "dtype", "out_dtype", "parameters", "models"}
    if unknown := sorted(map(str, set(recipe) - known)):
        raise refuse(f"{unknown[0]} is not supported")
    sources, per_model = read_models(recipe.get("models"), refuse)
    shared = recipe.get("parameters") or {}
    base, dtype = recipe.get("base_model"), recipe.get("out_dtype") or recipe.get("dtype")
    if dtype not in (None, *CODES):
        raise refuse(f"{dtype} is none of the dtypes {', '.join(CODES)}")
    if method == "slerp":
        if base not in sources or len(sources) != 2:
            raise refuse("slerp needs two models, and base_model is one of them")
        sources, base = [base, *(source for source in sources if source != base)], None
    knobs = read_knobs(method, shared, per_model, refuse)
    method_recipe(method, sources, base, dtype, **knobs)  # refuses numbers out of range
    return MethodRecipe(method, sources, base, dtype, knobs)


def read_models(entries, refuse):
    """(sources, parameters of each) of a recipe's list of models."""
    if not isinstance(entries, list) or not entries:
        raise refuse("it has no list of models")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
            raise refuse("each entry of its models needs a model")
        if unknown := sorted(map(str, set(entry) - {"model", "parameters"})):
            raise refuse(f"{unknown[0]} of {entry['model']} is not supported")
    if len({entry["model"] for entry in entries}) < len(entries):
        raise refuse("a model is listed twice")
    return [entry["model"] for entry in entries], [entry.get("parameters") or {} for entry in entries]


def read_knobs(method, shared, per_model, refuse):
    """The knobs of merge_with in a recipe's parameters, or what refuse says about those that it has no knob for."""
    top, inner = TAKES.get(method, ((), ()))
    for names, values in ((top + inner, shared), *((inner, values) for values in per_model)):
        for name, value in values.items():
            if name not in names:
                raise refuse(f"{name} of {method} is not supported")
            if not isinstance(value, bool | int | float):
                raise refuse(f"{name} is a gradient, a filter or no number: {value!r}")
    each = [{name: shared[name] for name in inner if name in shared} | values for values in per_model]
    if method == "slerp":
        return {"alpha": round(1 - needed("t", [shared], refuse)[0], 12)}
    if not inner:
        return {}
    weights = needed("weight", each, refuse)
    if method == "nuslerp":
        if sum(weights) <= 0:
            raise refuse("its weights sum to nothing")
        return {"alpha": weights[0] / sum(weights)}
    for name in ("normalize", "rescale"):
        ours = method == "ties" and name == "normalize"
        if shared.get(name, ours or (method, name) == ("dare_linear", "rescale")) != ours:
            raise refuse(f"{name} is {'off' if ours else 'on'}, which we have no knob for")
    knobs = {"lam": shared.get("lambda", 1.0), "weights": weights}
    if "density" in inner:
        densities = {values.get("density", 1.0) for values in each}
        if len(densities) > 1:
            raise refuse("its models have several densities")
        knobs["density"] = densities.pop()
    if method == "dare_linear":  # mergekit's lambda makes up for the numbers that are dropped as well
        knobs["lam"] = round(knobs["lam"] * knobs["density"], 12)
    return knobs


def needed(name, parameters, refuse):
    """The values of a parameter that must be there."""
    if not all(name in values for values in parameters):
        raise refuse(f"{name} is missing")
    return [values[name] for values in parameters]


def run_method_recipe(file, destination, seed=0, overwrite=False):
    """Carry out a mergekit recipe from disk to disk with mergekit, between our checks; returns destination as a Path.

    Before: the recipe, architectures, names and shapes. After: NaN and infinity, which mergekit passes on. seed: for
    dare_linear. Config and tokenizer are those of base, or of the first model. destination appears when it is complete.
    Raises MergeError, LoadError, FileExistsError, OSError (disk full).
    """
    mergekit_call()
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    recipe, destination = read_method_recipe(file), Path(destination).expanduser()
    labels = [*([] if recipe.base is None else [recipe.base]), *recipe.sources]
    folders = {source: find_folder(f"source {i}", source) for i, source in enumerate(labels, 1)}
    tensors = [stored_tensors(folder) for folder in folders.values()]
    check_checkpoints(list(folders.values()), tensors, recipe.dtype)
    local = method_recipe(
        recipe.method,
        [folders[source] for source in recipe.sources],
        recipe.base and folders[recipe.base],
        recipe.dtype,
        **recipe.knobs,
    )
    nbytes = sum(tensor.nbytes for tensor in tensors[0].values())
    with whole_folder(destination, list(folders.values()), overwrite, nbytes) as partial:
        run_merge(MergeConfiguration.model_validate(local), str(partial), MergeOptions(quiet=True, random_seed=seed))
        check_stored(partial)
        (partial / "mergekit_config.yml").write_text(Path(file).read_text(encoding="utf-8"), encoding="utf-8")
    return destination


def check_stored(folder):
    """Raise MergeError if a checkpoint holds a value that is NaN or infinite."""
    for shard in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(shard).items():
            if not magnitude(tensor) < float("inf"):
                raise MergeError(
                    f"{name} of the merge holds values that are NaN or infinite: a source does, or it overflowed."
                )
