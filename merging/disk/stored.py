"""Where the tensors of a checkpoint lie on disk, in the format of save_pretrained.

That is safetensors, one file or several with an index: 8 bytes with the header's length, a JSON header, the data.
Format: https://github.com/huggingface/safetensors
"""

import json
import math
import struct
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from merging.errors import LoadError, MergeError
from merging.load.files import check_own, damaged, parse_object, read_index, reason, unreadable
from merging.load.kinds import DTYPES

MAX_SHARD_SIZE = "50GB"  # as save_pretrained
NO_HEADER = "its header is no safetensors header"


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
    """name -> Stored for every tensor of a checkpoint folder, all of floats. Raises LoadError, MergeError."""
    tensors = all_tensors(folder)
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise MergeError(
                f"{name} in {tensor.file} holds {tensor.dtype}: integer and quantised tensors cannot be averaged. "
                "Take a checkpoint in float32, float16 or bfloat16."
            )
    return tensors


def all_tensors(folder):
    """name -> Stored for every tensor of a checkpoint folder; only headers are read. Raises LoadError."""
    folder = Path(folder)
    check_own(folder)
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():  # where both are there, transformers, too, reads the one file
        return read_header(folder / "model.safetensors")
    if index.is_file():
        return indexed_tensors(index)
    raise LoadError(f"{folder} holds no model.safetensors and no model.safetensors.index.json.")


def indexed_tensors(index):
    """name -> Stored for the tensors of all files that an index names. Raises LoadError."""
    places = read_index(index)
    headers = {name: read_header(index.parent / name) for name in sorted(set(places.values()))}
    for tensor, name in places.items():
        if tensor not in headers[name]:
            raise damaged(index, f"it says that {tensor!r:.100} is in {name}, which does not have it")
    tensors = {tensor: headers[name][tensor] for tensor, name in places.items()}
    for header in headers.values():
        for tensor, stored in header.items():
            if tensors.setdefault(tensor, stored) != stored:
                raise damaged(index, f"{tensor} is in {tensors[tensor].file.name} and in {stored.file.name}")
    return tensors


def read_header(file):
    """name -> Stored from one safetensors file that the safetensors library finds sound. Raises LoadError.

    Three things that the library lets pass are refused, too: a name twice, a list for a tensor, a line break in a name.
    """
    try:
        with open(file, "rb") as stream, safe_open(file, "pt"):
            length = struct.unpack("<Q", stream.read(8))[0]
            text = stream.read(length)
    except FileNotFoundError:
        raise LoadError(f"{file} is missing. Download the checkpoint again.") from None
    except SafetensorError as error:
        raise damaged(file, reason(error)) from None
    except OSError as error:
        raise unreadable(file, error) from None
    header = parse_object(text, file, NO_HEADER)
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not (name.isprintable() and isinstance(entry, dict) and isinstance(entry["dtype"], str)):
            raise damaged(file, f"{NO_HEADER}: see its entry {name!r:.100}")
    return {
        name: Stored(file, 8 + length + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
        for name, entry in header.items()
    }


def header_bytes(names, tensors):
    """The head of a safetensors file that holds the tensors in this order."""
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        tensor = tensors[name]
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.nbytes],
        }
        place += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
