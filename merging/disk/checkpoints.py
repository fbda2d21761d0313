"""Merges from disk to disk in a few megabytes of memory."""

import json
import math
import warnings
from contextlib import ExitStack
from pathlib import Path

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from tqdm.auto import tqdm

from merging.averaging import average_into
from merging.checks import (
    check_configs,
    check_names,
    check_selection,
    check_values,
    check_weights,
    magnitude,
    say_settings,
    shape_message,
)
from merging.disk.card import describe_merge
from merging.disk.companions import copy_companions, tidy_config
from merging.disk.folders import check_space, whole_folder
from merging.disk.saving import check_written
from merging.disk.sources import as_transformers_writes
from merging.disk.stored import MAX_SHARD_SIZE, header_bytes, stored_tensors
from merging.errors import LoadError, MergeError
from merging.load.files import read_config, unreadable
from merging.load.kinds import DTYPES, dtype_code
from merging.load.layout import no_language
from merging.load.loading import find_folder
from merging.load.reading import stored_dtype

PIECE = 1 << 18  # numbers read of each source at a time: a megabyte in float32


def merge_checkpoints(
    sources, weights, destination, names=None, dtype=None, overwrite=False, max_shard_size=MAX_SHARD_SIZE
):
    """Weighted average of N checkpoints, sum of weights[i] * theta_i, read and written in pieces.

    sources: folders or Hub ids. weights sum to 1, for two sources [alpha, 1 - alpha]. names: only these tensors are
    averaged, the others are the first source's. The weights in destination are byte for byte what save_pretrained
    writes for the merge in memory; config, tokenizer and generation settings are the first source's. Half precision
    is averaged in float32 and rounded once. dtype: what to save in, for example "bfloat16"; None keeps the first
    source's, tensor by tensor, with a warning where the others differ. destination appears when it is complete;
    overwrite=True replaces an older one only then. Returns destination as a Path. Raises MergeError, LoadError,
    FileExistsError, OSError (disk full). Source: arXiv 2203.05482.
    """
    found = [find_folder(f"source {i}", source) for i, source in enumerate(sources, 1)]
    weights, destination = check_weights(weights, len(found)), Path(destination).expanduser()
    dtype = dtype_code(dtype) if dtype else None
    before = [modified(folder) for folder in found]
    with whole_folder(destination, found, overwrite) as partial, as_transformers_writes(found, partial) as folders:
        tensors = [stored_tensors(folder) for folder in folders]
        check_checkpoints(folders, tensors, dtype)
        names = check_selection(names, tensors[0])
        merged = {name: tensor._replace(dtype=dtype or tensor.dtype) for name, tensor in tensors[0].items()}
        check_space(partial, sum(tensor.nbytes for tensor in merged.values()))
        copy_companions(folders[0], partial)
        told = stored_dtype(read_config(folders[0]), {name: tensor.dtype for name, tensor in merged.items()})
        tidy_config(partial, str(told).removeprefix("torch."))
        dtypes = [DTYPES[tensor.dtype] for tensor in merged.values()]
        describe_merge(partial, sources, weights, names, merged, dtypes)
        write_weights(partial, merged, tensors, weights, names, max_shard_size)
        check_written(partial)
        check_unchanged(found, before)
    return destination


def check_checkpoints(folders, tensors, dtype):
    """Raise MergeError unless the checkpoints have one architecture, the same tensors and the same shapes.

    dtype: what the merge is saved in; if None, a warning says in which tensors' dtypes the sources differ.
    """
    configs = [read_config(folder) for folder in folders]
    first = tensors[0]
    if why := no_language("Source 1", configs[0]):
        raise MergeError(why)
    for i, (config, other) in enumerate(zip(configs[1:], tensors[1:]), 2):
        if type(config) is not type(configs[0]):
            raise MergeError(
                f"Source 1 is a {configs[0].model_type}, source {i} a {config.model_type}: their tensors mean "
                "different things. Merge checkpoints of one architecture."
            )
        check_configs(configs[0], config, i)
        say_settings(configs[0], config, i)
        check_names(first, other, i, "source")
        for name, tensor in first.items():
            if other[name].shape != tensor.shape:
                raise MergeError(shape_message(name, tensor.shape, other[name].shape, i))
        mixed = sorted(name for name in first if other[name].dtype != first[name].dtype)
        if mixed and not dtype:
            warnings.warn(
                f"{mixed[0]} is {other[mixed[0]].dtype} in source {i} and {first[mixed[0]].dtype} in source 1: the "
                f"merge is saved as source 1 has it ({len(mixed)} such tensors), or as dtype= says.",
                stacklevel=3,
            )


def modified(folder):
    """file -> (time of its last change, size, number) for the files of a checkpoint that a merge reads."""
    files = [file for file in folder.iterdir() if file.suffix in (".safetensors", ".json") and file.is_file()]
    states = {file: file.stat() for file in files}
    return {file: (state.st_mtime_ns, state.st_size, state.st_ino) for file, state in states.items()}


def check_unchanged(folders, before):
    """Raise LoadError if a file of a source is not as modified() saw it before: the merge would be a mix."""
    for folder, old in zip(folders, before):
        new = modified(folder)
        changed = sorted(file for file in old.keys() | new if old.get(file) != new.get(file))
        if changed:
            raise LoadError(
                f"{changed[0]} changed while it was read, so the merge would be a mix of old and new. Merge again when "
                "nothing writes there."
            )


def write_weights(folder, merged, tensors, weights, names, max_shard_size):
    """Write the average as save_pretrained would: the same shards, the same order, the same bytes.

    merged: the tensors as they are to be written; tensors: those of each source.
    """
    split = split_state_dict_into_shards_factory(
        merged,
        get_storage_size=lambda tensor: tensor.nbytes,
        get_storage_id=lambda tensor: None,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=max_shard_size,
    )
    only_first = [1.0] + [0.0] * (len(weights) - 1)
    with tqdm(total=sum(tensor.nbytes for tensor in merged.values()), unit="B", unit_scale=True, desc="merging") as bar:
        for file, shard in split.filename_to_tensors.items():
            # The order of the safetensors library: larger dtypes first, then by name.
            shard = sorted(shard, key=lambda name: (list(DTYPES).index(merged[name].dtype), name.encode()))
            with open(folder / file, "wb") as out:
                out.write(header_bytes(shard, merged))
                for name in shard:
                    average_stored(
                        out,
                        DTYPES[merged[name].dtype],
                        name,
                        [source[name] for source in tensors],
                        weights if name in names else only_first,
                        bar,
                    )
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(
            json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def average_stored(out, dtype, name, parts, weights, bar):
    """Append the average of one tensor in a torch dtype, piece by piece; parts: where it lies in each source."""
    used = [(i, part, weight) for i, (part, weight) in enumerate(zip(parts, weights), 1) if weight]
    done, size = 0, math.prod(parts[0].shape)
    pieces = [torch.empty(min(PIECE, size), dtype=DTYPES[part.dtype]) for _, part, _ in used]
    mean = torch.empty(min(PIECE, size), dtype=dtype)
    with ExitStack() as opened:
        streams = [opened.enter_context(open_source(part)) for _, part, _ in used]
        while done < size:
            count = min(PIECE, size - done)
            for stream, piece, (i, _, _) in zip(streams, pieces, used):
                read_into(piece[:count], stream)
                check_values(name, piece[:count], i, dtype, magnitude(piece[:count]))
            average_into(mean[:count], [piece[:count] for piece in pieces], [weight for _, _, weight in used])
            out.write(mean[:count].view(torch.uint8).numpy())
            done += count
            bar.update(count * dtype.itemsize)


def open_source(part):
    """The file that holds a tensor, opened at its first number. Raises LoadError."""
    try:
        stream = open(part.file, "rb")
    except OSError as error:
        raise unreadable(part.file, error) from None
    stream.seek(part.start)
    return stream


def read_into(piece, stream):
    """Fill a tensor with the next numbers of a file. Raises LoadError."""
    try:
        count = stream.readinto(piece.view(torch.uint8).numpy())
    except OSError as error:
        raise unreadable(stream.name, error) from None
    if count != piece.nbytes:
        raise LoadError(f"{stream.name} became shorter while it was read. Merge again when nothing writes there.")
