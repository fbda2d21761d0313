"""What is refused before any number is averaged: the message names the tensor and the remedy, and nothing changes."""

import copy
import math

import pytest
import torch
from small import CONFIGS, build, largest_difference, pair, plain_average, refused, same_bytes, set_value

from helpers import average_models, merge_models, merge_models_select, merge_tree
from merging.averaging import merge_selected
from merging.errors import MergeError
from merging.load.loading import LoadedModel


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


def test_what_is_not_a_model():
    model1, model2 = pair()
    loaded = LoadedModel(model2, None)
    for merge in (
        lambda: merge_models(model1, loaded),
        lambda: average_models([loaded, model1]),
        lambda: merge_models_select(loaded, model1),
    ):
        refused(merge, model1, model2, says=["LoadedModel", ".model"])


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
        lambda m1, m2, a: merge_selected(m1, m2, ["transformer.wte.weight"], a),
        lambda m1, m2, a: merge_tree(("a", "b", a), {"a": m1, "b": m2}),
    ):
        refused(
            lambda: merge(model1, model2, alpha), model1, model2, says=["alpha", repr(alpha), "from 0 to 1", "first"]
        )


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


def test_a_value_that_is_damaged_between_two_merges_is_refused():
    models = pair()
    merge_models(*models)
    models[1].transformer.wte.weight.data[3, 1] = torch.nan
    with pytest.raises(MergeError, match="wte.weight of model 2 holds 1 values that are NaN"):
        merge_models(*models)


def test_a_replaced_layer_is_checked_and_merged():
    models, out = pair(), build(seed=3)
    merge_models(*models, 0.5, out=out)
    models[1].resize_token_embeddings(68)
    refused(lambda: merge_models(*models, 0.5, out=out), *models, out, says=["transformer.wte.weight", "(68, 16)"])
    models[0].resize_token_embeddings(68)
    out.resize_token_embeddings(68)
    assert same_bytes(merge_models(*models, 0.5, out=out), merge_models(*models, 0.5))
