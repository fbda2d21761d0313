"""Where the tensors of a checkpoint lie on disk, in the format of save_pretrained.

That is safetensors, one file or several with an index: 8 bytes with the header's length, a JSON header, the data.
Format: https://github.com/huggingface/safetensors
"""

import json
import math
import struct
from pathlib import Path
from typing import NamedTuple

import torch

from merging.errors import LoadError, MergeError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
}  # in the format's order
CODES = {str(dtype).removeprefix("torch."): code for code, dtype in DTYPES.items()}  # "float32" -> "F32"


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
        raise LoadError(
            f"{folder} holds its weights as .bin, which cannot be read in pieces. Convert it once: "
            "load_models({'m': folder})['m'].model.save_pretrained(other_folder)."
        )
    else:
        raise LoadError(f"{folder} holds no model.safetensors and no model.safetensors.index.json.")
    headers = {name: read_header(folder / name) for name in sorted(set(places.values()))}
    for tensor, name in places.items():
        if tensor not in headers[name]:
            raise LoadError(
                f"The index of {folder} says that {tensor} is in {name}, which does not have it. Download "
                "the checkpoint again."
            )
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
            tensors = {
                name: Stored(file, 8 + length + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
                for name, entry in header.items()
            }
            ends = [entry["data_offsets"][1] for entry in header.values()]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise LoadError(damaged.format("its header is no safetensors header")) from None
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise MergeError(
                f"{name} in {file} holds {tensor.dtype}: integer and quantised tensors cannot be averaged. "
                "Take a checkpoint in float32, float16 or bfloat16; masks that old checkpoints hold go "
                "away if the model is loaded and saved once."
            )
        if tensor.start + tensor.nbytes != 8 + length + header[name]["data_offsets"][1]:
            raise LoadError(damaged.format(f"{name} has the wrong number of bytes"))
    if 8 + length + max(ends, default=0) != size:
        raise LoadError(
            damaged.format(f"{8 + length + max(ends, default=0):,} bytes are announced, {size:,} are there")
        )
    return tensors


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
