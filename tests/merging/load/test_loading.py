"""From a family or a folder to models with their tokenizers; the Hub has a file of its own."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import build_talker, build_tokenizer, save
from transformers import logging as transformers_logging

from helpers import average_models, generate_text
from merging.checks import check_mergeable
from merging.errors import LoadError, MergeError
from merging.load.loading import FAMILIES, LoadedModel, load_models


def test_the_shipped_trio_is_the_default(monkeypatch):
    monkeypatch.delenv("MODEL_FAMILY", raising=False)
    loaded = load_models(device="cpu")
    assert list(loaded) == ["base", "clippy", "beer"]
    assert all(isinstance(item, LoadedModel) for item in loaded.values())
    check_mergeable([model for model, _ in loaded.values()])


def test_the_environment_chooses_the_family(monkeypatch, folder, small):
    monkeypatch.setitem(FAMILIES, "tiny", {"one": folder})
    monkeypatch.setitem(FAMILIES, "other", {"two": folder})
    monkeypatch.delenv("MODEL_FAMILY", raising=False)
    assert list(load_models(device="cpu")) == ["one"]
    monkeypatch.setenv("MODEL_FAMILY", "")
    assert list(load_models(device="cpu")) == ["one"]
    monkeypatch.setenv("MODEL_FAMILY", "other")
    assert list(load_models(device="cpu")) == ["two"]
    assert list(load_models("tiny", device="cpu")) == ["one"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_models_come_in_eval_mode_and_float32(small, tmp_path, dtype):
    model = build_talker(len(small.tokenizer)).to(dtype).train()
    save((model, small.tokenizer), tmp_path)
    loaded = load_models({"x": tmp_path}, device="cpu")["x"].model
    assert not any(module.training for module in loaded.modules())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert all(torch.equal(p, model.get_parameter(name).float()) for name, p in loaded.named_parameters())
    assert loaded.lm_head.weight.data_ptr() == loaded.transformer.wte.weight.data_ptr()


@pytest.fixture
def two_sizes(small, tmp_path):
    """Folders of a model, one with 4 more rows, and one with 4 more rows and 2 more words."""
    rows = len(small.tokenizer)
    larger = (build_talker(rows + 4, seed=1), small.tokenizer)
    wordier = (build_talker(rows + 4, seed=2), build_tokenizer(["<one>", "<two>"]))
    items = dict(small=small, larger=larger, wordier=wordier)
    return {label: save(item, tmp_path / label) for label, item in items.items()}


def test_vocabularies_are_cut_to_the_rows_that_all_have(two_sizes, small):
    rows = len(small.tokenizer)
    as_on_disk, aligned = (load_models(two_sizes, device="cpu", align=align) for align in (False, True))
    assert list(aligned) == list(as_on_disk) == list(two_sizes)
    assert [len(m.get_input_embeddings().weight) for m, _ in as_on_disk.values()] == [rows, rows + 4, rows + 4]
    assert [len(tokenizer) for _, tokenizer in as_on_disk.values()] == [rows, rows, rows + 2]
    for label, (model, tokenizer) in aligned.items():
        assert model.config.vocab_size == rows and len(tokenizer) == rows
        assert torch.equal(model.transformer.wte.weight, as_on_disk[label].model.transformer.wte.weight[:rows])
        assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()
        assert generate_text(model, tokenizer, "def f", max_length=20, seed=1).startswith("def f")
    models = [model for model, _ in aligned.values()]
    average_models(models)
    with pytest.raises(MergeError, match="resize_token_embeddings"):
        average_models([model for model, _ in as_on_disk.values()])


def test_tokenizers_that_disagree(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    one_sentence_error(MergeError, {"one": folder, "two": other}, ["'one'", "'two'", "tokenizer"])
    assert list(load_models({"one": folder, "two": other}, device="cpu", align=False)) == ["one", "two"]


def one_sentence_error(error, family, says):
    with pytest.raises(error) as caught:
        load_models(family, device="cpu")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    for word in says:
        assert str(word) in message
    return message


def edit_json(path, **changes):
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))


def test_unknown_family(monkeypatch):
    one_sentence_error(LoadError, "gpt-5", ["'gpt-5'", "tiny", "gpt-neo-125m"])
    monkeypatch.setenv("MODEL_FAMILY", "Tiny")
    one_sentence_error(LoadError, None, ["'Tiny'", "tiny", "gpt-neo-125m"])
    assert issubclass(LoadError, OSError)


@pytest.mark.parametrize("as_type", [str, lambda path: path])
def test_missing_folder(tmp_path, as_type):
    missing = tmp_path / "nowhere"
    one_sentence_error(LoadError, {"x": as_type(missing)}, ["'x'", missing, "Check the path"])
    ours = FAMILIES["tiny"]["base"].parent / "nobody"
    one_sentence_error(LoadError, {"x": as_type(ours)}, ["'x'", ours, "make models"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"),
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000]),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: edit_json(folder / "config.json", model_type="no_such_type"),
        lambda folder: edit_json(folder / "config.json", hidden_size=64),
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        lambda folder: (folder / "tokenizer.json").unlink(),
    ],
)
def test_damaged_checkpoint(folder, damage):
    damage(folder)
    one_sentence_error(LoadError, {"x": folder}, ["'x'", folder, "transformers"])


@pytest.mark.parametrize(
    "name, named",
    [
        ("transformer.h.1.mlp.c_fc.weight",) * 2,
        ("transformer.ln_f.bias",) * 2,
        ("transformer.wte.weight", "lm_head.weight"),
    ],
)  # tied: one tensor, two names
def test_checkpoint_that_lacks_a_tensor(folder, name, named):
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    one_sentence_error(LoadError, {"x": folder}, ["'x'", folder, named, "incomplete"])


def test_sampling_settings_of_a_checkpoint_are_forgotten(small, folder, tmp_path):
    settings = dict(typical_p=0.2, do_sample=True, temperature=0.1, top_k=2, top_p=0.1, repetition_penalty=1.7)
    loud = shutil.copytree(folder, tmp_path / "loud")
    edit_json(loud / "config.json", **settings)
    edit_json(loud / "generation_config.json", **settings)
    loaded = load_models({"plain": folder, "loud": loud}, device="cpu")
    plain, other = (loaded[label].model for label in ("plain", "loud"))
    assert other.generation_config.to_dict() == plain.generation_config.to_dict()
    assert all(getattr(other.config, name, None) != value for name, value in settings.items())
    for temperature in (1.0, 0):
        sample = lambda item: generate_text(*item, "def f", temperature=temperature, max_length=40, seed=32)
        assert sample(loaded["loud"]) == sample(loaded["plain"]) == sample(small)


@pytest.mark.parametrize("level", [transformers_logging.ERROR, transformers_logging.WARNING, transformers_logging.INFO])
def test_loading_gives_back_the_log_level(folder, level):
    before = transformers_logging.get_verbosity()
    try:
        transformers_logging.set_verbosity(level)
        load_models({"x": folder}, device="cpu")
        assert transformers_logging.get_verbosity() == level
        (folder / "config.json").unlink()
        one_sentence_error(LoadError, {"x": folder}, ["'x'"])
        assert transformers_logging.get_verbosity() == level
    finally:
        transformers_logging.set_verbosity(before)
