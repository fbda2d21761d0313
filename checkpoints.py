"""Checkpoints on disk: may these be merged, merge them in a few megabytes of memory, save a merge with its card.

A checkpoint is a folder in the format of save_pretrained: safetensors, one file or several with an index.
Format: https://github.com/huggingface/safetensors (8 bytes with the header's length, a JSON header, the data).
"""

import json
import math
import re
import shutil
import struct
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from huggingface_hub import split_state_dict_into_shards_factory
from tqdm.auto import tqdm
from transformers import AutoConfig, AutoTokenizer

from helpers import (
    ARCHITECTURE, LoadError, MergeError, average_into, check_configs, check_values, check_weights, config_setting,
    find_folder, magnitude, merge_tensors, shape_message)

PIECE = 1 << 18  # numbers read of each source at a time: a megabyte in float32
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}  # in the format's order
CODES = {str(dtype).removeprefix("torch."): code for code, dtype in DTYPES.items()}  # "float32" -> "F32"
MAX_SHARD_SIZE = "50GB"  # as save_pretrained


class Stored(NamedTuple):
    """Where a tensor lies: file, place of its first byte, name of its dtype, shape."""

    file: Path
    start: int
    dtype: str
    shape: tuple

    @property
    def nbytes(self):
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


def stored_tensors(folder):
    """name -> Stored for every tensor of a checkpoint folder; only headers are read. Raises LoadError, MergeError."""
    folder = Path(folder)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    elif (folder / "model.safetensors").is_file():
        places = dict.fromkeys(read_header(folder / "model.safetensors"), "model.safetensors")
    elif list(folder.glob("*.bin")):
        raise LoadError(f"{folder} holds its weights as .bin, which cannot be read in pieces. Convert it once: "
                        "load_models({'m': folder})['m'].model.save_pretrained(other_folder).")
    else:
        raise LoadError(f"{folder} holds no model.safetensors and no model.safetensors.index.json.")
    headers = {name: read_header(folder / name) for name in sorted(set(places.values()))}
    for tensor, name in places.items():
        if tensor not in headers[name]:
            raise LoadError(f"The index of {folder} says that {tensor} is in {name}, which does not have it. Download "
                            "the checkpoint again.")
    return {tensor: headers[name][tensor] for tensor, name in places.items()}


def read_header(file):
    """name -> Stored from one safetensors file, after checking that header and data are all there. Raises LoadError."""
    damaged = f"{file} is damaged or incomplete ({{}}). Download it again."
    if not file.is_file():
        raise LoadError(f"{file} is missing. Download the checkpoint again.")
    size = file.stat().st_size
    with open(file, "rb") as stream:
        length = struct.unpack("<Q", stream.read(8))[0] if size >= 8 else size
        if not 2 <= length <= size - 8:
            raise LoadError(damaged.format("its header does not fit into the file"))
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            tensors = {name: Stored(file, 8 + length + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
                       for name, entry in header.items()}
            ends = [entry["data_offsets"][1] for entry in header.values()]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise LoadError(damaged.format("its header is no safetensors header")) from None
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise MergeError(f"{name} in {file} holds {tensor.dtype}: integer and quantised tensors cannot be averaged. "
                             "Take a checkpoint in float32, float16 or bfloat16; masks that old checkpoints hold go "
                             "away if the model is loaded and saved once.")
        if tensor.start + tensor.nbytes != 8 + length + header[name]["data_offsets"][1]:
            raise LoadError(damaged.format(f"{name} has the wrong number of bytes"))
    if 8 + length + max(ends, default=0) != size:
        raise LoadError(damaged.format(f"{8 + length + max(ends, default=0):,} bytes are announced, {size:,} are there"))
    return tensors


def merge_checkpoints(sources, weights, destination, names=None, dtype=None, overwrite=False, max_shard_size=MAX_SHARD_SIZE):
    """Weighted average of N checkpoints, sum of weights[i] * theta_i, read and written in pieces.

    sources: folders or Hub ids. weights sum to 1, for two sources [alpha, 1 - alpha]. names: only these tensors are
    averaged, the others are the first source's. The weights in destination are byte for byte what save_pretrained
    writes for the merge in memory; config, tokenizer and generation settings are the first source's. Half precision
    is averaged in float32 and rounded once. dtype: what to save in, for example "bfloat16"; None keeps the first
    source's, with a warning where the others differ. destination appears when it is complete; overwrite=True replaces
    an older one only then. Returns destination as a Path. Raises MergeError, LoadError, FileExistsError, OSError (disk
    full). Source: arXiv 2203.05482.
    """
    folders = [find_folder(f"source {i}", source) for i, source in enumerate(sources, 1)]
    weights, destination = check_weights(weights, len(folders)), Path(destination).expanduser()
    tensors = [stored_tensors(folder) for folder in folders]
    check_checkpoints(folders, tensors, dtype)
    names = check_selection(names, tensors[0])
    merged = {name: tensor._replace(dtype=CODES[dtype]) if dtype else tensor for name, tensor in tensors[0].items()}
    with whole_folder(destination, folders, overwrite, sum(tensor.nbytes for tensor in merged.values())) as partial:
        for file in folders[0].iterdir():
            if file.is_file() and is_companion(file.name):
                shutil.copy(file, partial)
        if merged != tensors[0]:
            AutoConfig.from_pretrained(partial, dtype=dtype).save_pretrained(partial)
        write_recipe(partial, sources, weights, names, {name: DTYPES[tensor.dtype] for name, tensor in merged.items()})
        write_weights(partial, merged, tensors, weights, names, max_shard_size)
    return destination


def save_merge(model, tokenizer, destination, sources, weights, names=None, scores=None, notes=(), overwrite=False):
    """Save a merge with its tokenizer, a model card, and the recipe, so that others can see what it is and repeat it.

    sources, weights, names: what was merged, as in merge_checkpoints. For the card, scores: text -> number, what was
    measured; notes: sentences, for example those of preflight. destination appears when it is complete; overwrite=True
    replaces an older one only then. Returns destination as a Path. Raises MergeError, FileExistsError, OSError (disk full).
    """
    weights, destination = check_weights(weights, len(sources)), Path(destination).expanduser()
    tensors = merge_tensors(model)
    names = check_selection(names, tensors)
    folders = [Path(source) for source in sources if Path(source).is_dir()]
    with whole_folder(destination, folders, overwrite, sum(tensor.nbytes for tensor in tensors.values())) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_recipe(partial, sources, weights, names, {name: tensor.dtype for name, tensor in tensors.items()}, scores, notes)
    return destination


@contextmanager
def whole_folder(destination, folders, overwrite, nbytes):
    """A temporary folder to write into, which becomes destination when the with block ends well, and vanishes if not."""
    partial, old = (destination.with_name(f".{destination.name}.{what}") for what in ("partial", "old"))
    if old.exists() and not destination.exists():
        old.rename(destination)  # an earlier run was killed between its last two steps
    check_destination(destination, folders, overwrite, nbytes)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if destination.exists():
            shutil.rmtree(old, ignore_errors=True)
            destination.rename(old)
        partial.rename(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_checkpoints(folders, tensors, dtype=None):
    """Raise MergeError unless the checkpoints have one architecture, the same tensors and shapes, and dtype is known."""
    if dtype not in (None, *CODES):
        raise MergeError(f"dtype is the name of one of the dtypes that a merge can be saved in ({', '.join(CODES)}), not {dtype!r}.")
    configs = [AutoConfig.from_pretrained(folder) for folder in folders]
    first = tensors[0]
    for i, (config, other) in enumerate(zip(configs[1:], tensors[1:]), 2):
        if type(config) is not type(configs[0]):
            raise MergeError(f"Source 1 is a {configs[0].model_type}, source {i} a {config.model_type}: their tensors mean "
                             "different things. Merge checkpoints of one architecture.")
        check_configs(configs[0], config, i)
        for here, there, where, lacks in ((first, other, 1, i), (other, first, i, 1)):
            extra = sorted(set(here) - set(there))
            if extra:
                raise MergeError(f"{extra[0]} (shape {here[extra[0]].shape}) is in source {where} but not in source {lacks}. "
                                 "Merge checkpoints with the same tensors.")
        for name, tensor in first.items():
            if other[name].shape != tensor.shape:
                raise MergeError(shape_message(name, tensor.shape, other[name].shape, i))
        mixed = sorted(name for name in first if other[name].dtype != first[name].dtype)
        if mixed and not dtype:
            warnings.warn(f"{mixed[0]} is {other[mixed[0]].dtype} in source {i} and {first[mixed[0]].dtype} in source 1: the merge is "
                          f"saved as source 1 has it ({len(mixed)} such tensors), or as dtype= says.", stacklevel=3)


def check_selection(names, tensors):
    """The names as a set (None: all), or MergeError if one is unknown or there is none."""
    names = set(tensors) if names is None else set(names)
    unknown = sorted(names - set(tensors))
    if unknown:
        raise MergeError(f"The selection names {unknown[0]}, which the first source does not have. Names are those of its "
                         f"tensors, for example {next(iter(tensors))}.")
    if not names:
        raise MergeError("The selection matches no tensor, so nothing would be merged.")
    return names


def check_destination(destination, folders, overwrite, nbytes):
    """Refuse a destination that would damage a source, that exists already, or that has no room."""
    resolved = destination.resolve()
    for folder in folders:
        if folder.resolve() == resolved or folder.resolve() in resolved.parents or resolved in folder.resolve().parents:
            raise MergeError(f"The destination {destination} and the source {folder} lie within each other. Choose another folder.")
    if destination.exists() and not overwrite:
        raise FileExistsError(f"{destination} exists. Choose another destination, or replace it with overwrite=True.")
    parent = next(folder for folder in resolved.parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < nbytes + 10e6:
        raise OSError(f"The merge needs {nbytes / 1e9:.2f} GB in {parent}, where {free / 1e9:.2f} GB are free.")


def is_companion(name):
    """True for files that make a checkpoint complete beside its weights: config, tokenizer, generation settings."""
    return (name.endswith((".json", ".model", ".txt", ".jinja")) and not name.endswith(".index.json")) or name == "LICENSE"


def write_weights(folder, merged, tensors, weights, names, max_shard_size):
    """Write the average as save_pretrained would: the same shards, the same order, the same bytes.

    merged: the tensors as they are to be written; tensors: those of each source.
    """
    split = split_state_dict_into_shards_factory(
        merged, get_storage_size=lambda tensor: tensor.nbytes, get_storage_id=lambda tensor: None,
        filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size)
    only_first = [1.0] + [0.0] * (len(weights) - 1)
    with tqdm(total=sum(tensor.nbytes for tensor in merged.values()), unit="B", unit_scale=True, desc="merging") as bar:
        for file, shard in split.filename_to_tensors.items():
            # The order of the safetensors library: larger dtypes first, then by name.
            shard = sorted(shard, key=lambda name: (list(DTYPES).index(merged[name].dtype), name.encode()))
            with open(folder / file, "wb") as out:
                out.write(header_bytes(shard, merged))
                for name in shard:
                    average_stored(out, DTYPES[merged[name].dtype], name, [source[name] for source in tensors],
                                   weights if name in names else only_first, bar)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def header_bytes(names, tensors):
    """The head of a safetensors file that holds the tensors in this order."""
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        tensor = tensors[name]
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [place, place + tensor.nbytes]}
        place += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def average_stored(out, dtype, name, parts, weights, bar):
    """Append the average of one tensor in a torch dtype, piece by piece; parts: where it lies in each source."""
    used = [(i, part, weight) for i, (part, weight) in enumerate(zip(parts, weights), 1) if weight]
    done, size = 0, math.prod(parts[0].shape)
    pieces = [torch.empty(min(PIECE, size), dtype=DTYPES[part.dtype]) for _, part, _ in used]
    mean = torch.empty(min(PIECE, size), dtype=dtype)
    streams = [open(part.file, "rb") for _, part, _ in used]
    try:
        for stream, (_, part, _) in zip(streams, used):
            stream.seek(part.start)
        while done < size:
            count = min(PIECE, size - done)
            for stream, piece, (i, _, _) in zip(streams, pieces, used):
                read_into(piece[:count], stream)
                check_values(name, piece[:count], i, dtype, magnitude(piece[:count]))
            average_into(mean[:count], [piece[:count] for piece in pieces], [weight for _, _, weight in used])
            out.write(mean[:count].view(torch.uint8).numpy())
            done += count
            bar.update(count * dtype.itemsize)
    finally:
        for stream in streams:
            stream.close()


def read_into(piece, stream):
    """Fill a tensor with the next numbers of a file."""
    if stream.readinto(piece.view(torch.uint8).numpy()) != piece.nbytes:
        raise LoadError(f"{stream.name} became shorter while it was read.")


# --- may these be merged? ---------------------------------------------------------------------------------------

class Preflight(NamedTuple):
    """rows: for show_table(["", *labels], rows); refusals: why a merge is impossible; notes: what to know before one."""

    rows: list
    refusals: list
    notes: list


WHY = {
    "model_type": "the tensors of one have no counterpart in the other. Merge models of one architecture",
    "num_hidden_layers": "some layers would have no partner. Merge models of one size",
    "hidden_size": "matrices of different size have no numbers to pair. Merge models of one size",
    "tie_word_embeddings": "one model uses its embedding also as its output layer, the other learned a separate one, which "
                           "would have no partner. Merge models that were finetuned from the same base",
}


def preflight(sources):
    """What can be known about models before their weights are loaded: may they be averaged, and what should one know?

    sources: label -> Hub id or folder; of a Hub id only config and tokenizer are downloaded. Each model is compared with
    the first. Returns a Preflight; says nothing about whether a merge will be good: that must be measured. Raises
    LoadError if a model cannot be found or read.
    """
    configs, tokenizers, refusals, notes = {}, {}, [], []
    for label, source in sources.items():
        folder = find_folder(label, source, weights=False)
        if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
            base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
            refusals.append(f"{label} is an adapter, a small correction to {base}, not a model of its own. Merge it into that "
                            f"model first: peft.AutoPeftModelForCausalLM.from_pretrained({str(source)!r}).merge_and_unload()"
                            ".save_pretrained(folder), and give that folder.")
            continue
        try:
            configs[label] = AutoConfig.from_pretrained(folder)
            tokenizers[label] = AutoTokenizer.from_pretrained(folder)
        except Exception as error:
            raise LoadError(f"Model {label!r}: transformers cannot read its config or tokenizer: {str(error).splitlines()[0]}") from None
        if getattr(configs[label], "quantization_config", None):
            refusals.append(f"{label} is quantised: its numbers are codes, and the average of two codes means nothing. Take the "
                            "release in float32, bfloat16 or float16.")
    for label in list(configs)[1:]:
        first = next(iter(configs))
        refusals += _differences(first, configs[first], label, configs[label])
        if configs[first].model_type != configs[label].model_type:
            continue
        bad, remarks = _vocabularies(first, configs[first], tokenizers[first], label, configs[label], tokenizers[label])
        refusals, notes = refusals + bad, notes + remarks
        if tokenizers[first].chat_template != tokenizers[label].chat_template:
            notes.append(f"The chat templates of {first} and {label} differ: each learned its own marks for who is speaking. The "
                         f"merge is saved with {first}'s; try it with both before you trust it.")
    rows = [[question, *(answer(configs[label], tokenizers[label]) if label in configs else "" for label in sources)]
            for question, answer in QUESTIONS.items()]
    return Preflight(rows, refusals, notes)


QUESTIONS = {
    "architecture": lambda config, tokenizer: config.model_type,
    "layers": lambda config, tokenizer: config_setting(config, "num_hidden_layers"),
    "width": lambda config, tokenizer: config_setting(config, "hidden_size"),
    "vocabulary rows": lambda config, tokenizer: config_setting(config, "vocab_size"),
    "words in the tokenizer": lambda config, tokenizer: len(tokenizer),
    "output layer": lambda config, tokenizer: "the embedding" if config.tie_word_embeddings else "its own",
    "stored as": lambda config, tokenizer: str(config.dtype or "unknown").removeprefix("torch."),
    "quantised": lambda config, tokenizer: "yes" if getattr(config, "quantization_config", None) else "no",
    "chat template": lambda config, tokenizer: "yes" if tokenizer.chat_template else "no",
}


def _differences(first, config1, label, config2):
    """Sentences on the settings in which two architectures differ; a different model_type says it all."""
    settings = ARCHITECTURE[:1] if config1.model_type != config2.model_type else ARCHITECTURE
    pairs = ((setting, config_setting(config1, setting), config_setting(config2, setting)) for setting in settings)
    return [f"{setting} is {one} in {first} and {other} in {label}: "
            f"{WHY.get(setting, 'the same numbers would take part in another computation. Merge copies of one base')}."
            for setting, one, other in pairs if one != other]


def _vocabularies(first, config1, tokenizer1, label, config2, tokenizer2):
    """(refusals, notes) on two vocabularies."""
    rows1, rows2 = (config_setting(config, "vocab_size") for config in (config1, config2))
    rows = min(rows1, rows2)
    words1, words2 = ({word: i for word, i in tokenizer.get_vocab().items() if i < rows} for tokenizer in (tokenizer1, tokenizer2))
    if words1 != words2:
        row = min(i for _, i in words1.items() ^ words2.items())
        word1, word2 = (tokenizer.decode([row]) for tokenizer in (tokenizer1, tokenizer2))
        return [f"The tokenizers of {first} and {label} number their words differently: row {row} of the embedding is for {word1!r} in "
                f"{first} and for {word2!r} in {label}, so averaging would mix unrelated words. Merge models that share a tokenizer."], []
    if rows1 != rows2:
        lost = sorted({word for tokenizer in (tokenizer1, tokenizer2) for word, i in tokenizer.get_vocab().items() if i >= rows})
        return [], [f"The embeddings have {rows1} rows in {first} and {rows2} in {label}, with the same words "
                    f"in the first {rows}: load_models cuts them to that" + (f", and the merge loses {', '.join(lost[:5])}" if lost else "")
                    + ". Other programs want this done before they merge."]
    return [], []


# --- recipes ----------------------------------------------------------------------------------------------------

def write_recipe(folder, sources, weights, names, dtypes, scores=None, notes=()):
    """Write what was merged: mergekit_config.yml, which mergekit runs, and README.md, the model card."""
    one_dtype = str(next(iter(dtypes.values()))).removeprefix("torch.") if len(set(dtypes.values())) == 1 else None
    selection = None if len(names) == len(dtypes) else names
    recipe = yaml.safe_dump(mergekit_recipe(sources, weights, selection, one_dtype, dtypes), sort_keys=False)
    (folder / "mergekit_config.yml").write_text(recipe, encoding="utf-8")
    shares = "\n".join(f"| {source} | {weight:g} |" for source, weight in zip(sources, weights))
    what = f"{len(names)} of {len(dtypes)} tensors; the others are those of {sources[0]}" if selection else "all tensors"
    ids = [source for source in map(str, sources) if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not Path(source).is_dir()]
    parents = yaml.safe_dump({"base_model": ids, "base_model_relation": "merge"}) if ids else ""
    measured = "".join(f"| {name} | {score:.3f} |\n" for name, score in (scores or {}).items())
    measured = measured and f"\nMeasured:\n\n| text | bits per byte |\n|:--|--:|\n{measured}"
    known = notes and "\nBefore you repeat it:\n\n" + "".join(f"- {note}\n" for note in notes)
    (folder / "README.md").write_text(CARD.format(parents=parents, shares=shares, what=what, measured=measured, known=known or ""),
                                      encoding="utf-8")


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
            raise MergeError(f"A mergekit filter for {name} would also select {inside[0]}: this selection has no recipe.")
    filters = lambda weight: [{"filter": name, "value": weight} for name in sorted(names)]
    models = [{"model": str(source), "parameters": {
        "weight": weight if names is None else [*filters(weight), {"value": 0.0 if i else 1.0}]}}
        for i, (source, weight) in enumerate(zip(sources, weights))]
    half = dtype in ("float16", "bfloat16")
    dtypes = {"dtype": "float32", "out_dtype": dtype} if half else {"dtype": dtype} if dtype else {}
    return {"merge_method": "linear", **dtypes, "models": models}


class Recipe(NamedTuple):
    """A weighted average as arguments of merge_checkpoints; names and dtype are None where the recipe leaves them open."""

    sources: list
    weights: list
    names: set | None
    dtype: str | None


def read_recipe(file):
    """The Recipe in a mergekit configuration: merge_checkpoints(**read_recipe(file)._asdict(), destination=...) carries it out.

    Raises MergeError with the reason for what a plain weighted average cannot express.
    """
    recipe = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    refuse = lambda reason: MergeError(f"{file} cannot be carried out here: {reason}.")
    if not isinstance(recipe, dict) or recipe.get("merge_method") != "linear" or not isinstance(recipe.get("models"), list):
        raise refuse("only merge_method: linear with a list of models is a weighted average")
    unknown = sorted(set(recipe) - {"merge_method", "dtype", "out_dtype", "models"})
    if unknown:
        raise refuse(f"{unknown[0]} is not supported")
    sources, weights, selections, rests = [], [], [], []
    for entry in recipe["models"]:
        if not isinstance(entry, dict) or set(entry) != {"model", "parameters"} or set(entry["parameters"]) != {"weight"}:
            raise refuse("each model needs a model and a weight, and nothing else")
        weight = entry["parameters"]["weight"]
        conditions = weight if isinstance(weight, list) else [{"value": weight}]
        if not all(isinstance(c, dict) and isinstance(c.get("value"), (int, float)) and set(c) <= {"filter", "value"} for c in conditions):
            raise refuse(f"the weight of {entry['model']} is a gradient or no number")
        filtered, rest = [c for c in conditions if "filter" in c], [c["value"] for c in conditions if "filter" not in c]
        if len({c["value"] for c in filtered}) > 1 or len(rest) != 1 or "filter" in conditions[-1]:
            raise refuse(f"{entry['model']} has several weights")
        sources.append(entry["model"])
        weights.append(filtered[0]["value"] if filtered else rest[0])
        selections.append(frozenset(c["filter"] for c in filtered))
        rests.append(rest[0])
    if len(set(selections)) > 1 or (selections and selections[0] and rests != [1] + [0] * (len(rests) - 1)):
        raise refuse("its selections are not 'average these tensors, take the others from the first model'")
    dtype = recipe.get("out_dtype") or recipe.get("dtype")
    if dtype not in (None, *CODES):
        raise refuse(f"{dtype} is none of the dtypes {', '.join(CODES)}")
    return Recipe(sources, check_weights(weights, len(sources)), set(selections[0]) or None, dtype)
