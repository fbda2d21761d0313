"""Merging from disk to disk: the same bytes as in memory, refusals before a byte is written, and kills at any moment."""

import json
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import checkpoints
import pytest
import torch
from checkpoints import merge_checkpoints, read_recipe, stored_tensors
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, GPTNeoConfig, GPTNeoForCausalLM

from helpers import LoadError, MergeError, average_models, merge_selected, merge_tensors, tensor_kind

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = [0.5, 0.3, 0.2]


def write_model(folder, seed, dtype=torch.float32, shard="50GB", **settings):
    torch.manual_seed(seed)
    config = GPTNeoConfig(
        **dict(
            vocab_size=211,
            hidden_size=24,
            num_layers=3,
            num_heads=3,
            max_position_embeddings=37,
            attention_types=[[["global"], 3]],
            bos_token_id=0,
            eos_token_id=0,
        )
        | settings
    )
    GPTNeoForCausalLM(config).to(dtype).save_pretrained(folder, max_shard_size=shard)
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return [write_model(root / str(seed), seed) for seed in range(3)]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if ".safetensors" in path.name}


def in_memory(sources, weights, folder, shard="50GB"):
    average_models([load(source) for source in sources], weights).save_pretrained(folder, max_shard_size=shard)
    return folder


# --- the same as in memory --------------------------------------------------------------------------------------


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
    assert all(torch.equal(tensor, merge_tensors(expected)[name]) for name, tensor in merge_tensors(merged).items())


def test_companions_recipe_and_card_come_along(folders, tmp_path):
    merged = merge_checkpoints(folders, WEIGHTS, tmp_path / "merged")
    assert {"config.json", "tokenizer.json", "generation_config.json", "README.md", "mergekit_config.yml"} <= {
        p.name for p in merged.iterdir()
    }
    assert "| 0.3 |" in (merged / "README.md").read_text()
    assert read_recipe(merged / "mergekit_config.yml") == (
        [str(folder) for folder in folders],
        WEIGHTS,
        None,
        "float32",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_mixed_dtypes_follow_the_first_source_and_say_so(folders, tmp_path):
    half = write_model(tmp_path / "half", 1, torch.bfloat16)
    with pytest.warns(UserWarning, match="is BF16 in source 2 and F32 in source 1"):
        merged = merge_checkpoints([folders[0], half], [0.5, 0.5], tmp_path / "merged")
    assert load(merged).dtype == torch.float32


@pytest.mark.parametrize("stored, saved", [("float32", "bfloat16"), ("float32", "float16"), ("bfloat16", "float32")])
def test_another_dtype_is_rounded_once_and_stands_in_config_and_recipe(tmp_path, stored, saved):
    sources = [write_model(tmp_path / str(seed), seed, getattr(torch, stored)) for seed in range(3)]
    merged = merge_checkpoints(sources, WEIGHTS, tmp_path / "merged", dtype=saved)
    expected = average_models([load(source).float() for source in sources], WEIGHTS).to(getattr(torch, saved))
    expected.save_pretrained(tmp_path / "expected")
    assert bytes_of(merged) == bytes_of(tmp_path / "expected")
    assert json.loads((merged / "config.json").read_text())["dtype"] == saved
    assert read_recipe(merged / "mergekit_config.yml").dtype == saved


def test_a_dtype_that_would_overflow_or_is_unknown_is_refused(folders, tmp_path):
    model = load(folders[1])
    with torch.no_grad():
        model.transformer.wte.weight[0, 0] = 1e6
    model.save_pretrained(tmp_path / "large")
    refused(
        [folders[0], tmp_path / "large"],
        tmp_path,
        "wte.weight of model 2 holds a value of size 1e\\+06",
        dtype="float16",
    )
    refused(folders[:2], tmp_path, "dtype is the name of one of .*bfloat16.*, not 'int8'", dtype="int8")


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="NOT RUN: this system does not tell a process its peak memory"
)
def test_memory_does_not_grow_with_the_checkpoint(tmp_path):
    sources = [
        write_model(tmp_path / str(seed), seed, hidden_size=768, num_heads=12, vocab_size=40_000) for seed in range(2)
    ]
    code = (
        "import re, sys, checkpoints\n"  # not getrusage: its peak is handed down from the process that starts this one
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "checkpoints.merge_checkpoints(sys.argv[1:3], [.5, .5], sys.argv[3])\nbefore = peak()\n"
        "checkpoints.merge_checkpoints(sys.argv[4:6], [.5, .5], sys.argv[6])\nprint(peak() - before)"
    )
    small = [write_model(tmp_path / f"small{seed}", seed) for seed in range(2)]
    done = subprocess.run(
        [sys.executable, "-c", code, *small, tmp_path / "a", *sources, tmp_path / "b"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    size = (tmp_path / "b" / "model.safetensors").stat().st_size
    assert size > 180e6 and int(done.stdout) * 1024 < 100e6


# --- refusals ---------------------------------------------------------------------------------------------------


def refused(sources, tmp_path, message, error=MergeError, weights=(0.5, 0.5), **options):
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(error, match=message):
        merge_checkpoints(sources, weights, tmp_path / "merged", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


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
    refused([folders[0], write_model(tmp_path / "other", 5, **settings)], tmp_path, message)


def test_another_kind_of_model(folders, tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=12, n_layer=1, n_head=2, n_positions=20)).save_pretrained(
        tmp_path / "gpt2"
    )
    refused([folders[0], tmp_path / "gpt2"], tmp_path, "Source 1 is a gpt_neo, source 2 a gpt2")


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
    refused([folders[0], less][::order], tmp_path, "is in source . but not in source .")


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
    refused([folders[0], rewrite(folders[1], tmp_path / "damaged", change)], tmp_path, message, error)


def test_a_nan_stops_the_merge_and_leaves_nothing(folders, tmp_path):
    model = load(folders[1])
    with torch.no_grad():
        model.transformer.h[2].mlp.c_proj.weight[0, 0] = torch.nan
    model.save_pretrained(tmp_path / "nan")
    refused([folders[0], tmp_path / "nan"], tmp_path, "c_proj.weight of model 2 holds 1 values that are NaN")


def test_a_bin_checkpoint_is_told_how_to_convert(folders, tmp_path):
    shutil.copytree(folders[1], tmp_path / "bin")
    (tmp_path / "bin" / "model.safetensors").rename(tmp_path / "bin" / "pytorch_model.bin")
    refused([folders[0], tmp_path / "bin"], tmp_path, "Convert it once: .*save_pretrained", LoadError)


def test_a_missing_shard(tmp_path, folders):
    sharded = write_model(tmp_path / "sharded", 1, shard="40KB")
    next(sharded.glob("*.safetensors")).unlink()
    refused([folders[0], sharded], tmp_path, "is missing", LoadError)


def test_an_existing_destination_is_kept_unless_told(folders, tmp_path):
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine").write_text("precious")
    refused(folders[:2], tmp_path, "exists. Choose another", FileExistsError)
    merge_checkpoints(folders[:2], [0.5, 0.5], tmp_path / "merged", overwrite=True)
    assert not (tmp_path / "merged" / "mine").exists() and (tmp_path / "merged" / "config.json").exists()


@pytest.mark.parametrize("inside", [".", "sub", ".."])
def test_a_destination_within_a_source(folders, tmp_path, inside):
    source = shutil.copytree(folders[0], tmp_path / "a" / "source").resolve()
    with pytest.raises(MergeError, match="lie within each other"):
        merge_checkpoints([source, folders[1]], [0.5, 0.5], source / inside, overwrite=True)
    assert sorted(p.name for p in source.iterdir()) == sorted(p.name for p in folders[0].iterdir())


def test_no_room(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    refused(folders[:2], tmp_path, "0.00 GB are free", OSError)


@pytest.mark.parametrize(
    "weights, names, message",
    [
        ([0.5, 0.6], None, "sum to 1.1"),
        ([0.5, 0.5], [], "matches no tensor"),
        ([0.5, 0.5], ["h.1.attn"], "names h.1.attn"),
    ],
)
def test_weights_and_selections(folders, tmp_path, weights, names, message):
    refused(folders[:2], tmp_path, message, weights=weights, names=names)


# --- kills ------------------------------------------------------------------------------------------------------

SLOW = """
import sys, time, checkpoints
from pathlib import Path
def slowly(function, seconds):
    def run(*arguments):
        time.sleep(seconds)
        return function(*arguments)
    return run
checkpoints.average_stored = slowly(checkpoints.average_stored, 0.01)
Path.rename = slowly(Path.rename, 0.3)
checkpoints.merge_checkpoints(sys.argv[1:3], [0.5, 0.5], sys.argv[3], overwrite=True)
"""


@pytest.mark.parametrize("after", [0.02, 0.2, 0.45, 0.75, 1.05, 1.3])
def test_killed_at_any_moment_the_old_folder_is_there_and_a_rerun_succeeds(folders, tmp_path, after):
    destination = merge_checkpoints(folders[1:], [0.5, 0.5], tmp_path / "merged")
    old = bytes_of(destination)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *folders[:2], destination], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / ".merged.partial").exists() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    new = bytes_of(in_memory(folders[:2], [0.5, 0.5], tmp_path / "expected"))
    kept = [path for path in (destination, tmp_path / ".merged.old") if path.exists()]
    assert kept and bytes_of(kept[0]) in (old, new)
    merge_checkpoints(folders[:2], [0.5, 0.5], destination, overwrite=True)
    assert bytes_of(destination) == new
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "merged"]


# --- mergekit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "selected, dtype", [(None, "float32"), ("feed-forward", "float32"), (None, "bfloat16"), (None, "float16")]
)
def test_mergekit_makes_the_same_weights_of_the_recipe(folders, tmp_path, selected, dtype):
    names = selected and [name for name in stored_tensors(folders[0]) if tensor_kind(name)[0] == selected]
    merged = merge_checkpoints(folders[:2], [0.3, 0.7], tmp_path / "merged", names=names, dtype=dtype)
    subprocess.run(
        [sys.executable, "-m", "mergekit.scripts.run_yaml", merged / "mergekit_config.yml", tmp_path / "mergekit"],
        check=True,
        capture_output=True,
    )
    ours, theirs = (merge_tensors(load(folder)) for folder in (merged, tmp_path / "mergekit"))
    last_bit = 0 if dtype == "float32" else torch.finfo(getattr(torch, dtype)).eps
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype == getattr(torch, dtype)
        assert torch.allclose(tensor.float(), theirs[name].float(), atol=1e-6, rtol=last_bit), name


def test_a_recipe_can_be_carried_out_again(folders, tmp_path):
    names = [name for name in stored_tensors(folders[0]) if tensor_kind(name)[1] == 1]
    merged = merge_checkpoints(folders, WEIGHTS, tmp_path / "merged", names=names)
    again = merge_checkpoints(**read_recipe(merged / "mergekit_config.yml")._asdict(), destination=tmp_path / "again")
    assert bytes_of(again) == bytes_of(merged)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda r: r | {"merge_method": "ties"}, "only merge_method: linear"),
        (lambda r: r | {"slices": []}, "slices is not supported"),
        (lambda r: r | {"out_dtype": "int8"}, "int8 is none of the dtypes"),
        (lambda r: r | {"models": [r["models"][0] | {"parameters": {"weight": [0.1, 0.9]}}]}, "gradient"),
        (lambda r: r | {"models": [r["models"][0] | {"parameters": {"weight": 1, "density": 0.5}}]}, "nothing else"),
        (lambda r: r | {"models": [m | {"parameters": {"weight": 0.4}} for m in r["models"]]}, "sum to 0.8"),
        (
            lambda r: (
                r
                | {
                    "models": [
                        m | {"parameters": {"weight": [{"filter": "mlp", "value": 0.5}, {"value": 0.5}]}}
                        for m in r["models"]
                    ]
                }
            ),
            "selections",
        ),
    ],
)
def test_recipes_that_are_no_average_are_refused(folders, tmp_path, change, message):
    import yaml

    recipe = checkpoints.mergekit_recipe(folders[:2], [0.5, 0.5])
    (tmp_path / "r.yml").write_text(yaml.safe_dump(change(recipe)))
    with pytest.raises(MergeError, match=message):
        read_recipe(tmp_path / "r.yml")
