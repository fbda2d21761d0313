"""Where the tensors of a checkpoint lie on disk, in the format of save_pretrained.

That is safetensors, one file or several with an index: 8 bytes with the header's length, a JSON header, the data.
Format: https://github.com/huggingface/safetensors
"""

import json
import math
import os
import struct
from pathlib import Path
from typing import NamedTuple

import torch

from merging.errors import LoadError, MergeError
from merging.load.files import LIMIT, check_own, damaged, parse_object, read_index, unreadable

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
}  # in the format's order


CODES = {str(dtype).removeprefix("torch."): code for code, dtype in DTYPES.items()}  # "float32" -> "F32"


BITS = {code: 8 * dtype.itemsize for code, dtype in DTYPES.items()} | {  # of all that the format has
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E4M3FNUZ": 8, "F8_E5M2": 8, "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8, "I8": 8, "U8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64, "C64": 64,
}  # fmt: skip


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
    """name -> Stored for every tensor of a checkpoint folder; only headers are read. Raises LoadError, MergeError."""
    folder = Path(folder)
    check_own(folder)
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():  # where both are there, transformers, too, reads the one file
        tensors = read_header(folder / "model.safetensors")
    elif index.is_file():
        tensors = indexed_tensors(index)
    elif list(folder.glob("*.bin")):
        raise LoadError(
            f"{folder} holds its weights as .bin, which cannot be read in pieces. Convert it once: "
            "load_models({'m': folder})['m'].model.save_pretrained(other_folder)."
        )
    else:
        raise LoadError(f"{folder} holds no model.safetensors and no model.safetensors.index.json.")
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise MergeError(
                f"{name} in {tensor.file} holds {tensor.dtype}: integer and quantised tensors cannot be averaged. "
                "Take a checkpoint in float32, float16 or bfloat16; masks that old checkpoints hold go "
                "away if the model is loaded and saved once."
            )
    return tensors


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
    """name -> Stored from one safetensors file, after checking that header and data are all there. Raises LoadError."""
    text, size = header_text(file)
    header = parse_object(text, file, NO_HEADER)
    metadata = header.pop("__metadata__", None)
    if metadata is not None:
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise damaged(file, f"{NO_HEADER}: __metadata__ is not text")
    ranges = {name: check_entry(file, name, entry) for name, entry in header.items()}
    place = 0
    for name, (start, end) in sorted(ranges.items(), key=lambda item: item[1]):
        if start != place:
            raise damaged(file, f"{name} {'overlaps with' if start < place else 'leaves a gap after'} what precedes it")
        place = end
    if place != size:
        raise damaged(file, f"{place:,} bytes are announced, {size:,} are there")
    return {
        name: Stored(file, 8 + len(text) + start, header[name]["dtype"], tuple(header[name]["shape"]))
        for name, (start, _) in ranges.items()
    }


def header_text(file):
    """(the header of a safetensors file in bytes, the number of bytes behind it). Raises LoadError."""
    try:
        if not file.is_file():
            raise LoadError(f"{file} is missing. Download the checkpoint again.")
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size - 8
            length = struct.unpack("<Q", stream.read(8))[0] if size >= 0 else 0
            if not 2 <= length <= size:
                raise damaged(file, "its header does not fit into the file")
            if length > LIMIT:
                raise damaged(file, f"its header has {length / 1e6:,.0f} MB, where {LIMIT / 1e6:.0f} are allowed")
            return stream.read(length), size - length
    except LoadError:
        raise
    except OSError as error:
        raise unreadable(file, error) from None


def check_entry(file, name, entry):
    """(first byte, last byte + 1) of a tensor as its entry in the header has it. Raises LoadError."""
    # At most 64 dimensions: a damaged shape of a million numbers would be multiplied for hours.
    whole = lambda numbers: isinstance(numbers, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in numbers)
    if (
        not name.isprintable()
        or not isinstance(entry, dict)
        or set(entry) != {"dtype", "shape", "data_offsets"}
        or not (isinstance(entry["dtype"], str) and entry["dtype"] in BITS)
        or not (whole(entry["shape"]) and len(entry["shape"]) <= 64)
        or not (whole(entry["data_offsets"]) and len(entry["data_offsets"]) == 2)
    ):
        raise damaged(file, f"{NO_HEADER}: see its entry {name!r:.100}")
    start, end = entry["data_offsets"]
    if 8 * (end - start) != math.prod(entry["shape"]) * BITS[entry["dtype"]]:
        raise damaged(file, f"{name} has the wrong number of bytes")
    return start, end


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
