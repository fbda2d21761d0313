"""Damaged and odd files: one LoadError that names the file, before any number is read and from load_models, too."""

import json
import os
import shutil
import struct
import tracemalloc

import pytest
import torch
from fuzz import *  # noqa: F403  the properties, on a few seconds' worth of fixed examples
from safetensors.torch import load_file, save_file
from small import build, build_tokenizer, write_model, write_own
from transformers import AutoConfig

from merging.disk.checkpoints import merge_checkpoints
from merging.disk.stored import read_header, stored_tensors
from merging.errors import LoadError
from merging.load import files
from merging.load.files import check_files, check_inside, read_config, read_index
from merging.load.loading import load_models
from merging.load.preflight import preflight

INDEX = "model.safetensors.index.json"
NESTED = b"[" * 100_000


def one_sentence(call, *words, error=LoadError):
    """The call raises one sentence that has all words in it."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 900
    for word in words:
        assert str(word) in message, message


def not_loaded(folder, *words):
    """load_models and preflight refuse a folder in one sentence that has all words in it."""
    one_sentence(lambda: load_models({"mine": folder}, device="cpu"), "'mine'", folder, *words)


# --- the index --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shards(small, tmp_path_factory):
    """A checkpoint in several files, with a tokenizer."""
    folder = tmp_path_factory.mktemp("shards")
    small.model.save_pretrained(folder, max_shard_size="20KB")
    small.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def sharded_model(shards, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(shards, tmp_path / "shards")


BROKEN = {
    "no JSON": b'{"weight_map"',
    "a list": b"[]",
    "no UTF-8": b'{"weight_map": "\xff"}',
    "nested": NESTED,
    "a number of 5000 digits": b'{"weight_map": ' + b"9" * 5000 + b"}",
    "named twice": b'{"weight_map": {"a": "b"}, "weight_map": {"a": "b"}}',
}
NO_MAP = {
    "no weight_map": {},
    "weight_map is empty": {"weight_map": {}},
    "a number for a file": {"weight_map": {"a": 1}},
}


@pytest.mark.parametrize(
    "content", [*BROKEN.values(), *(json.dumps(value).encode() for value in NO_MAP.values())], ids=[*BROKEN, *NO_MAP]
)
def test_a_damaged_index(sharded_model, content):
    (sharded_model / INDEX).write_bytes(content)
    one_sentence(lambda: stored_tensors(sharded_model), sharded_model / INDEX, "damaged", "Download")
    not_loaded(sharded_model, INDEX, "damaged")


def test_an_index_that_is_a_folder(sharded_model):
    (sharded_model / INDEX).unlink()
    (sharded_model / INDEX).mkdir()
    one_sentence(lambda: read_index(sharded_model / INDEX), sharded_model / INDEX, "cannot be read")


def point_to(folder, name):
    """Let the index say of its last file that it has another name."""
    index = json.loads((folder / INDEX).read_text())
    last = max(index["weight_map"].values())
    index["weight_map"] = {tensor: name if file == last else file for tensor, file in index["weight_map"].items()}
    (folder / INDEX).write_text(json.dumps(index))
    return folder / last


@pytest.mark.parametrize(
    "way", ["..", "absolute", "a link", "a linked folder", "a subfolder", "a link to itself", "long", "zero"]
)
def test_an_index_that_points_outside_of_its_folder(sharded_model, tmp_path, way):
    outside = tmp_path / "outside"
    outside.mkdir()
    name = {
        "..": "../outside/secret.safetensors",
        "absolute": str(outside / "secret.safetensors"),
        "a link": "secret.safetensors",
        "a linked folder": "inside/secret.safetensors",
        "a subfolder": "inside/secret.safetensors",
        "a link to itself": "loop/secret.safetensors",
        "long": "x" * 5000,
        "zero": "a\0b",
    }[way]
    shutil.copy(point_to(sharded_model, name), outside / "secret.safetensors")  # sound, so that only its place is wrong
    (sharded_model / "secret.safetensors").symlink_to(outside / "secret.safetensors")
    if way == "a subfolder":
        shutil.copytree(outside, sharded_model / "inside")
    else:
        (sharded_model / "inside").symlink_to(outside)
    (sharded_model / "loop").symlink_to("loop")
    one_sentence(
        lambda: read_index(sharded_model / INDEX), sharded_model / INDEX, "not in its folder", "beside the index"
    )
    one_sentence(lambda: stored_tensors(sharded_model), sharded_model, "folder")
    not_loaded(sharded_model, "folder")


def test_an_index_of_bin_files_that_points_outside(sharded_model, tmp_path):
    for file in sharded_model.glob("*.safetensors"):
        file.unlink()
    point_to(sharded_model, "../outside.bin")
    (sharded_model / INDEX).rename(sharded_model / "pytorch_model.bin.index.json")
    torch.save({}, tmp_path / "outside.bin")
    not_loaded(sharded_model, "pytorch_model.bin.index.json", "not in its folder")


def test_the_hubs_cache_of_links_is_read(shards, tmp_path):
    snapshot, blobs = tmp_path / "models--me--mine" / "snapshots" / "0123", tmp_path / "models--me--mine" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(shards.iterdir()):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert list(stored_tensors(snapshot)) == list(stored_tensors(shards))
    load_models({"mine": snapshot}, device="cpu")
    (tmp_path / "elsewhere").write_bytes((snapshot / INDEX).read_bytes())
    (snapshot / "x").symlink_to(tmp_path / "elsewhere")
    one_sentence(lambda: check_inside(snapshot / INDEX, "x"), "not in its folder")


def test_a_tensor_in_two_files_is_refused_and_one_that_the_index_forgets_is_kept(sharded_model):
    *_, one, other = sorted(sharded_model.glob("*.safetensors"))
    expected = set(stored_tensors(sharded_model))
    index = json.loads((sharded_model / INDEX).read_text())
    forgotten = next(name for name, file in index["weight_map"].items() if file == one.name)
    if list(index["weight_map"].values()).count(one.name) > 1:
        del index["weight_map"][forgotten]  # transformers loads it nevertheless
        (sharded_model / INDEX).write_text(json.dumps(index))
    assert set(stored_tensors(sharded_model)) == expected
    save_file(load_file(other) | {forgotten: torch.ones(2)}, other, metadata={"format": "pt"})
    one_sentence(lambda: stored_tensors(sharded_model), INDEX, f"{forgotten} is in", one.name, other.name)


def test_an_index_of_a_tensor_that_its_file_does_not_have(sharded_model):
    index = json.loads((sharded_model / INDEX).read_text())
    file = index["weight_map"]["no.such.tensor"] = next(iter(index["weight_map"].values()))
    (sharded_model / INDEX).write_text(json.dumps(index))
    one_sentence(lambda: stored_tensors(sharded_model), INDEX, "'no.such.tensor' is in", file, "does not have it")


def test_where_an_index_and_one_file_are_there_the_one_file_counts_as_in_transformers(sharded_model, small, tmp_path):
    other = build("gpt-neo", 3, **{key: getattr(small.model.config, key) for key in SHAPE})
    other.save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", sharded_model)
    assert {tensor.file.name for tensor in stored_tensors(sharded_model).values()} == {"model.safetensors"}
    loaded = load_models({"mine": sharded_model}, device="cpu")["mine"].model
    assert torch.equal(loaded.transformer.wte.weight, other.transformer.wte.weight)


SHAPE = ("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size", "max_position_embeddings")

# --- the header -------------------------------------------------------------------------------------------------


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HEADERS = {
    "overlap": ({"a": entry(), "b": entry(offsets=(4, 12))}, "`b`"),
    "gap": ({"a": entry(shape=(1,), offsets=(0, 4)), "b": entry(shape=(1,), offsets=(8, 12))}, "`b`"),
    "negative shape": ({"a": entry(shape=(-2,))}, "-2"),
    "a million dimensions": ({"a": entry(shape=[1 << 60] * 100_000)}, "overflow"),
    "an unknown dtype": ({"a": entry("F33", (3,), (0, 12))}, "F33"),
    "a dict for a dtype": ({"a": entry({"F32": None}, (3,), (0, 12))}, "'a'"),
    "a list for a tensor": ({"a": ["F32", [3], [0, 12]]}, "'a'"),
    "a line break in a name": ({"a\nb": entry(shape=(3,), offsets=(0, 12))}, r"'a\nb'"),
    "__metadata__ is a list": ({"__metadata__": [], "a": entry(shape=(3,), offsets=(0, 12))}, "header"),
}
TEXTS = {
    "named twice": (
        b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}',
        "'a' stands there twice",
    ),
    "no UTF-8": (b'{"\xff":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}', "header"),
    "nested": (NESTED, "header"),
}


@pytest.mark.parametrize(
    "text, words",
    [*((json.dumps(header).encode(), words) for header, words in HEADERS.values()), *TEXTS.values()],
    ids=[*HEADERS, *TEXTS],
)
def test_a_damaged_header(folder, text, words):
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(12))
    one_sentence(lambda: read_header(file), file, "damaged", words, "Download")
    not_loaded(folder)


def test_a_header_of_gigabytes_is_refused_without_reading_it(folder):
    file = folder / "model.safetensors"
    with open(file, "wb") as stream:
        stream.write(struct.pack("<Q", 3 << 30))
        stream.truncate((3 << 30) + 100)  # a hole, which takes no space on the disk
    tracemalloc.start()
    try:
        one_sentence(lambda: read_header(file), file, "header", "damaged")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    (folder / INDEX).write_bytes(b"")
    os.truncate(folder / INDEX, 1 << 30)
    one_sentence(lambda: read_index(folder / INDEX), folder / INDEX, "1,074 MB")


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    def forbidden(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    file = folder / "model.safetensors"
    one_sentence(lambda: read_header(file), file, "cannot be read (Permission denied)")


# --- configurations and tokenizers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind",
    [("config.json", kind) for kind in BROKEN]
    + [(f"{name}.json", "no JSON") for name in ("tokenizer", "tokenizer_config", "generation_config")],
)
def test_a_damaged_json_file(folder, name, kind):
    (folder / name).write_bytes(BROKEN[kind] if kind != "a number of 5000 digits" else b"9" * 5000)
    not_loaded(folder, name, "damaged")
    one_sentence(lambda: preflight({"mine": folder}), "'mine'", folder / name, "damaged")
    if name == "config.json":
        one_sentence(lambda: merge_checkpoints([folder, folder], [0.5, 0.5], folder / ".." / "m"), folder / name)


CONFIGS = {
    "text for a number": dict(hidden_size="wide"),
    "negative": dict(hidden_size=-1),
    "another size": dict(hidden_size=64),
    "a trillion rows": dict(vocab_size=10**12),
    "a list for a type": dict(model_type=[]),
    "an unknown type": dict(model_type="no_such_type"),
}


@pytest.mark.parametrize("change", CONFIGS.values(), ids=list(CONFIGS))
def test_a_config_that_does_not_fit(folder, change):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    not_loaded(folder)


def test_a_config_of_other_shapes_is_named_as_the_reason(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | dict(hidden_size=64)))
    not_loaded(folder, "other shapes than its config.json says")


def test_a_config_of_a_billion_layers_builds_nothing(tmp_path):
    AutoConfig.for_model("llama", num_hidden_layers=10**9).save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    one_sentence(lambda: read_config(tmp_path), tmp_path / "config.json", "1,000,000,000 in num_hidden_layers")
    one_sentence(lambda: preflight({"mine": tmp_path}), tmp_path / "config.json", "1,000,000,000 in num_hidden_layers")
    not_loaded(tmp_path, "1,000,000,000 in num_hidden_layers")


@pytest.mark.parametrize("name", ["gpt-neo", "llama"])
def test_a_folder_without_a_tokenizer(tmp_path, name):
    """For GPT-Neo and many others, transformers makes a tokenizer of one word where there is none."""
    build(name).save_pretrained(tmp_path)
    not_loaded(tmp_path, "no tokenizer.json", "Copy the tokenizer's files")
    one_sentence(lambda: preflight({"mine": tmp_path}), "no tokenizer.json")
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    not_loaded(tmp_path, "no merges.txt")


@pytest.mark.parametrize(
    "content, missing, words",
    [
        (b"\n\x0e\n\x05<unk>", "sentencepiece", "pip install sentencepiece"),
        (b"\n\x0e\n\x05<unk>", "protobuf", "pip install protobuf"),
        (b"IQ== 0\nIg== 1\n", "tiktoken", "pip install tiktoken"),
    ],
)
def test_a_tokenizer_that_needs_a_missing_package(tmp_path, monkeypatch, content, missing, words):
    build("llama").save_pretrained(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(content)
    monkeypatch.setattr(files, "is_installed", lambda package: package != missing)
    not_loaded(tmp_path, f"needs the package {missing}, which is not installed", words)
    one_sentence(lambda: preflight({"mine": tmp_path}), tmp_path / "tokenizer.model", words)
    build_tokenizer().save_pretrained(tmp_path)
    check_files(tmp_path)  # with a tokenizer.json beside it, nothing has to be unpacked


def test_packages_are_found_without_importing_them():
    assert files.is_installed("json") and not files.is_installed("no_such_package_of_anyone")
    assert not files.is_installed("no_such_package_of_anyone.inside")


# --- sources of a merge -----------------------------------------------------------------------------------------


def test_a_source_that_changes_while_it_is_read(folders, tmp_path, monkeypatch):
    from merging.disk import checkpoints

    source = shutil.copytree(folders[1], tmp_path / "source")
    new = write_model(tmp_path / "new", 9)
    average = checkpoints.average_stored

    def change(*arguments):
        if (new / "model.safetensors").exists():  # once, as a training run that saves a checkpoint would
            os.replace(new / "model.safetensors", source / "model.safetensors")
        return average(*arguments)

    monkeypatch.setattr(checkpoints, "average_stored", change)
    merge = lambda: merge_checkpoints([folders[0], source], [0.5, 0.5], tmp_path / "merged")
    one_sentence(merge, source / "model.safetensors", "changed while it was read", "Merge again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "source"]
    merge()


@pytest.mark.parametrize(
    "damage, words", [(os.truncate, "became shorter"), (lambda file, _: file.unlink(), "cannot be read")]
)
def test_a_source_that_becomes_shorter_or_vanishes(folders, tmp_path, monkeypatch, damage, words):
    from merging.disk import checkpoints

    source = shutil.copytree(folders[1], tmp_path / "source")
    average, calls = checkpoints.average_stored, []

    def change(*arguments):
        calls.append(None)
        if len(calls) == 5:
            damage(source / "model.safetensors", 3000)
        return average(*arguments)

    monkeypatch.setattr(checkpoints, "average_stored", change)
    one_sentence(
        lambda: merge_checkpoints([folders[0], source], [0.5, 0.5], tmp_path / "merged"),
        source / "model.safetensors",
        words,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_preflight_of_an_adapter_whose_settings_are_damaged(tmp_path):
    write_own(tmp_path / "first")
    (tmp_path / "lora").mkdir()
    for content in BROKEN.values():
        (tmp_path / "lora" / "adapter_config.json").write_bytes(content)
        one_sentence(lambda: preflight({"a": tmp_path / "first", "b": tmp_path / "lora"}), "'b'", tmp_path / "lora")
