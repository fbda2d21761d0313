"""The weighted average itself: dtypes, selections by name, blocks, and writing into a model that is there."""

import copy
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import build, pair, plain_average, refused, same_bytes, set_value, shares

from helpers import average_models, merge_models, merge_models_select
from merging import averaging
from merging.averaging import average_into, merge_into, merge_selected
from merging.tensors import named_weights


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


@pytest.mark.parametrize("weights", [None, [0.2, 0.3, 0.5]])
def test_the_largest_float16_averages_to_itself(weights):
    largest = torch.finfo(torch.float16).max
    models = [set_value(build(seed=seed).half(), largest) for seed in range(3)]
    assert average_models(models, weights).get_parameter("transformer.h.1.mlp.c_fc.weight")[1, 2] == largest


def test_merge_selected_takes_single_names():
    model1, model2 = pair()
    names = ["transformer.wte.weight", "transformer.h.1.ln_1.bias"]
    merged, whole = merge_selected(model1, model2, names, 0.3), merge_models(model1, model2, 0.3)
    for key, parameter in merged.named_parameters():
        assert torch.equal(parameter, (whole if key in names else model1).get_parameter(key)), key
    assert merged.lm_head.weight.data_ptr() == merged.transformer.wte.weight.data_ptr()


def test_selection_that_matches_nothing():
    model1, model2 = pair()
    for select in (
        lambda: merge_models_select(model1, model2, False, False),
        lambda: merge_selected(model1, model2, []),
    ):
        refused(select, model1, model2, says=["no tensor", "named_weights"])


@pytest.mark.parametrize("name", ["self_attn", "transformer.h.1", "transformer.h.9.ln_1.weight", "h.*.attn"])
def test_selection_of_an_unknown_name(name):
    model1, model2 = pair()
    refused(
        lambda: merge_selected(model1, model2, ["transformer.wte.weight", name]),
        model1,
        model2,
        says=[name, "named_weights", "transformer.wte.weight"],
    )


FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
ANY_WEIGHTS = st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any).map(shares)
ANY_SHAPE = st.lists(st.integers(0, 5), max_size=3)


@st.composite
def tensors_and_weights(draw):
    """Tensors of any shape, memory layout and size of numbers, each in a dtype of its own, and a weight for each."""
    weights, shape = draw(ANY_WEIGHTS), draw(ANY_SHAPE)
    dice, tensors = torch.Generator().manual_seed(draw(st.integers(0, 10**6))), []
    for _ in weights:
        numbers = torch.randn(shape, generator=dice, dtype=torch.float64) * 10.0 ** draw(st.integers(-4, 3))
        tensors.append(numbers.to(draw(st.sampled_from(FLOATS))))
    if draw(st.booleans()):
        tensors = [tensor.movedim(-1, 0) if tensor.ndim else tensor for tensor in tensors]
    return tensors, weights


@given(tensors_and_weights(), st.sampled_from(FLOATS), st.integers(1, 40))
def test_the_average_is_a_plain_loop_in_float64_rounded_once(case, dtype, block):
    (tensors, weights), target = case, torch.empty_like(case[0][0], dtype=dtype)
    with mock.patch.object(averaging, "BLOCK", block):
        assert average_into(target, tensors, weights) is target
    theta, size = torch.zeros(target.shape, dtype=torch.float64), torch.zeros(target.shape, dtype=torch.float64)
    for tensor, weight in zip(tensors, weights):
        theta += weight * tensor.double()
        size = torch.maximum(size, tensor.double().abs())
    wide, last = torch.promote_types(tensors[0].dtype, torch.float32), torch.finfo(dtype)
    error = 8 * torch.finfo(wide).eps * size + last.eps / 2 * theta.abs() + last.smallest_normal
    assert ((target.double() - theta).abs() <= error).all()


@given(tensors_and_weights(), st.integers(1, 40))
def test_equal_tensors_average_to_themselves_bit_for_bit(case, block):
    tensors, weights = case
    with mock.patch.object(averaging, "BLOCK", block):
        merged = average_into(torch.empty_like(tensors[0]), [tensors[0]] * len(weights), weights)
    assert torch.equal(merged, tensors[0])


@given(tensors_and_weights(), st.data())
def test_all_the_weight_on_one_tensor_copies_it_bit_for_bit(case, data):
    tensors, weights = case
    which = data.draw(st.integers(0, len(tensors) - 1))
    alone = [float(i == which) for i in range(len(tensors))]
    assert torch.equal(average_into(torch.empty_like(tensors[which]), tensors, alone), tensors[which])


@given(tensors_and_weights(), st.randoms(use_true_random=False))
def test_the_order_of_tensors_and_weights_does_not_matter(case, dice):
    tensors, weights = [tensor.double() for tensor in case[0]], case[1]
    order = dice.sample(range(len(tensors)), len(tensors))
    average = lambda places: average_into(
        torch.empty_like(tensors[0]), [tensors[i] for i in places], [weights[i] for i in places]
    )
    size = max((tensor.abs().max().item() for tensor in tensors if tensor.numel()), default=0.0)
    assert torch.allclose(average(order), average(range(len(tensors))), rtol=0, atol=1e-14 * size)


def test_merge_into_writes_the_named_tensors_and_no_others():
    one, other, out = (build(seed=seed) for seed in range(3))
    before, names = copy.deepcopy(out), ["transformer.h.1.mlp.c_fc.weight"]
    merge_into(out, [one, other], [0.25, 0.75], names)
    expected = named_weights(merge_models(one, other, 0.25))
    for name, tensor in named_weights(out).items():
        assert torch.equal(tensor, expected[name] if name in names else named_weights(before)[name])


@pytest.mark.parametrize("n", [2, 3, 4])
def test_averaging_in_blocks_changes_no_bit(monkeypatch, n):
    models, weights = [build(seed=seed) for seed in range(n)], [1 / n] * n
    expected = average_models(models, weights)
    monkeypatch.setattr(averaging, "BLOCK", 37)
    assert same_bytes(average_models(models, weights), expected)
