"""Merge configs, which mergekit runs: of weighted averages, and of SLERP, task arithmetic, TIES, DARE and others.

Format: https://github.com/arcee-ai/mergekit. alpha is the share of the first model.
"""

import copy
from pathlib import Path

import yaml

from merging.errors import MergeError
from merging.methods.mergekit import mergekit_settings


def merge_config(sources, weights, names=None, dtype="float32", tensors=()):
    """A linear merge as a mergekit configuration, a dict for yaml.safe_dump.

    names: the tensors that are averaged (None: all); for the others the first source has weight 1, the rest 0. Each
    becomes a filter of its own. mergekit looks for filters inside of names: raises MergeError if a selected name is
    part of another name in tensors. dtype: what the merge is saved in (None: as the sources are); mergekit is told to
    average half precision in float32, as we do.
    """
    for name in names or ():
        inside = [other for other in tensors if name in other and other not in names]
        if inside:
            raise MergeError(
                f"A mergekit filter for {name} would also select {inside[0]}: this selection has no merge config."
            )
    filters = lambda weight: [{"filter": name, "value": weight} for name in sorted(names)]
    models = [
        {
            "model": str(source),
            "parameters": {"weight": weight if names is None else [*filters(weight), {"value": 0.0 if i else 1.0}]},
        }
        for i, (source, weight) in enumerate(zip(sources, weights))
    ]
    return {"merge_method": "linear", **dtypes(dtype), "models": models}


def dtypes(dtype):
    """What a merge config says about a dtype: half precision is averaged in float32, and None says nothing."""
    if dtype in ("float16", "bfloat16"):
        return {"dtype": "float32", "out_dtype": dtype}
    return {"dtype": dtype} if dtype else {}


def method_config(method, sources, base=None, dtype="float32", **knobs):
    """A merge by merge_with as a mergekit configuration, a dict for yaml.safe_dump.

    sources, base: folders or Hub ids, as mergekit will find them. method, knobs: as in merge_with, but no seed, which a
    merge config has no place for: mergekit-yaml takes it as --random-seed. dtype: what the merge is saved in (None: as
    the sources are); half precision is merged in float32. Raises MergeError.
    """
    sources = list(sources)
    if "seed" in knobs:
        raise MergeError("A merge config has no place for a seed: give it to mergekit-yaml as --random-seed.")
    parameters = copy.copy(mergekit_settings(method, len(sources), base is not None, **knobs).get("parameters", {}))
    weight, density = parameters.pop("weight", {}), parameters.pop("density", None)
    each = lambda i: {"weight": weight[i]} | ({} if density is None else {"density": density})
    first = 0 if base is None else 1
    models = [
        {"model": str(source)} | ({"parameters": each(i)} if weight else {}) for i, source in enumerate(sources, first)
    ]
    start = sources[0] if method == "slerp" else base
    return (
        {"merge_method": method}
        | ({} if start is None else {"base_model": str(start)})
        | dtypes(dtype)
        | ({"parameters": parameters} if parameters else {})
        | {"models": models}
    )


def write_method_config(file, method, sources, base=None, dtype="float32", **knobs):
    """Write method_config to a file that mergekit-yaml runs; returns the file as a Path. Raises MergeError."""
    file = Path(file)
    config = method_config(method, sources, base, dtype, **knobs)
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return file
