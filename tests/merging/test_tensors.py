"""A model as named tensors: the state dict with tied tensors once, and the kind of each by its name."""

import pytest
import torch
from small import BLOCKS, TIED, build, every_architecture, under

from merging.tensors import named_weights, tensor_kind, touched


@pytest.mark.parametrize("name", TIED)
def test_a_tied_tensor_is_listed_once(name):
    model = build(name)
    assert len(model.state_dict()) - len(named_weights(model)) == 1
    assert sum(tensor.numel() for tensor in named_weights(model).values()) == model.num_parameters()


@every_architecture
def test_what_a_merge_touches_is_the_state_dict_with_tied_tensors_once(name):
    model = build(name)
    model.register_buffer("kept", torch.ones(3))
    model.register_buffer("constant", torch.ones(3), persistent=False)
    model.register_parameter("absent", None)
    model.again = model.get_submodule(BLOCKS[name][0].format(0))  # one module under two names
    once = {}
    for key, tensor in model.state_dict().items():
        once.setdefault((tensor.data_ptr(), tensor.shape), (key, tensor))
    tensors = named_weights(model)
    assert list(tensors) == [key for key, _ in once.values()] and "kept" in tensors
    assert all(
        tensors[key].data_ptr() == tensor.data_ptr() and not tensors[key].requires_grad for key, tensor in once.values()
    )


@every_architecture
def test_tensor_kind_agrees_with_the_modules(name):
    model = build(name)
    modules = dict(model.named_modules())
    kinds = {id(p): kind for which, kind in enumerate(("attention", "feed-forward")) for p in under(name, model, which)}
    for key, parameter in model.named_parameters():
        owner = type(modules[key.rpartition(".")[0]]).__name__
        expected = kinds.get(id(parameter)) or ("norm" if "Norm" in owner else "embedding")
        blocks = [int(part) for part in key.split(".") if part.isdigit()]
        assert tensor_kind(key) == (expected, blocks[0] if blocks else None), key


def test_block_1_is_not_block_10():
    assert tensor_kind("transformer.h.1.attn.attention.q_proj.weight") == ("attention", 1)
    assert tensor_kind("transformer.h.1.self_attention.query_key_value.weight") == (
        "attention",
        1,
    )  # Bloom, Falcon
    assert tensor_kind("transformer.blocks.1.ffn.up_proj.weight") == ("feed-forward", 1)  # MPT
    assert tensor_kind("model.layers.1.block_sparse_moe.gate.weight") == ("feed-forward", 1)  # Mixtral
    assert tensor_kind("transformer.h.11.attn.attention.q_proj.weight") == ("attention", 11)


def test_touched_counts_tensors_and_parameters():
    model = build()
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    names = ["transformer.wpe.weight", "transformer.ln_f.bias"]
    some, total = sum(sizes[name] for name in names), sum(sizes.values())
    assert touched(model, names) == (
        f"2 of {len(sizes)} tensors, {some} of {total:,} parameters ({100 * some / total:.1f}%)"
    )
