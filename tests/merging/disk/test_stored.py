"""Checkpoint files that are damaged, incomplete or of another kind: refused by name before anything is written."""

import json
import shutil
import struct

import pytest
from small import refused_merge, write_model

from merging.errors import LoadError


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
    refused_merge([folders[0], less][::order], tmp_path, "less lacks 2 tensors, lm_head.weight among them", LoadError)


def test_a_file_that_was_cut_off(folders, tmp_path):
    cut = rewrite(folders[1], tmp_path / "cut", lambda header, data: pack(header, data[:-3]))
    refused_merge([folders[0], cut], tmp_path, "cut/model.safetensors is damaged .*not fully covered", LoadError)


def test_integers(folders, tmp_path):
    name, others = "transformer.ln_f.bias", {"dtype": "I8", "shape": [96]}
    change = lambda header, data: pack(header | {name: header[name] | others}, data)
    refused_merge([folders[0], rewrite(folders[1], tmp_path / "i", change)], tmp_path, "ln_f.bias in .* holds I8")


def test_a_file_that_is_no_bin(folders, tmp_path):
    shutil.copytree(folders[1], tmp_path / "bin")
    (tmp_path / "bin" / "model.safetensors").rename(tmp_path / "bin" / "pytorch_model.bin")
    refused_merge(
        [folders[0], tmp_path / "bin"], tmp_path, "bin is no checkpoint that transformers can load", LoadError
    )


def test_a_missing_shard(tmp_path, folders):
    sharded = write_model(tmp_path / "sharded", 1, shard="40KB")
    next(sharded.glob("*.safetensors")).unlink()
    refused_merge([folders[0], sharded], tmp_path, "is missing", LoadError)
