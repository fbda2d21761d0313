"""Random damage to files: whatever a file holds, it is read correctly or refused in one sentence that names it.

The properties run for a few seconds with the other tests, always on the same examples (see test_damage.py).
`make fuzz` runs this file on new ones: FUZZ is the number of examples for each property.
"""

import copy
import json
import os
import struct
from pathlib import Path

import pytest
import safetensors
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from merging.disk.stored import read_header, stored_tensors
from merging.errors import LoadError
from merging.load import gguf
from merging.load.adapters import adapter_config, adapter_tensors, base_of
from merging.load.files import check_files, read_config, read_index

EXAMPLES = int(os.environ.get("FUZZ", 0))
examples = lambda n: settings(
    max_examples=EXAMPLES or n,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# --- damage -----------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([-1, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, 0.5, 4.0, -0.0, 1e308]),
    st.floats(),
)
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["F32", "BF16", "I8", "F4", "linear", "ties", "float16", "weight", "filter", "value", "LORA"]),
    st.sampled_from(
        ["", ".", "..", "/etc/passwd", "../outside.safetensors", "one.safetensors", "a\nb", "\x00", "\ud800"]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def places(value, path=()):
    """The path of every value inside of lists and dicts, and of the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [deeper for key, item in inside for deeper in places(item, (*path, key))]


@st.composite
def changed(draw, original):
    """A copy of a nested value, one to three parts of which are replaced, removed or added."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        parent = part = value
        for key in path:
            parent, part = part, part[key]
        how = draw(st.integers(0, 5))
        if isinstance(part, dict) and how > 1:
            part[draw(WORDS)] = draw(VALUES)
        elif not path:
            value = draw(VALUES)
        elif how == 0:
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(VALUES)
    return value


@st.composite
def broken(draw, content):
    """Bytes of which a few are cut off, replaced or put in."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        gone = draw(st.integers(0, 9))
        new = draw(st.one_of(st.just(b""), st.binary(max_size=9), st.sampled_from([b"[" * 2000, b"{", b'"', b"null"])))
        content = content[:start] if gone == 9 else content[:start] + new + content[start + gone :]
    return content


def json_bytes(value):
    return json.dumps(value).encode("utf-8", "surrogatepass")


def damage(original):
    """The bytes of a JSON file with other values, with other bytes, or as they were."""
    plain = json_bytes(original)
    return st.one_of(changed(original).map(json_bytes), broken(plain), st.just(plain))


def refused(read, file, errors=LoadError):
    """What read() gives, or None if it raises one sentence that names the file; any other error is a finding."""
    try:
        return read()
    except errors as error:
        assert "\n" not in str(error) and str(file) in str(error) and len(str(error)) < 900
        return None


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# --- checkpoints ------------------------------------------------------------------------------------------------

HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
    "c": {"dtype": "F16", "shape": [0, 4], "data_offsets": [22, 22]},
    "d": {"dtype": "BOOL", "shape": [2], "data_offsets": [22, 24]},
}
DATA = bytes(range(24))


def with_length(header):
    return struct.pack("<Q", len(header)) + header


def check_against_the_library(file):
    """Read a header; where it is accepted, the safetensors library finds the same tensors and bytes in the file."""
    ours, content = refused(lambda: read_header(file), file), file.read_bytes()
    if ours is not None:
        with safetensors.safe_open(file, "pt") as theirs:
            assert set(theirs.keys()) == set(ours)
            for name, tensor in ours.items():
                assert theirs.get_slice(name).get_dtype() == tensor.dtype
                expected = theirs.get_tensor(name)
                assert expected.shape == tensor.shape
                stored = expected.flatten().view(torch.uint8).numpy().tobytes()
                assert content[tensor.start :][: len(stored)] == stored


@examples(100)
@given(header=changed(HEADER))
def test_a_header_with_other_values(place, header):
    file = place / "model.safetensors"
    file.write_bytes(with_length(json_bytes(header)) + DATA)
    check_against_the_library(file)


@examples(100)
@given(content=broken(with_length(json_bytes(HEADER)) + DATA))
def test_a_file_with_other_bytes(place, content):
    file = place / "model.safetensors"
    file.write_bytes(content)
    check_against_the_library(file)


@pytest.fixture(scope="session")
def sharded(tmp_path_factory):
    """A folder with two files and a third beside it, outside."""
    root = tmp_path_factory.mktemp("sharded")
    folder = root / "checkpoint"
    folder.mkdir()
    for file, name in ((folder / "one", "a"), (folder / "two", "b"), (root / "outside", "a")):
        save_file({name: torch.ones(3)}, f"{file}.safetensors", metadata={"format": "pt"})
    return folder


INDEX = {"metadata": {"total_size": 24}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}


@examples(200)
@given(content=damage(INDEX))
def test_an_index(sharded, content):
    index = sharded / "model.safetensors.index.json"
    index.write_bytes(content)
    refused(lambda: read_index(index), index)
    tensors = refused(lambda: stored_tensors(sharded), sharded)  # or one of its files
    for tensor in (tensors or {}).values():
        assert tensor.file.resolve().parent == sharded.resolve() and tensor.dtype == "F32" and tensor.shape == (3,)


CONFIG = dict(model_type="llama", hidden_size=16, num_hidden_layers=2, num_attention_heads=4, vocab_size=60, dtype=None)


@examples(100)
@given(content=damage(CONFIG))
def test_a_config(place, content):
    (place / "config.json").write_bytes(content)
    refused(lambda: read_config(place), place / "config.json")
    refused(lambda: check_files(place), place)


# --- adapters and GGUF ------------------------------------------------------------------------------------------

ADAPTER = dict(peft_type="LORA", r=2, lora_alpha=4, target_modules=["q"], base_model_name_or_path="owner/base")


@examples(100)
@given(content=damage(ADAPTER))
def test_an_adapters_settings(place, content):
    (place / "adapter_config.json").write_bytes(content)
    for read in (adapter_config, base_of):
        refused(lambda: read("m", place), place)


@examples(100)
@given(content=broken(with_length(json_bytes(HEADER)) + DATA))
def test_an_adapters_weights(place, content):
    (place / "adapter_model.safetensors").write_bytes(content)
    refused(lambda: adapter_tensors("m", place), place)


@pytest.fixture(scope="session")
def gguf_bytes(tmp_path_factory):
    from test_gguf import write_gguf

    file = tmp_path_factory.mktemp("gguf") / "small.gguf"
    write_gguf(file)
    return file.read_bytes()


@examples(100)
@given(data=st.data())
def test_a_gguf_file(place, gguf_bytes, data):
    file = Path(place / "damaged.gguf")
    head = gguf_bytes[:3000]  # magic number, counts, settings, the words of the tokenizer
    file.write_bytes(data.draw(broken(head)) + gguf_bytes[3000:])
    refused(lambda: gguf.bits("m", file), file)
