"""Small random models of many architectures: from folder to folder, and what a selection by kind leaves out of them."""

from types import SimpleNamespace

import pytest
import torch
from small import write_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from helpers import merge_models, merge_models_select
from lessons.views.explorers import mixing_desk
from merging.disk.checkpoints import merge_checkpoints
from merging.disk.saving import save_merge
from merging.errors import MergeError
from merging.load.loading import load_models
from merging.load.preflight import preflight
from merging.measure.bits import bits_per_byte
from merging.measure.text import positions
from merging.tensors import named_weights, tensor_kind, touched

TEXT = "def greet(name):\n    return f'Hello, {name}!'\n" * 3  # longer than the models' context
SIZE = dict(vocab_size=2048, hidden_size=16, num_hidden_layers=2, num_attention_heads=4)
SPECIAL = dict(bos_token_id=0, eos_token_id=0, pad_token_id=None)
SEEN = dict(max_position_embeddings=32)
GATED = dict(num_key_value_heads=2, intermediate_size=32)
EXPERTS = GATED | dict(num_local_experts=2, num_experts_per_tok=1)
# One of each kind of names for its parts: mistral, gemma, granite, olmo2, cohere and stablelm have llama's and qwen3's.
ARCHITECTURES = {
    "biogpt": SEEN | dict(intermediate_size=32),
    "bloom": {},
    "falcon": SEEN,
    "gemma2": SEEN | GATED | dict(head_dim=4, sliding_window=16),
    "gpt_bigcode": SEEN,
    "gptj": SEEN | dict(rotary_dim=2),
    "mamba": dict(state_size=4),
    "mixtral": SEEN | EXPERTS,
    "mpt": dict(max_seq_len=32),
    "phi": SEEN | GATED,
    "phi3": SEEN | GATED,
    "qwen3": SEEN | GATED | dict(head_dim=4),
    "qwen3_5_text": SEEN
    | GATED
    | dict(head_dim=4, linear_num_key_heads=2, linear_num_value_heads=2)
    | dict(linear_key_head_dim=4, linear_value_head_dim=4, layer_types=["linear_attention", "full_attention"]),
    "recurrent_gemma": GATED
    | dict(lru_width=16, attention_window_size=16, head_dim=4)
    | dict(block_types=["recurrent", "attention"]),
    "rwkv": dict(context_length=32, intermediate_size=32),
    "starcoder2": SEEN | GATED,
}
NO_LIMIT = ("bloom", "mamba", "recurrent_gemma")
# What is neither attention nor feed-forward, embedding or norm: where it is, and kinds that the architecture lacks.
OTHERS = {"mamba": ".mixer.", "qwen3_5_text": ".linear_attn.", "recurrent_gemma": ".temporal_block."}
LACKS = {"mamba": ("attention", "feed-forward"), "recurrent_gemma": ("attention",)}


def write(folder, kind, seed):
    """A folder with a random model of one kind, all of whose numbers are random, and the trio's tokenizer."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZE | SPECIAL | ARCHITECTURES[kind]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.save_pretrained(folder)
    return write_tokenizer(folder)


@pytest.fixture(params=ARCHITECTURES)
def sources(request, tmp_path):
    """(kind of architecture, label -> folder) of two models."""
    return request.param, {label: write(tmp_path / label, request.param, i) for i, label in enumerate(("one", "two"))}


def test_load_select_merge_measure_save_and_load(sources, tmp_path):
    kind, folders = sources
    (first, tokenizer), (second, _) = load_models(folders, device="cpu").values()
    assert positions(first) == (1024 if kind in NO_LIMIT else 32)
    half, theta1, theta2 = merge_models(first, second), named_weights(first), named_weights(second)
    for name, theta in named_weights(half).items():
        assert torch.allclose(theta, (theta1[name] + theta2[name]) / 2, atol=1e-6), name

    assert bits_per_byte(merge_models(first, second, 1.0), tokenizer, TEXT) == bits_per_byte(first, tokenizer, TEXT)
    measured = bits_per_byte(half, tokenizer, TEXT)
    assert 0 < measured < 100

    for wanted, selection in (("attention", dict(merge_mlp=False)), ("feed-forward", dict(merge_attn=False))):
        names = {name for name in theta1 if tensor_kind(name)[0] == wanted}
        if wanted in LACKS.get(kind, ()):
            with pytest.raises(MergeError, match="matches no tensor"):
                merge_models_select(first, second, **selection)
            continue
        part = named_weights(merge_models_select(first, second, **selection))
        assert names == {name for name, theta in part.items() if not torch.equal(theta, theta1[name])}
        sentence = touched(first, names)
        assert ("left out" in sentence) == (kind in OTHERS) and OTHERS.get(kind, "") in sentence

    saved = save_merge(half, tokenizer, tmp_path / "memory", list(folders.values()), [0.5, 0.5])
    streamed = merge_checkpoints(list(folders.values()), [0.5, 0.5], tmp_path / "disk")
    again = load_models({"memory": saved, "disk": streamed}, device="cpu")
    for model, words in again.values():
        assert all(torch.equal(theta, named_weights(half)[name]) for name, theta in named_weights(model).items())
        assert bits_per_byte(model, words, TEXT) == measured


def test_the_card_says_how_much_a_selection_by_kind_cannot_reach(sources):
    kind, folders = sources
    state = torch.random.get_rng_state()
    card = preflight(folders)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert card.refusals == []
    if kind not in OTHERS:
        assert card.notes == []
        return
    [note] = card.notes
    model = load_models({"one": folders["one"]}, device="cpu")["one"].model
    sizes = {name: theta.numel() for name, theta in named_weights(model).items()}
    share = sum(size for name, size in sizes.items() if tensor_kind(name)[0] == "other") / sum(sizes.values())
    assert f"one: {share:.0%} of the parameters are neither attention nor feed-forward, embeddings or norms" in note
    assert OTHERS[kind] in note


def test_a_card_does_without_what_cannot_be_built(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ImportError("this model needs another package")

    folder = write(tmp_path / "one", "mamba", 0)
    monkeypatch.setattr("merging.load.layout.model_class", fail)
    assert preflight({"one": folder}).notes == []


def test_touched_speaks_of_what_is_left_out_and_of_nothing_else(tmp_path):
    model = load_models({"m": write(tmp_path, "mamba", 0)}, device="cpu")["m"].model
    names = list(named_weights(model))
    others = [name for name in names if tensor_kind(name)[0] == "other"]
    assert "left out" not in touched(model, names) and "left out" not in touched(model, others)
    assert "left out" in touched(model, [name for name in names if name not in others])
    one_block = [name for name in names if tensor_kind(name)[1] == 0]
    half = touched(model, one_block)
    left = sum(named_weights(model)[name].numel() for name in others if name not in one_block)
    assert f"left out: {left / model.num_parameters():.0%} of the parameters" in half and "layers.1.mixer" in half


def test_the_desk_of_a_model_without_attention(tmp_path):
    folders = {label: write(tmp_path / label, "mamba", i) for i, label in enumerate(("one", "two"))}
    loaded = load_models(folders, device="cpu")
    pair = [(label, model) for label, (model, _) in loaded.items()]
    desk = mixing_desk(*pair, loaded["one"].tokenizer, {"code": [TEXT[:40]]})
    desk.preset.value = "half of everything"
    merged = named_weights(merge_models(pair[0][1], pair[1][1]))
    assert all(torch.equal(theta, merged[name]) for name, theta in named_weights(desk.model).items())


@pytest.mark.parametrize(
    "kind, settings, expected",
    [
        ("gpt2", dict(n_positions=48), 48),
        ("rwkv", dict(context_length=48), 48),
        ("mpt", dict(max_seq_len=48), 48),
        ("whisper", dict(max_target_positions=48), 48),
        ("llama", dict(max_position_embeddings=48), 48),
        ("gemma3", dict(text_config=dict(max_position_embeddings=48)), 48),
        ("mamba2", {}, 1024),
    ],
)
def test_positions_in_the_words_of_each_architecture(kind, settings, expected):
    assert positions(SimpleNamespace(config=AutoConfig.for_model(kind, **settings))) == expected
