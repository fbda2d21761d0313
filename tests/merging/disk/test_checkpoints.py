"""Merging from disk to disk: the bytes of a merge in memory, refusals before anything is written, and kills."""

import json
import shutil
import signal
import time
from pathlib import Path

import fresh
import pytest
import torch
from small import OWN, build, bytes_of, load, refused_merge, write_model, write_own, written_config
from transformers import GPT2Config, GPT2LMHeadModel

from helpers import average_models
from merging.averaging import merge_selected
from merging.disk import checkpoints
from merging.disk.checkpoints import merge_checkpoints
from merging.disk.saving import save_merge
from merging.disk.stored import stored_tensors
from merging.errors import MergeError
from merging.tensors import named_weights, tensor_kind

WEIGHTS = [0.5, 0.3, 0.2]


def in_memory(sources, weights, folder, shard="50GB"):
    average_models([load(source) for source in sources], weights).save_pretrained(folder, max_shard_size=shard)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("piece", [1 << 18, 1 << 8])
def test_the_bytes_are_those_of_the_merge_in_memory(tmp_path, monkeypatch, dtype, piece):
    monkeypatch.setattr(checkpoints, "PIECE", piece)
    sources = [write_model(tmp_path / str(seed), seed, dtype) for seed in range(3)]
    merged = merge_checkpoints(sources, WEIGHTS, tmp_path / "merged")
    assert bytes_of(merged) == bytes_of(in_memory(sources, WEIGHTS, tmp_path / "expected"))


def test_shards_in_and_shards_out(tmp_path):
    sources = [write_model(tmp_path / str(seed), seed, shard="40KB") for seed in range(2)]
    merged = merge_checkpoints(sources, [0.25, 0.75], tmp_path / "merged", max_shard_size="30KB")
    expected = in_memory(sources, [0.25, 0.75], tmp_path / "expected", shard="30KB")
    assert len(bytes_of(merged)) > 3
    assert {n: b for n, b in bytes_of(merged).items() if not n.endswith("json")} == {
        n: b for n, b in bytes_of(expected).items() if not n.endswith("json")
    }
    assert torch.equal(load(merged).transformer.wte.weight, load(expected).transformer.wte.weight)


def test_a_selection_leaves_the_other_tensors_as_the_first_source_has_them(folders, tmp_path):
    names = [name for name in stored_tensors(folders[0]) if tensor_kind(name)[0] == "attention"]
    merged = load(merge_checkpoints(folders[:2], [0.4, 0.6], tmp_path / "merged", names=names))
    expected = merge_selected(load(folders[0]), load(folders[1]), names, 0.4)
    assert all(torch.equal(tensor, named_weights(expected)[name]) for name, tensor in named_weights(merged).items())


def test_companions_config_and_card_come_along(folders, tmp_path):
    merged = merge_checkpoints(folders, WEIGHTS, tmp_path / "merged")
    assert {"config.json", "tokenizer.json", "generation_config.json", "README.md", "mergekit_config.yml"} <= {
        p.name for p in merged.iterdir()
    }
    assert "| 0.3 |" in (merged / "README.md").read_text()
    config = written_config(merged)
    assert [model.model.model.path for model in config.models] == [str(folder) for folder in folders]
    assert [model.parameters["weight"] for model in config.models] == WEIGHTS
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_mixed_dtypes_follow_the_first_source_and_say_so(folders, tmp_path):
    half = write_model(tmp_path / "half", 1, torch.bfloat16)
    with pytest.warns(UserWarning, match="is BF16 in source 2 and F32 in source 1"):
        merged = merge_checkpoints([folders[0], half], [0.5, 0.5], tmp_path / "merged")
    assert load(merged).dtype == torch.float32


@pytest.mark.parametrize("stored, saved", [("float32", "bfloat16"), ("float32", "float16"), ("bfloat16", "float32")])
def test_another_dtype_is_rounded_once_and_stands_in_the_configs(tmp_path, stored, saved):
    sources = [write_model(tmp_path / str(seed), seed, getattr(torch, stored)) for seed in range(3)]
    merged = merge_checkpoints(sources, WEIGHTS, tmp_path / "merged", dtype=saved)
    expected = average_models([load(source).float() for source in sources], WEIGHTS).to(getattr(torch, saved))
    expected.save_pretrained(tmp_path / "expected")
    assert bytes_of(merged) == bytes_of(tmp_path / "expected")
    assert json.loads((merged / "config.json").read_text())["dtype"] == saved
    config = written_config(merged)
    assert (config.out_dtype or config.dtype) == saved


def test_a_dtype_that_would_overflow_or_is_unknown_is_refused(folders, tmp_path):
    model = load(folders[1])
    with torch.no_grad():
        model.transformer.wte.weight[0, 0] = 1e6
    model.save_pretrained(tmp_path / "large")
    refused_merge(
        [folders[0], tmp_path / "large"],
        tmp_path,
        "wte.weight of model 2 holds a value of size 1e\\+06",
        dtype="float16",
    )
    refused_merge(folders[:2], tmp_path, "dtype is the name of one of .*bfloat16.*, not 'int8'", dtype="int8")


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="NOT RUN: this system does not tell a process its peak memory"
)
def test_memory_does_not_grow_with_the_checkpoint(folders, tmp_path):
    shape = dict(hidden_size=768, num_heads=12, vocab_size=40_000)
    large = [write_model(tmp_path / str(seed), seed, **shape) for seed in range(2)]
    fresh.run(fresh.peak_of_a_merge, folders[:2], large, tmp_path)  # a pool would wait for ever if its worker died
    assert (tmp_path / "large" / "model.safetensors").stat().st_size > 180e6
    assert int((tmp_path / "grown").read_text()) * 1024 < 100e6


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(hidden_size=48), "hidden_size is 24 in model 1 and 48"),
        (dict(vocab_size=213), r"has shape \(211, 24\) in model 1 and \(213, 24\) in model 2"),
        (dict(num_layers=2, attention_types=[[["global"], 2]]), "num_hidden_layers|num_layers"),
        (dict(window_size=64), "window_size is 256 in model 1 and 64"),
    ],
)
def test_other_architectures(folders, tmp_path, settings, message):
    refused_merge([folders[0], write_model(tmp_path / "other", 5, **settings)], tmp_path, message)


def test_another_kind_of_model(folders, tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=12, n_layer=1, n_head=2, n_positions=20)).save_pretrained(
        tmp_path / "gpt2"
    )
    refused_merge([folders[0], tmp_path / "gpt2"], tmp_path, "Source 1 is a gpt_neo, source 2 a gpt2")


def test_a_nan_stops_the_merge_and_leaves_nothing(folders, tmp_path):
    model = load(folders[1])
    with torch.no_grad():
        model.transformer.h[2].mlp.c_proj.weight[0, 0] = torch.nan
    model.save_pretrained(tmp_path / "nan")
    refused_merge([folders[0], tmp_path / "nan"], tmp_path, "c_proj.weight of model 2 holds 1 values that are NaN")


def test_an_existing_destination_is_kept_unless_told(folders, tmp_path):
    (tmp_path / "merged").mkdir()
    for name in ("mine", "config.json"):
        (tmp_path / "merged" / name).write_text("precious")
    refused_merge(folders[:2], tmp_path, "exists. Choose another", FileExistsError)
    merge_checkpoints(folders[:2], [0.5, 0.5], tmp_path / "merged", overwrite=True)
    assert not (tmp_path / "merged" / "mine").exists() and (tmp_path / "merged" / "config.json").exists()


@pytest.mark.parametrize("inside", [".", "sub", ".."])
def test_a_destination_within_a_source(folders, tmp_path, inside):
    source = shutil.copytree(folders[0], tmp_path / "a" / "source").resolve()
    with pytest.raises(MergeError, match="lie within each other"):
        merge_checkpoints([source, folders[1]], [0.5, 0.5], source / inside, overwrite=True)
    assert sorted(p.name for p in source.iterdir()) == sorted(p.name for p in folders[0].iterdir())


def test_a_full_disk(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    refused_merge(folders[:2], tmp_path, "needs 10.1 MB in .*, where 0.0 MB are free", OSError)


@pytest.mark.parametrize(
    "weights, names, message",
    [
        ([0.5, 0.6], None, "sum to 1.1"),
        ([0.5, 0.5], [], "matches no tensor"),
        ([0.5, 0.5], ["h.1.attn"], "names h.1.attn"),
    ],
)
def test_weights_and_selections(folders, tmp_path, weights, names, message):
    refused_merge(folders[:2], tmp_path, message, weights=weights, names=names)


@pytest.mark.parametrize("after", [0.02, 0.45, 1.05])
def test_killed_at_any_moment_the_old_folder_is_there_and_a_rerun_succeeds(folders, tmp_path, after):
    destination = merge_checkpoints(folders[1:], [0.5, 0.5], tmp_path / "merged")
    old = bytes_of(destination)
    process = fresh.CONTEXT.Process(target=fresh.slow_merge, args=(folders[:2], destination))
    process.start()
    while not (tmp_path / ".merged.partial").exists() and process.is_alive():
        time.sleep(0.002)
    time.sleep(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    new = bytes_of(in_memory(folders[:2], [0.5, 0.5], tmp_path / "expected"))
    kept = [path for path in (destination, tmp_path / ".merged.old") if path.exists()]
    assert kept and bytes_of(kept[0]) in (old, new)
    merge_checkpoints(folders[:2], [0.5, 0.5], destination, overwrite=True)
    assert bytes_of(destination) == new
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "merged"]


def test_a_save_that_breaks_off_leaves_the_old_folder(tmp_path, tokenizer, monkeypatch):
    model = build("llama", **OWN)
    old = save_merge(model, tokenizer, tmp_path / "m", ["owner/one", "owner/other"], [0.5, 0.5])
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_merge(model, tokenizer, tmp_path / "m", ["owner/one", "owner/other"], [0.5, 0.5])
    monkeypatch.setattr(
        type(tokenizer), "save_pretrained", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        save_merge(model, tokenizer, tmp_path / "m", ["owner/one", "owner/other"], [0.1, 0.9], overwrite=True)
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_save_into_a_parent_or_with_wrong_weights_is_refused(tmp_path, tokenizer):
    model, parent = build("llama", **OWN), write_own(tmp_path / "parent")
    with pytest.raises(MergeError, match="lie within each other"):
        save_merge(model, tokenizer, parent, [parent, "owner/other"], [0.5, 0.5], overwrite=True)
    with pytest.raises(MergeError, match="sum to"):
        save_merge(model, tokenizer, tmp_path / "m", ["owner/one", "owner/other"], [0.5, 0.6])
    assert not (tmp_path / "m").exists()
