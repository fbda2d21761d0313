"""Checkpoint files that are damaged, incomplete or of another kind: refused by name before anything is written."""

import json
import shutil
import struct

import pytest
from small import refused_merge, write_model

from merging.errors import LoadError, MergeError


def rewrite(folder, target, change):
    """A copy of a checkpoint whose safetensors file went through change(header, data) -> bytes."""
    shutil.copytree(folder, target)
    content = (target / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    (target / "model.safetensors").write_bytes(change(json.loads(content[8 : 8 + length]), content[8 + length :]))
    return target


def pack(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def without_last(header, data):
    name = max((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"])
    return pack({n: e for n, e in header.items() if n != name}, data[: header[name]["data_offsets"][0]])


@pytest.mark.parametrize("order", [1, -1])
def test_a_missing_tensor(folders, tmp_path, order):
    less = rewrite(folders[1], tmp_path / "less", without_last)
    refused_merge([folders[0], less][::order], tmp_path, "is in source . but not in source .")


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda header, data: pack(header, data[:-3]), LoadError, "bytes are announced"),
        (lambda header, data: pack(header, data + b"x"), LoadError, "bytes are announced"),
        (lambda header, data: b"\x00" * 5, LoadError, "header does not fit"),
        (lambda header, data: struct.pack("<Q", 1 << 60) + data, LoadError, "header does not fit"),
        (lambda header, data: struct.pack("<Q", 9) + b"not json!" + data, LoadError, "no safetensors header"),
        (lambda header, data: struct.pack("<Q", 2) + b"[]" + data, LoadError, "no safetensors header"),
        (
            lambda header, data: pack(
                header
                | {
                    "transformer.ln_f.bias": {
                        "dtype": "I8",
                        "shape": [96],
                        "data_offsets": header["transformer.ln_f.bias"]["data_offsets"],
                    }
                },
                data,
            ),
            MergeError,
            "ln_f.bias in .* holds I8",
        ),
        (
            lambda header, data: pack(
                header | {"transformer.ln_f.bias": header["transformer.ln_f.bias"] | {"shape": [7]}}, data
            ),
            LoadError,
            "wrong number of bytes",
        ),
    ],
    ids=["truncated", "longer", "five bytes", "huge header", "no json", "a list", "integers", "wrong shape"],
)
def test_a_damaged_file(folders, tmp_path, change, error, message):
    refused_merge([folders[0], rewrite(folders[1], tmp_path / "damaged", change)], tmp_path, message, error)


def test_a_bin_checkpoint_is_told_how_to_convert(folders, tmp_path):
    shutil.copytree(folders[1], tmp_path / "bin")
    (tmp_path / "bin" / "model.safetensors").rename(tmp_path / "bin" / "pytorch_model.bin")
    refused_merge([folders[0], tmp_path / "bin"], tmp_path, "Convert it once: .*save_pretrained", LoadError)


def test_a_missing_shard(tmp_path, folders):
    sharded = write_model(tmp_path / "sharded", 1, shard="40KB")
    next(sharded.glob("*.safetensors")).unlink()
    refused_merge([folders[0], sharded], tmp_path, "is missing", LoadError)
