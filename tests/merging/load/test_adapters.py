"""merging.load.adapters: a LoRA adapter becomes a model of its own, exactly as its formula says, or is refused."""

import json
import shutil

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from helpers import LoadError, load_models, merge_models, named_weights
from merging.load.loading import FAMILIES

BASE = FAMILIES["tiny"]["base"]


def write_adapter(folder, base=BASE, names="named", **settings):
    """Save a random LoRA adapter of the base's attention and feed-forward; names: what it says about its base."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "out_proj", "c_fc"]} | settings
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = get_peft_model(model, LoraConfig(**settings))
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(folder)
    edit(folder, base_model_name_or_path=str(base) if names == "named" else names)
    return folder


def edit(folder, **settings):
    """Change settings in an adapter's configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapter") / "lora")


@pytest.fixture
def adapter(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "lora")


def test_the_weights_are_the_bases_plus_scale_times_b_a(adapter):
    theta = named_weights(load_models({"m": adapter}, device="cpu")["m"].model)
    base, lora = (
        named_weights(load_models({"m": BASE}, device="cpu")["m"].model),
        load_file(adapter / "adapter_model.safetensors"),
    )
    changed = 0
    for name, tensor in base.items():
        pair = [f"base_model.model.{name.removesuffix('.weight')}.lora_{which}.weight" for which in "AB"]
        if pair[0] in lora:
            changed += 1
            tensor = tensor + 8 / 4 * lora[pair[1]] @ lora[pair[0]]
        assert torch.allclose(theta[name], tensor, atol=1e-6), name
    assert changed == 18


def test_it_says_what_it_did_and_keeps_the_order_of_the_labels(adapter, capsys):
    loaded = load_models({"clippy": adapter, "base": BASE}, device="cpu")
    assert list(loaded) == ["clippy", "base"]
    assert "clippy: a LoRA adapter of rank 4, added to 18 matrices of its base" in capsys.readouterr().out
    merged = merge_models(loaded["clippy"].model, loaded["base"].model, 0.5)
    assert merged.num_parameters() == loaded["base"].model.num_parameters()


def test_it_can_be_trained_as_other_models_can(adapter):
    model = load_models({"m": adapter}, device="cpu")["m"].model
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_base_that_is_given_stays_as_it_is_and_wins(adapter):
    edit(adapter, base_model_name_or_path="nobody/has-this")
    loaded, alone = load_models({"base": BASE, "m": adapter}, device="cpu"), load_models({"base": BASE}, device="cpu")
    theta = named_weights(alone["base"].model)
    assert all(torch.equal(tensor, theta[name]) for name, tensor in named_weights(loaded["base"].model).items())


def test_a_layer_that_keeps_its_weights_transposed(tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=2048, n_embd=32, n_layer=1, n_head=2, n_positions=64)).save_pretrained(
        tmp_path / "gpt2"
    )
    AutoTokenizer.from_pretrained(BASE).save_pretrained(tmp_path / "gpt2")
    folder = write_adapter(tmp_path / "lora", tmp_path / "gpt2", target_modules=["c_attn"], fan_in_fan_out=True)
    loaded = load_models({"base": tmp_path / "gpt2", "m": folder}, device="cpu")
    change = {
        name: (tensor - named_weights(loaded["base"].model)[name]).abs().max()
        for name, tensor in named_weights(loaded["m"].model).items()
    }
    assert [name for name, size in change.items() if size > 0] == ["transformer.h.0.attn.c_attn.weight"]


def test_another_base_is_refused_with_both_shapes(adapter, tmp_path):
    wide = AutoModelForCausalLM.from_pretrained(BASE).config
    wide.hidden_size = 64
    AutoModelForCausalLM.from_config(wide).save_pretrained(tmp_path / "wide")
    AutoTokenizer.from_pretrained(BASE).save_pretrained(tmp_path / "wide")
    with pytest.raises(
        LoadError,
        match=r"correction of shape \(128, 128\) for transformer.h.0.attn.attention.\w+, which has shape \(64, 64\)",
    ):
        load_models({"base": tmp_path / "wide", "m": adapter}, device="cpu")


def test_a_base_of_other_names_is_refused(adapter, tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=2048, n_embd=32, n_layer=1, n_head=2, n_positions=64)).save_pretrained(
        tmp_path / "gpt2"
    )
    AutoTokenizer.from_pretrained(BASE).save_pretrained(tmp_path / "gpt2")
    with pytest.raises(LoadError, match="which the base does not have. It was trained on another base"):
        load_models({"base": tmp_path / "gpt2", "m": adapter}, device="cpu")


def test_a_base_that_is_nowhere_is_named(adapter, monkeypatch):
    monkeypatch.setattr("merging.load.loading.constants.HF_HUB_OFFLINE", True)
    edit(adapter, base_model_name_or_path="nobody/has-this")
    with pytest.raises(LoadError, match=r"'base of m' \(nobody/has-this\) is not in the cache"):
        load_models({"m": adapter}, device="cpu")


@pytest.mark.parametrize("base", [None, "", 7])
def test_no_base_named(adapter, base):
    edit(adapter, base_model_name_or_path=base)
    with pytest.raises(LoadError, match="does not name its base. Give the base beside it"):
        load_models({"m": adapter}, device="cpu")


def test_an_adapter_that_is_no_lora(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(BASE)
    get_peft_model(model, IA3Config(target_modules=["q_proj", "c_fc"], feedforward_modules=["c_fc"])).save_pretrained(
        tmp_path
    )
    with pytest.raises(LoadError, match="is an adapter of the kind IA3, and only LoRA adapters"):
        load_models({"base": BASE, "m": tmp_path}, device="cpu")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\udce9"])
def test_a_damaged_configuration(adapter, text):
    (adapter / "adapter_config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        LoadError, match="adapter_config.json is damaged or incomplete .it is no JSON object.*Download it again"
    ):
        load_models({"base": BASE, "m": adapter}, device="cpu")


def test_weights_that_are_missing_or_damaged(adapter):
    file = adapter / "adapter_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    with pytest.raises(LoadError, match="the weights in .*lora are damaged"):
        load_models({"base": BASE, "m": adapter}, device="cpu")
    file.unlink()
    with pytest.raises(LoadError, match="lacks adapter_model.safetensors"):
        load_models({"base": BASE, "m": adapter}, device="cpu")


def change_tensors(adapter, change):
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def test_half_a_pair_a_nan_and_what_is_more_than_lora(original, tmp_path):
    def drop(tensors):
        tensors.pop(next(name for name in tensors if "lora_B" in name))

    def spoil(tensors):
        next(tensor for name, tensor in tensors.items() if "lora_B" in name)[0, 0] = float("nan")

    def more(tensors):
        tensors["base_model.model.lm_head.lora_magnitude_vector"] = torch.ones(3)

    def swell(tensors):
        tensors |= {name: torch.full_like(tensor, 1e30) for name, tensor in tensors.items()}

    def reshape(tensors):
        name = next(name for name in tensors if "lora_B" in name)
        tensors[name.replace("lora_B", "base_layer")] = torch.ones(1, 1)

    def rest(tensors):
        name = next(name for name in tensors if "lora_B" in name)
        tensors[name.replace("lora_B", "base_layer")] = torch.full((128, 128), float("inf"))

    for change, words in (
        (swell, "makes numbers of .* infinite"),
        (reshape, "in another shape than the base"),
        (rest, "makes numbers of .* infinite"),
        (drop, "no second matrix for"),
        (spoil, "NaN or infinite numbers for"),
        (more, "beyond plain LoRA"),
    ):
        folder = shutil.copytree(original, tmp_path / change.__name__)
        change_tensors(folder, change)
        with pytest.raises(LoadError, match=words):
            load_models({"base": BASE, "m": folder}, device="cpu")


def test_the_mean_of_adapters_is_not_the_mean_of_models(original, tmp_path):
    one, other, mean = (shutil.copytree(original, tmp_path / name) for name in ("one", "other", "mean"))
    first = load_file(one / "adapter_model.safetensors")
    second = {name: tensor.flip(0) for name, tensor in first.items()}
    save_file(second, other / "adapter_model.safetensors")
    save_file({name: (first[name] + second[name]) / 2 for name in first}, mean / "adapter_model.safetensors")
    models = load_models({"base": BASE, "one": one, "other": other, "mean": mean}, device="cpu")
    base, of_files = (named_weights(models[label].model) for label in ("base", "mean"))
    of_models = named_weights(merge_models(models["one"].model, models["other"].model, 0.5))
    moved = {name: theta for name, theta in of_models.items() if not torch.equal(theta, base[name])}
    assert len(moved) == len(first) / 2
    off = [((of_files[name] - theta).norm() / (theta - base[name]).norm()).item() for name, theta in moved.items()]
    assert min(off) > 0.1  # of the way: products that nobody trained
