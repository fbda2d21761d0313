"""The article's functions on small models of seven architectures: oracles from outside, exact identities, trees."""

import copy
import math
import subprocess
import sys
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import (
    CONFIGS,
    TIED,
    build,
    every_architecture,
    largest_difference,
    logits,
    pair,
    plain_average,
    refused,
    same_bytes,
    shares,
    snapshot,
    storages,
    under,
)
from torch.optim.swa_utils import AveragedModel
from transformers import AutoModelForCausalLM

from helpers import LoadedModel, average_models, flat_weights, merge_models, merge_models_select, merge_tree
from merging.paths import ROOT


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


ANY_MODEL = st.builds(build, st.sampled_from(list(CONFIGS)), st.integers(0, 2**16))
ANY_ALPHA = st.floats(0, 1) | st.integers(0, 20).map(lambda i: i / 20)


@settings(max_examples=15)
@given(ANY_MODEL, ANY_ALPHA, st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any).map(shares))
def test_any_merge_of_a_model_with_itself_is_the_model(model, alpha, weights):
    assert same_bytes(merge_models(model, model, alpha), model)
    assert same_bytes(average_models([model] * len(weights), weights), model)


@settings(max_examples=15)
@given(st.sampled_from(list(CONFIGS)), ANY_ALPHA, st.integers(0, 2**16))
def test_any_merge_is_the_average_of_two_and_the_ends_are_the_parents(name, alpha, seed):
    models = build(name, seed), build(name, seed + 1)
    merged = merge_models(*models, alpha)
    assert same_bytes(merged, average_models(models, [alpha, 1 - alpha]))
    assert largest_difference(merged, plain_average(models, [alpha, 1 - alpha])) < 1e-6
    assert same_bytes(merge_models(*models, 1), models[0]) and same_bytes(merge_models(*models, 0), models[1])


@settings(max_examples=15)
@given(st.permutations(range(4)), st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any).map(shares))
def test_the_order_of_models_and_weights_does_not_matter(order, weights):
    models = [build(seed=seed) for seed in range(4)]
    shuffled = average_models([models[i] for i in order], [weights[i] for i in order])
    assert largest_difference(average_models(models, weights), shuffled) < 1e-6


TREE = (("a", "b", 0.3), (("c", "d", 0.6), "e", 0.45), 0.7)


def exactly(number):
    return Fraction(str(number))


def test_flat_weights_are_the_products_along_each_path():
    weights = flat_weights(TREE)
    by_hand = {"a": "0.7 0.3", "b": "0.7 0.7", "c": "0.3 0.45 0.6", "d": "0.3 0.45 0.4", "e": "0.3 0.55"}
    assert list(weights) == list(by_hand)
    for label, path in by_hand.items():
        assert weights[label] == pytest.approx(float(math.prod(map(exactly, path.split()))), abs=1e-15)


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


ANY_TREE = st.recursive(st.sampled_from("abcde"), lambda trees: st.tuples(trees, trees, ANY_ALPHA), max_leaves=12)


@given(ANY_TREE)
def test_the_flat_weights_of_any_tree_are_the_exact_products_and_sum_to_1(tree):
    exact = {}

    def walk(node, share):
        if isinstance(node, str):
            exact[node] = exact.get(node, 0) + share
        else:
            walk(node[0], share * Fraction(node[2]))
            walk(node[1], share * (1 - Fraction(node[2])))

    walk(tree, Fraction(1))
    weights = flat_weights(tree)
    assert list(weights) == list(exact) and sum(exact.values()) == 1
    assert weights == pytest.approx({label: float(share) for label, share in exact.items()}, abs=1e-14)


@given(ANY_TREE)
def test_any_tree_is_its_flat_average_and_its_nested_merges(tree):
    models = {label: torch.nn.Linear(3, 2) for label in "abcde"}
    for seed, model in enumerate(models.values()):
        torch.nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(seed))
    weights = flat_weights(tree)
    merged, flat = merge_tree(tree, models), average_models([models[x] for x in weights], list(weights.values()))
    assert same_bytes(merged, flat)
    nest = lambda node: models[node] if isinstance(node, str) else merge_models(nest(node[0]), nest(node[1]), node[2])
    assert largest_difference(merged, nest(tree)) < 1e-5


@pytest.mark.parametrize("tree", ["a", ("a", "b", 0.3), TREE, [["a", "b", 0.3], "a", 0.5]])
def test_a_tree_is_its_flat_average(tree):
    models = {label: build("gpt-neo", seed) for seed, label in enumerate("abcde")}
    weights = flat_weights(tree)
    flat = average_models([models[label] for label in weights], list(weights.values()))
    assert same_bytes(merge_tree(tree, models), flat)
    loaded = {label: LoadedModel(model, None) for label, model in models.items()}
    assert same_bytes(merge_tree(tree, loaded), flat)


def test_a_tree_is_its_nested_merges():
    models = {label: build("gpt-neo", seed) for seed, label in enumerate("abcde")}
    nest = lambda tree: models[tree] if isinstance(tree, str) else merge_models(nest(tree[0]), nest(tree[1]), tree[2])
    assert largest_difference(merge_tree(TREE, models), nest(TREE)) < 1e-6
    twice = (("a", "b", 0.3), ("c", "a", 0.6), 0.45)
    assert largest_difference(merge_tree(twice, models), nest(twice)) < 1e-6


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


def test_a_reader_sees_only_what_was_printed(folder):
    code = (
        f"import helpers; loaded = helpers.load_models({dict(a=str(folder), b=str(folder))!r}, device='cpu')\n"
        "text = helpers.generate_text(*loaded['a'], 'def f', max_length=40, seed=32)\n"
        "helpers.merge_models(loaded['a'].model, loaded['b'].model)\n"
        "print(helpers.bits_per_byte(*loaded['b'], text) > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True\n", "")
