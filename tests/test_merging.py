"""Merging small random models of six architectures: oracles from outside, exact identities, what bad input gets."""

import copy
import gc
import math
import weakref
from fractions import Fraction

import pytest
import torch
from torch.optim.swa_utils import AveragedModel
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    Qwen2Config,
)

import helpers
from helpers import MergeError, average_models, flat_weights, merge_models, merge_models_select, merge_tree

SMALL = dict(vocab_size=64, max_position_embeddings=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=4)
GATED = dict(num_key_value_heads=2, intermediate_size=32)
CONFIGS = {
    "gpt-neo": lambda **changes: GPTNeoConfig(
        **SMALL | dict(attention_types=[[["global", "local"], 1]], window_size=8, intermediate_size=32) | changes
    ),
    "gpt-2": lambda **changes: GPT2Config(**SMALL | changes),
    "llama": lambda **changes: LlamaConfig(**SMALL | GATED | changes),
    "llama-tied": lambda **changes: LlamaConfig(**SMALL | GATED | dict(tie_word_embeddings=True) | changes),
    "qwen2": lambda **changes: Qwen2Config(**SMALL | GATED | changes),
    "gpt-neox": lambda **changes: GPTNeoXConfig(**SMALL | dict(intermediate_size=32) | changes),
    "opt": lambda **changes: OPTConfig(**SMALL | dict(ffn_dim=32, word_embed_proj_dim=16) | changes),
}
TIED = ("gpt-neo", "gpt-2", "llama-tied", "opt")
# Module path of a block, its attention and its feed-forward modules, as the code of each architecture has them.
BLOCKS = {
    "gpt-neo": ("transformer.h.{}", ["attn"], ["mlp"]),
    "gpt-2": ("transformer.h.{}", ["attn"], ["mlp"]),
    "llama": ("model.layers.{}", ["self_attn"], ["mlp"]),
    "llama-tied": ("model.layers.{}", ["self_attn"], ["mlp"]),
    "qwen2": ("model.layers.{}", ["self_attn"], ["mlp"]),
    "gpt-neox": ("gpt_neox.layers.{}", ["attention"], ["mlp"]),
    "opt": ("model.decoder.layers.{}", ["self_attn"], ["fc1", "fc2"]),
}
every_architecture = pytest.mark.parametrize("name", CONFIGS)


def build(name="gpt-neo", seed=0, **changes):
    """A random model whose biases and norms are random too, so that no two seeds share a tensor."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[name](**changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.train()


def pair(name="gpt-neo", **changes):
    return build(name, 1, **changes), build(name, 2, **changes)


def plain_average(models, weights):
    states = [model.state_dict() for model in models]
    return {name: sum(w * state[name].double() for w, state in zip(weights, states)) for name in states[0]}


def largest_difference(model, other):
    """Over all tensors by name; other is a model or a dict of tensors."""
    state, other = model.state_dict(), other if isinstance(other, dict) else other.state_dict()
    assert set(state) == set(other)
    return max((state[name].double() - other[name].double()).abs().max().item() for name in state)


def snapshot(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_bytes(model, other):
    state, other = model.state_dict(), other if isinstance(other, dict) else other.state_dict()
    as_bytes = lambda tensor: tensor.contiguous().flatten().view(torch.uint8)
    return set(state) == set(other) and all(
        state[name].dtype == other[name].dtype and torch.equal(as_bytes(state[name]), as_bytes(other[name]))
        for name in state
    )


def storages(model):
    return {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}


def logits(model, ids=tuple(range(20))):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits


@torch.no_grad()
def set_value(model, value, name="transformer.h.1.mlp.c_fc.weight"):
    model.get_parameter(name)[1, 2] = value
    return model


def under(name, model, which):
    """The parameters (as objects) under the attention (0) or feed-forward (1) modules of all blocks."""
    block, *kinds = BLOCKS[name]
    modules = [model.get_submodule(f"{block.format(i)}.{path}") for i in range(2) for path in kinds[which]]
    return [parameter for module in modules for parameter in module.parameters()]


# --- oracles ----------------------------------------------------------------------------------------------------


@every_architecture
@pytest.mark.parametrize("alpha", [0.5, 0.3])
def test_merge_is_the_plain_loop(name, alpha):
    model1, model2 = pair(name)
    merged = merge_models(model1, model2, alpha)
    assert type(merged) is type(model1)
    assert largest_difference(merged, plain_average([model1, model2], [alpha, 1 - alpha])) < 1e-6


def test_the_default_is_half_and_half():
    model1, model2 = pair()
    assert same_bytes(merge_models(model1, model2), merge_models(model1, model2, 0.5))


@every_architecture
@pytest.mark.parametrize("weights", [[0.2, 0.3, 0.5], [0.0, 0.9, 0.1], [0.6, 0.4, 0.0]])
def test_weighted_average_is_the_plain_loop(name, weights):
    models = [build(name, seed) for seed in range(3)]
    assert largest_difference(average_models(models, weights), plain_average(models, weights)) < 1e-6


@every_architecture
@pytest.mark.parametrize("n", [2, 3, 5])
def test_uniform_average_is_torchs_averaged_model(name, n):
    models = [build(name, seed) for seed in range(n)]
    oracle = AveragedModel(models[0])
    for model in models:
        oracle.update_parameters(model)
    assert largest_difference(average_models(models), oracle.module) < 1e-6


def run_mergekit(models, weights, folder):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    entries = []
    for i, (model, weight) in enumerate(zip(models, weights)):
        model.save_pretrained(folder / str(i))
        entries.append(dict(model=str(folder / str(i)), parameters=dict(weight=weight)))
    recipe = MergeConfiguration.model_validate(dict(merge_method="linear", dtype="float32", models=entries))
    run_merge(recipe, str(folder / "merged"), MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False))
    return AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.float32)


@pytest.mark.filterwarnings("ignore:numpy.core is deprecated")
# Without GPT-NeoX: mergekit 0.1.5 wants mask buffers in its checkpoints that transformers no longer writes.
@pytest.mark.parametrize(
    "name, weights",
    [(name, [0.3, 0.7]) for name in CONFIGS if name != "gpt-neox"]
    + [("gpt-neo", [0.5, 0.5]), ("gpt-neo", [0.2, 0.3, 0.5]), ("llama", [0.2, 0.3, 0.5])],
)
def test_average_is_mergekits_linear_method(name, weights, tmp_path):
    models = [build(name, seed) for seed in range(len(weights))]
    oracle = run_mergekit(models, weights, tmp_path)
    assert largest_difference(average_models(models, weights), oracle) < 1e-6


# --- exact identities -------------------------------------------------------------------------------------------


@every_architecture
@pytest.mark.parametrize("alpha, which", [(1, 0), (1.0, 0), (0, 1), (0.0, 1)])
def test_the_ends_are_the_parents_bit_for_bit(name, alpha, which):
    parents = pair(name)
    assert not same_bytes(*parents)
    assert same_bytes(merge_models(*parents, alpha), parents[which])


@every_architecture
@pytest.mark.parametrize("alpha", [0.5, 0.3, 0.7, 1e-9])
def test_merging_a_model_with_its_copy_gives_it_back(name, alpha):
    model = build(name)
    assert same_bytes(merge_models(model, copy.deepcopy(model), alpha), model)
    assert same_bytes(merge_models(model, model, alpha), model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_average_of_equal_models_is_the_model(n, dtype):
    model = build().to(dtype)
    copies = [copy.deepcopy(model) for _ in range(n)]
    assert same_bytes(average_models(copies), model)
    assert same_bytes(average_models(copies, [1 / 2**i for i in range(1, n)] + [1 / 2 ** (n - 1)]), model)


@pytest.mark.parametrize("which", range(3))
def test_all_the_weight_on_one_model_gives_it_back(which):
    models = [build(seed=seed) for seed in range(3)]
    assert same_bytes(average_models(models, [float(i == which) for i in range(3)]), models[which])


def test_swapping_the_parents_swaps_alpha():
    model1, model2 = pair()
    assert largest_difference(merge_models(model1, model2, 0.3), merge_models(model2, model1, 0.7)) < 1e-6
    assert largest_difference(merge_models(model1, model2, 0.3), merge_models(model2, model1, 0.3)) > 1e-2


# --- trees ------------------------------------------------------------------------------------------------------

TREE = (("a", "b", 0.3), (("c", "d", 0.6), "e", 0.45), 0.7)


def exactly(number):
    return Fraction(str(number))


def test_flat_weights_are_the_products_along_each_path():
    weights = flat_weights(TREE)
    by_hand = {"a": "0.7 0.3", "b": "0.7 0.7", "c": "0.3 0.45 0.6", "d": "0.3 0.45 0.4", "e": "0.3 0.55"}
    assert list(weights) == list(by_hand)
    for label, shares in by_hand.items():
        assert weights[label] == pytest.approx(float(math.prod(map(exactly, shares.split()))), abs=1e-15)


def test_nested_alphas_of_the_article_have_these_flat_weights():
    inner, middle, outer = map(exactly, (0.3, 0.6, 0.45))
    weights = flat_weights((("base", "clippy", 0.3), ("beer", "other", 0.6), 0.45))
    by_hand = dict(
        base=outer * inner, clippy=outer * (1 - inner), beer=(1 - outer) * middle, other=(1 - outer) * (1 - middle)
    )
    assert sum(by_hand.values()) == 1
    assert weights == pytest.approx({label: float(weight) for label, weight in by_hand.items()}, abs=1e-15)


def test_a_label_that_appears_twice_adds_its_shares():
    weights = flat_weights((("a", "b", 0.3), ("c", "a", 0.6), 0.45))
    a = exactly(0.45) * exactly(0.3) + exactly(0.55) * exactly(0.4)
    assert weights == pytest.approx(
        {"a": float(a), "b": float(exactly(0.45) * exactly(0.7)), "c": float(exactly(0.55) * exactly(0.6))}, abs=1e-15
    )
    assert flat_weights("a") == {"a": 1.0}


@pytest.mark.parametrize("tree", ["a", ("a", "b", 0.3), TREE, [["a", "b", 0.3], "a", 0.5]])
def test_a_tree_is_its_flat_average(tree):
    models = {label: build("gpt-neo", seed) for seed, label in enumerate("abcde")}
    weights = flat_weights(tree)
    flat = average_models([models[label] for label in weights], list(weights.values()))
    assert same_bytes(merge_tree(tree, models), flat)
    loaded = {label: helpers.LoadedModel(model, None) for label, model in models.items()}
    assert same_bytes(merge_tree(tree, loaded), flat)


def test_a_tree_is_its_nested_merges():
    models = {label: build("gpt-neo", seed) for seed, label in enumerate("abcde")}
    nest = lambda tree: models[tree] if isinstance(tree, str) else merge_models(nest(tree[0]), nest(tree[1]), tree[2])
    assert largest_difference(merge_tree(TREE, models), nest(TREE)) < 1e-6
    twice = (("a", "b", 0.3), ("c", "a", 0.6), 0.45)
    assert largest_difference(merge_tree(twice, models), nest(twice)) < 1e-6


# --- tied embeddings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_the_head_is_tied_after_merging_and_saving_as_it_was_before(name, tmp_path):
    merged = merge_models(*pair(name), 0.3)
    ends = lambda model: (model.get_input_embeddings(), model.get_output_embeddings())
    pointers = lambda model: {module.weight.data_ptr() for module in ends(model)}
    assert len(pointers(merged)) == (1 if name in TIED else 2)
    merged.save_pretrained(tmp_path)
    back = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert len(pointers(back)) == (1 if name in TIED else 2)
    assert same_bytes(back, merged)
    assert torch.equal(logits(back), logits(merged))


@pytest.mark.parametrize("name", TIED)
def test_a_tied_tensor_is_listed_once(name):
    model = build(name)
    assert len(model.state_dict()) - len(helpers.merge_tensors(model)) == 1
    assert sum(tensor.numel() for tensor in helpers.merge_tensors(model).values()) == model.num_parameters()


# --- memory, dtypes and modes -----------------------------------------------------------------------------------


@every_architecture
def test_parents_keep_their_bytes_and_share_no_memory_with_the_result(name):
    parents = pair(name)
    before = [snapshot(parent) for parent in parents]
    for merged in (merge_models(*parents, 0.3), merge_models(*parents, 1), merge_models_select(*parents, alpha=0.3)):
        assert not storages(merged) & (storages(parents[0]) | storages(parents[1]))
        assert not any(module.training for module in merged.modules())
    assert all(same_bytes(parent, bytes_) for parent, bytes_ in zip(parents, before))
    assert all(parent.training for parent in parents)


@every_architecture
def test_out_is_overwritten_in_place_and_returned(name):
    parents, out = pair(name), build(name, 3).eval()
    pointers = [tensor.data_ptr() for tensor in out.state_dict().values()]
    before = [snapshot(parent) for parent in parents]
    for alpha in (0.3, 0.8):
        assert merge_models(*parents, alpha, out=out) is out
        assert same_bytes(out, merge_models(*parents, alpha))
    assert merge_models_select(*parents, merge_mlp=False, alpha=0.3, out=out) is out
    assert same_bytes(out, merge_models_select(*parents, merge_mlp=False, alpha=0.3))
    assert average_models([*parents, parents[0]], out=out) is out
    assert same_bytes(out, average_models([*parents, parents[0]]))
    assert [tensor.data_ptr() for tensor in out.state_dict().values()] == pointers
    assert all(same_bytes(parent, bytes_) for parent, bytes_ in zip(parents, before))


def test_out_needs_no_gradient_and_may_be_trained_afterwards():
    parents, out = pair(), build(seed=3)
    merge_models(*parents, out=out)
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in out.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weights", [[0.3, 0.7], [0.2, 0.3, 0.5], [0.05, 0.15, 0.2, 0.25, 0.35]])
def test_half_precision_is_averaged_wide_and_rounded_once(dtype, weights):
    models = [build(seed=seed).to(dtype) for seed in range(len(weights))]
    merged, exact = average_models(models, weights).state_dict(), plain_average(models, weights)
    for name, theta in exact.items():
        _, exponent = torch.frexp(theta)
        spacing = torch.ldexp(torch.full_like(theta, torch.finfo(dtype).eps), exponent - 1)
        rounded_once = spacing / 2 + 1e-6  # the 1e-6 is the error of float32 where terms cancel
        assert merged[name].dtype == dtype
        assert ((merged[name].double() - theta).abs() <= rounded_once).all(), name


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
@pytest.mark.parametrize(
    "first, second",
    [
        (torch.float16, torch.float32),
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.float16),
        (torch.float64, torch.float32),
    ],
)
def test_the_result_has_the_dtype_of_the_first_model(first, second, alpha):
    model1, model2 = build(seed=1).to(first), build(seed=2).to(second)
    merged = merge_models(model1, model2, alpha)
    assert {tensor.dtype for tensor in merged.state_dict().values()} == {first}
    exact = plain_average([model1, model2], [alpha, 1 - alpha])
    assert all(
        torch.allclose(merged.state_dict()[name].double(), theta, rtol=torch.finfo(first).eps, atol=1e-6)
        for name, theta in exact.items()
    )


# --- selection --------------------------------------------------------------------------------------------------


@every_architecture
@pytest.mark.parametrize("attn, mlp", [(True, False), (False, True), (True, True)])
def test_selection_merges_these_tensors_and_no_others(name, attn, mlp):
    model1, model2 = pair(name)
    whole, merged = merge_models(model1, model2, 0.3), merge_models_select(model1, model2, attn, mlp, 0.3)
    chosen = {id(p) for on, which in ((attn, 0), (mlp, 1)) if on for p in under(name, merged, which)}
    assert chosen
    for key, parameter in merged.named_parameters():
        expected, other = (whole, model1) if id(parameter) in chosen else (model1, whole)
        assert torch.equal(parameter, expected.get_parameter(key)), key
        assert not torch.equal(parameter, other.get_parameter(key)), key
    assert len(dict(merged.named_parameters())) > len(chosen)


@every_architecture
def test_selection_is_a_loop_over_the_modules_of_each_block(name):
    model1, model2 = pair(name)
    by_hand = copy.deepcopy(model1)
    with torch.no_grad():
        for which in (0, 1):
            for mine, theta2 in zip(under(name, by_hand, which), under(name, model2, which), strict=True):
                mine.copy_(0.3 * mine + 0.7 * theta2)
    assert largest_difference(merge_models_select(model1, model2, alpha=0.3), by_hand) < 1e-6
    assert largest_difference(merge_models_select(model1, model2, alpha=1), model1) == 0


@every_architecture
def test_tensor_kind_agrees_with_the_modules(name):
    model = build(name)
    modules = dict(model.named_modules())
    kinds = {id(p): kind for which, kind in enumerate(("attention", "feed-forward")) for p in under(name, model, which)}
    for key, parameter in model.named_parameters():
        owner = type(modules[key.rpartition(".")[0]]).__name__
        expected = kinds.get(id(parameter)) or ("norm" if "Norm" in owner else "embedding")
        blocks = [int(part) for part in key.split(".") if part.isdigit()]
        assert helpers.tensor_kind(key) == (expected, blocks[0] if blocks else None), key


def test_block_1_is_not_block_10():
    assert helpers.tensor_kind("transformer.h.1.attn.attention.q_proj.weight") == ("attention", 1)
    assert helpers.tensor_kind("transformer.h.1.self_attention.query_key_value.weight") == (
        "attention",
        1,
    )  # Bloom, Falcon
    assert helpers.tensor_kind("transformer.blocks.1.ffn.up_proj.weight") == ("feed-forward", 1)  # MPT
    assert helpers.tensor_kind("model.layers.1.block_sparse_moe.gate.weight") == ("feed-forward", 1)  # Mixtral
    assert helpers.tensor_kind("transformer.h.11.attn.attention.q_proj.weight") == ("attention", 11)


def test_merge_selected_takes_single_names():
    model1, model2 = pair()
    names = ["transformer.wte.weight", "transformer.h.1.ln_1.bias"]
    merged, whole = helpers.merge_selected(model1, model2, names, 0.3), merge_models(model1, model2, 0.3)
    for key, parameter in merged.named_parameters():
        assert torch.equal(parameter, (whole if key in names else model1).get_parameter(key)), key
    assert merged.lm_head.weight.data_ptr() == merged.transformer.wte.weight.data_ptr()


def test_touched_counts_tensors_and_parameters():
    model = build()
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    names = ["transformer.wpe.weight", "transformer.ln_f.bias"]
    some, total = sum(sizes[name] for name in names), sum(sizes.values())
    assert helpers.touched(model, names) == (
        f"2 of {len(sizes)} tensors, {some} of {total:,} parameters ({100 * some / total:.1f}%)"
    )


# --- what bad input gets ----------------------------------------------------------------------------------------


def refused(call, *models, says=()):
    """The call raises MergeError, its message holds every word of `says`, and no model changed."""
    before = [snapshot(model) for model in models]
    with pytest.raises(MergeError) as caught:
        call()
    assert all(same_bytes(model, bytes_) for model, bytes_ in zip(models, before))
    message = str(caught.value)
    for word in says:
        assert str(word) in message
    return message


def refused_pair(model1, model2, says):
    """In either order, as a merge, an average, a selection and with `out`."""
    out = copy.deepcopy(model1)
    refused(lambda: merge_models(model1, model2, 0.3), model1, model2, says=says)
    refused(lambda: merge_models(model1, model2, 0.3, out=out), model1, model2, out, says=says)
    refused(lambda: merge_models(model2, model1, 0.3), model1, model2, says=says)
    refused(lambda: average_models([model1, model1, model2]), model1, model2, says=says)
    refused(lambda: merge_models_select(model1, model2, alpha=0.3), model1, model2, says=says)


def test_merge_error_is_a_value_error():
    assert issubclass(MergeError, ValueError)


@pytest.mark.parametrize("name, other", [("gpt-neo", "gpt-2"), ("llama", "qwen2"), ("opt", "gpt-neox")])
def test_another_architecture(name, other):
    model1, model2 = build(name), build(other)
    refused_pair(model1, model2, [type(model1).__name__, type(model2).__name__, "one architecture"])


@pytest.mark.parametrize("name", CONFIGS)
def test_another_number_of_layers(name):
    three = dict(num_hidden_layers=3) | (dict(attention_types=[[["global"], 3]]) if name == "gpt-neo" else {})
    refused_pair(build(name), build(name, **three), ["num_hidden_layers", "2", "3", "same base"])


@pytest.mark.parametrize(
    "name, changes, values",
    [
        ("gpt-neo", dict(attention_types=[[["local", "global"], 1]]), ["['global', 'local']", "['local', 'global']"]),
        ("gpt-neo", dict(window_size=4), ["window_size", "8", "4"]),
        ("gpt-neo", dict(num_attention_heads=2), ["num_attention_heads", "4", "2"]),
        ("gpt-2", dict(activation_function="relu"), ["activation_function", "gelu_new", "relu"]),
        ("llama", dict(num_key_value_heads=1), ["num_key_value_heads", "2", "1"]),
        ("llama", dict(hidden_act="relu"), ["hidden_act", "silu", "relu"]),
        ("llama", dict(rope_parameters=dict(rope_type="default", rope_theta=500.0)), ["rope", "500"]),
        ("opt", dict(hidden_size=32, word_embed_proj_dim=32), ["hidden_size", "16", "32"]),
    ],
)
def test_same_tensors_that_compute_something_else(name, changes, values):
    refused_pair(build(name), build(name, **changes), values)


def test_head_tied_in_one_model_only():
    refused_pair(build("llama"), build("llama", tie_word_embeddings=True), ["tie_word_embeddings", "True", "False"])


def test_head_cut_loose_from_its_embeddings():
    model1, model2 = pair()
    model2.lm_head.weight = torch.nn.Parameter(model2.lm_head.weight.detach().clone())
    refused_pair(model1, model2, ["lm_head.weight", "(64, 16)", "not in model", "same tensors", "tied"])


def test_tensor_that_one_model_lacks():
    model1, model2 = pair()
    model2.transformer.h[1].mlp.c_fc.bias = None
    refused_pair(model1, model2, ["transformer.h.1.mlp.c_fc.bias", "(32,)", "not in model", "same tensors"])


@pytest.mark.parametrize(
    "name, tensor",
    [
        ("gpt-neo", "transformer.wte.weight"),
        ("llama", "model.embed_tokens.weight"),
        ("gpt-neox", "gpt_neox.embed_in.weight"),
        ("opt", "model.decoder.embed_tokens.weight"),
    ],
)
def test_another_number_of_words(name, tensor):
    says = [tensor, "(64, 16)", "(68, 16)", "resize_token_embeddings(64)"]
    refused_pair(build(name), build(name, vocab_size=68), says)


def test_resizing_as_the_message_says_makes_them_mergeable():
    model1, model2 = build(seed=1), build(seed=2, vocab_size=68)
    model2.resize_token_embeddings(64)
    merged = merge_models(model1, model2, 0.3)
    assert largest_difference(merged, plain_average([model1, model2], [0.3, 0.7])) < 1e-6


@pytest.mark.parametrize(
    "name, changes, tensor, shapes",
    [
        ("gpt-neo", dict(intermediate_size=48), "transformer.h.0.mlp.c_fc.weight", ["(32, 16)", "(48, 16)"]),
        ("gpt-neo", dict(max_position_embeddings=48), "transformer.wpe.weight", ["(32, 16)", "(48, 16)"]),
        ("llama", dict(intermediate_size=48), "model.layers.0.mlp.gate_proj.weight", ["(32, 16)", "(48, 16)"]),
        ("opt", dict(max_position_embeddings=48), "model.decoder.embed_positions.weight", ["(34, 16)", "(50, 16)"]),
    ],
)
def test_another_shape(name, changes, tensor, shapes):
    model1, model2 = build(name), build(name, **changes)
    refused_pair(model1, model2, [tensor, *shapes, "same size"])
    assert "resize_token_embeddings" not in refused(lambda: merge_models(model1, model2))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("position", [1, 2, 3])
def test_values_that_are_no_numbers(value, position):
    models = [build(seed=seed) for seed in range(3)]
    set_value(models[position - 1], value)
    says = ["transformer.h.1.mlp.c_fc.weight", f"model {position}", "NaN or infinite", "load a sound one"]
    refused(lambda: average_models(models, [0.2, 0.3, 0.5]), *models, says=says)
    refused(lambda: average_models(models, [1, 0, 0]), *models, says=says)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused_outside_the_selection_too(value):
    model1, model2 = build(seed=1), set_value(build(seed=2), value)
    refused(
        lambda: merge_models_select(model1, model2, merge_mlp=False), model1, model2, says=["c_fc.weight", "model 2"]
    )


@pytest.mark.parametrize("weights", [None, [0.2, 0.3, 0.5]])
def test_the_largest_float16_averages_to_itself(weights):
    largest = torch.finfo(torch.float16).max
    models = [set_value(build(seed=seed).half(), largest) for seed in range(3)]
    assert average_models(models, weights).get_parameter("transformer.h.1.mlp.c_fc.weight")[1, 2] == largest


@pytest.mark.parametrize(
    "first, second, value",
    [
        (torch.bfloat16, torch.bfloat16, torch.finfo(torch.bfloat16).max),
        (torch.float32, torch.float32, torch.finfo(torch.float32).max),
        (torch.float16, torch.float32, 1e5),
    ],
)
def test_an_overflow_is_refused_before_out_changes(first, second, value):
    model1, model2 = build(seed=1).to(first), build(seed=2).to(second)
    set_value(model1, -min(value, torch.finfo(first).max))
    set_value(model2, value)
    out = build(seed=3).to(first)
    for alpha in (0.5, 0.1):
        refused(
            lambda: merge_models(model1, model2, alpha, out=out),
            model1,
            model2,
            out,
            says=["transformer.h.1.mlp.c_fc.weight", "float32"],
        )


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]
)
@pytest.mark.parametrize("which", [1, 2])
def test_integers_and_quantised_tensors(dtype, which):
    models = pair()
    for model in models[which - 1 :]:
        linear = model.transformer.h[1].mlp.c_fc
        values = linear.weight.detach().to(dtype)
        del linear.weight
        linear.register_buffer("weight", values)
    refused(
        lambda: merge_models(*models),
        *models,
        says=["transformer.h.1.mlp.c_fc.weight", f"model {which}", dtype, "float32"],
    )


@pytest.mark.parametrize(
    "weights, says",
    [
        ([0.5, 0.4, 0.2], ["1.1", "Divide"]),
        ([0.5, 0.2, 0.2], ["0.9", "Divide"]),
        ([1, 1, 1], ["3", "Divide"]),
        ([0, 0, 0], ["sum to 0"]),
        ([1, -1, 1], ["-1"]),
        ([0.5, math.nan, 0.5], ["nan"]),
        ([0.5, math.inf, 0.5], ["inf"]),
        ([1.5, -0.5, 0], ["1.5"]),
        ([0.5, "0.5", 0], ["'0.5'"]),
        ([True, False, False], ["True"]),
        ([0.5, None, 0.5], ["None"]),
        ([0.5, 0.5], ["3", "2"]),
        ([0.25] * 4, ["3", "4"]),
        ([], ["3", "0"]),
    ],
)
def test_bad_weights(weights, says):
    models, out = [build(seed=seed) for seed in range(3)], build(seed=3)
    refused(lambda: average_models(models, weights), *models, says=says)
    refused(lambda: average_models(models, weights, out=out), *models, out, says=says)


@pytest.mark.parametrize("weights", [None, [], [1.0]])
def test_no_models(weights):
    refused(lambda: average_models([], weights), says=["at least one"])


@pytest.mark.parametrize("alpha", ["0.5", None, True, math.nan, -0.1, 1.1, math.inf, [0.5], 0.5j])
def test_bad_alpha(alpha):
    model1, model2 = pair()
    for merge in (
        merge_models,
        lambda m1, m2, a: merge_models_select(m1, m2, alpha=a),
        lambda m1, m2, a: helpers.merge_selected(m1, m2, ["transformer.wte.weight"], a),
        lambda m1, m2, a: merge_tree(("a", "b", a), {"a": m1, "b": m2}),
    ):
        refused(
            lambda: merge(model1, model2, alpha), model1, model2, says=["alpha", repr(alpha), "from 0 to 1", "first"]
        )


def test_selection_that_matches_nothing():
    model1, model2 = pair()
    for select in (
        lambda: merge_models_select(model1, model2, False, False),
        lambda: helpers.merge_selected(model1, model2, []),
    ):
        refused(select, model1, model2, says=["no tensor", "merge_tensors"])


@pytest.mark.parametrize("name", ["self_attn", "transformer.h.1", "transformer.h.9.ln_1.weight", "h.*.attn"])
def test_selection_of_an_unknown_name(name):
    model1, model2 = pair()
    refused(
        lambda: helpers.merge_selected(model1, model2, ["transformer.wte.weight", name]),
        model1,
        model2,
        says=[name, "GPTNeoForCausalLM", "merge_tensors", "transformer.wte.weight"],
    )


def test_what_is_not_a_model():
    model1, model2 = pair()
    loaded = helpers.LoadedModel(model2, None)
    for merge in (
        lambda: merge_models(model1, loaded),
        lambda: average_models([loaded, model1]),
        lambda: merge_models_select(loaded, model1),
    ):
        refused(merge, model1, model2, says=["LoadedModel", ".model"])


def test_tree_with_an_unknown_label():
    model1, model2 = pair()
    refused(
        lambda: merge_tree(("base", "bear", 0.5), {"base": model1, "beer": model2}), says=["'bear'", "'base'", "'beer'"]
    )


@pytest.mark.parametrize(
    "tree, says",
    [
        (("a", "b"), "label or (left, right, alpha)"),
        (("a", "b", 0.5, 0.5), "label or (left, right, alpha)"),
        ((), "label or (left, right, alpha)"),
        ((1, "b", 0.5), "not 1"),
        (("a", None, 0.5), "not None"),
        (("a", ("b", "c"), 0.5), "not ('b', 'c')"),
        (("a", "b", 1.1), "1.1"),
        (("a", ("b", "a", -0.1), 0.5), "-0.1"),
        (("a", "b", "c"), "'c'"),
        ({"a": 1}, "label or (left, right, alpha)"),
    ],
)
def test_malformed_tree(tree, says):
    refused(lambda: flat_weights(tree), says=[says])
    refused(lambda: merge_tree(tree, dict(zip("abc", [build(seed=seed) for seed in range(3)]))), says=[says])


@pytest.mark.parametrize(
    "name, changes, dtype, says",
    [
        ("gpt-2", {}, torch.float32, ["architecture"]),
        ("gpt-neo", {}, torch.float16, ["torch.float32", "torch.float16", "dtype"]),
        ("gpt-neo", dict(vocab_size=68), torch.float32, ["transformer.wte.weight", "(64, 16)", "(68, 16)"]),
        ("gpt-neo", dict(num_hidden_layers=3, attention_types=[[["global"], 3]]), torch.float32, []),
        ("gpt-neo", dict(attention_types=[[["local", "global"], 1]]), torch.float32, ["local"]),
    ],
)
def test_out_that_does_not_fit(name, changes, dtype, says):
    model1, model2 = pair()
    out = build(name, **changes).to(dtype)
    for merge in (
        lambda: merge_models(model1, model2, 0.3, out=out),
        lambda: average_models([model1, model2], out=out),
        lambda: merge_models_select(model1, model2, alpha=0.3, out=out),
    ):
        refused(merge, model1, model2, out, says=["`out`", *says])


@pytest.mark.parametrize("which", [0, 1])
def test_out_that_is_a_parent(which):
    parents = pair()
    for merge in (
        lambda: merge_models(*parents, 0.3, out=parents[which]),
        lambda: average_models(parents, out=parents[which]),
        lambda: merge_models_select(*parents, alpha=0.3, out=parents[which]),
    ):
        refused(merge, *parents, says=["`out`", "parents", "deepcopy"])


def test_out_that_shares_one_tensor_with_a_parent():
    parents, out = pair(), build(seed=3)
    out.transformer.h[1].mlp.c_fc.weight = parents[1].transformer.h[1].mlp.c_fc.weight
    refused(lambda: merge_models(*parents, 0.3, out=out), *parents, out, says=["`out`", "shares memory"])


# --- many merges of one set -------------------------------------------------------------------------------------


def test_values_are_read_once_per_set(monkeypatch):
    models, read = pair(), []
    magnitude = helpers.magnitude
    monkeypatch.setattr(helpers, "magnitude", lambda tensor: read.append(tensor) or magnitude(tensor))
    for alpha in (0.1, 0.5, 0.9):
        helpers.merge_models(*models, alpha)
    assert len(read) == sum(len(helpers.merge_tensors(model)) for model in models)


def test_a_value_that_is_damaged_between_two_merges_is_refused():
    models = pair()
    helpers.merge_models(*models)
    with torch.no_grad():
        models[1].transformer.wte.weight[3, 1] = torch.nan
    with pytest.raises(MergeError, match="wte.weight of model 2 holds 1 values that are NaN"):
        helpers.merge_models(*models)


def test_a_model_in_the_memory_of_a_deleted_one_is_checked_anew():
    sound = build()
    for seed in range(1, 6):
        other = build(seed=seed)
        helpers.merge_models(sound, other)
        del other
        damaged = build(seed=seed)
        damaged.transformer.wte.weight.data[0, 0] = torch.inf
        with pytest.raises(MergeError, match="NaN or infinite"):
            helpers.merge_models(sound, damaged)


def test_models_loaded_in_inference_mode_are_checked_every_time():
    with torch.inference_mode():
        model = build(seed=1)
        helpers.merge_models(build(), model)
        model.transformer.wte.weight[0, 0] = torch.nan
        with pytest.raises(MergeError, match="NaN or infinite"):
            helpers.merge_models(build(), model)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_averaging_in_blocks_changes_no_bit(monkeypatch, n):
    models, weights = [build(seed=seed) for seed in range(n)], [1 / n] * n
    expected = helpers.average_models(models, weights)
    monkeypatch.setattr(helpers, "BLOCK", 37)
    assert same_bytes(helpers.average_models(models, weights), expected)


def test_merge_into_writes_the_named_tensors_and_no_others():
    one, other, out = (build(seed=seed) for seed in range(3))
    before, names = copy.deepcopy(out), ["transformer.h.1.mlp.c_fc.weight"]
    helpers.merge_into(out, [one, other], [0.25, 0.75], names)
    expected = helpers.merge_tensors(helpers.merge_models(one, other, 0.25))
    for name, tensor in helpers.merge_tensors(out).items():
        assert torch.equal(tensor, expected[name] if name in names else helpers.merge_tensors(before)[name])


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
    tensors = helpers.merge_tensors(model)
    assert list(tensors) == [key for key, _ in once.values()] and "kept" in tensors
    assert all(
        tensors[key].data_ptr() == tensor.data_ptr() and not tensors[key].requires_grad for key, tensor in once.values()
    )


def test_a_replaced_layer_is_checked_and_merged():
    models, out = pair(), build(seed=3)
    merge_models(*models, 0.5, out=out)
    models[1].resize_token_embeddings(68)
    refused(lambda: merge_models(*models, 0.5, out=out), *models, out, says=["transformer.wte.weight", "(68, 16)"])
    models[0].resize_token_embeddings(68)
    out.resize_token_embeddings(68)
    assert same_bytes(merge_models(*models, 0.5, out=out), merge_models(*models, 0.5))


def test_a_set_that_was_checked_with_out_is_not_known_as_a_larger_set():
    models, out = pair(), set_value(build(seed=3), torch.nan)
    merge_models(*models, 0.5, out=out)
    set_value(out, torch.nan)
    refused(lambda: average_models([*models, out]), *models, says=["model 3", "NaN or infinite"])


def test_a_set_is_checked_once_and_leaves_no_model_alive(monkeypatch):
    models, out, checks = pair(), build(seed=3), []
    check = helpers._check_architecture
    monkeypatch.setattr(helpers, "_check_architecture", lambda *those: checks.append(those[2]) or check(*those))
    for alpha in (0.1, 0.5, 0.9):
        merge_models(*models, alpha, out=out)
    assert checks == [2, "`out`"]
    gone = [weakref.ref(model) for model in (*models, out)]
    checks.clear()
    del models, out
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
