"""Merges beyond the average: mergekit and plain loops as oracles, exact identities, what bad input gets."""

import builtins
import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import build, largest_difference, pair, refused, same_bytes, set_value, snapshot, storages

from merging.averaging import merge_selected
from merging.errors import MergeError
from merging.methods import mergekit
from merging.methods.mergekit import merge_with
from merging.methods.plane import in_plane
from merging.tensors import named_weights

FAMILIES = pytest.mark.parametrize("name", ["gpt-neo", "gpt-2", "llama-tied"])
SHARE = st.integers(0, 16).map(lambda i: i / 16)
quick = settings(derandomize=True, deadline=None, max_examples=5)
NEEDS_BASE = ("model_stock", "task_arithmetic", "ties", "dare_linear")


def trio(name="gpt-neo", step=0.3):
    """A base and two models a little away from it, as finetuning leaves them."""
    base, children = build(name, 0), []
    for seed in (1, 2):
        child, dice = copy.deepcopy(base), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in child.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=dice), alpha=step)
        children.append(child)
    return base, *children


def by_loop(rule, *models):
    """name -> rule(tensors of the models), in float64, over the state dicts."""
    states = [model.state_dict() for model in models]
    return {name: rule(*[state[name].double() for state in states]) for name in states[0]}


# --- the formulas -----------------------------------------------------------------------------------------------


def slerp(a, b, share):
    """The point on the arc from b to a, lengths mixed as they come; straight where the two are nearly parallel."""
    cos = (a.flatten() @ b.flatten() / (a.norm() * b.norm())).clamp(-1, 1)
    if abs(cos) > 0.9995:
        return share * a + (1 - share) * b
    angle = cos.acos()
    return (torch.sin(share * angle) * a + torch.sin((1 - share) * angle) * b) / torch.sin(angle)


def trimmed(tau, density):
    kept = max(1, int(density * tau.numel()))
    return tau * (tau.abs() >= tau.abs().flatten().topk(kept).values[-1])


def ties(tau1, tau2, density):
    taus = torch.stack([trimmed(tau1, density), trimmed(tau2, density)])
    elected = torch.where(taus.sum(0) >= 0, 1.0, -1.0)
    agree = taus.sign() == elected
    return (taus * agree).sum(0) / agree.sum(0).clamp(min=1)


@FAMILIES
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_slerp_turns_the_weights_or_the_task_vectors(name, alpha):
    base, one, two = trio(name)
    weights = merge_with("slerp", [one, two], alpha=alpha)
    assert largest_difference(weights, by_loop(lambda a, b: slerp(a, b, alpha), one, two)) < 1e-5
    for start, models in ((None, [one, two]), (base, [base, one, two])):
        turned = merge_with("nuslerp", [one, two], base=start, alpha=alpha)
        rule = lambda *t: slerp(*t, alpha) if start is None else t[0] + slerp(t[1] - t[0], t[2] - t[0], alpha)
        assert largest_difference(turned, by_loop(rule, *models)) < 1e-5


@FAMILIES
def test_task_arithmetic_adds_multiples_of_task_vectors(name):
    base, one, two = trio(name)
    merged = merge_with("task_arithmetic", [one, two], base, lam=0.7, weights=[1.0, -0.5])
    rule = lambda b, x, y: b + 0.7 * ((x - b) - 0.5 * (y - b))
    assert largest_difference(merged, by_loop(rule, base, one, two)) < 1e-5


@FAMILIES
@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_ties_trims_elects_and_averages(name, density):
    base, one, two = trio(name)
    merged = merge_with("ties", [one, two], base, lam=0.8, density=density)
    rule = lambda b, x, y: b + 0.8 * ties(x - b, y - b, density)
    assert largest_difference(merged, by_loop(rule, base, one, two)) < 1e-5


@FAMILIES
def test_model_stock_steps_from_base_by_the_angle_between_the_task_vectors(name):
    base, one, two = trio(name)

    def rule(b, x, y):
        cos = ((x - b).flatten() @ (y - b).flatten() / ((x - b).norm() * (y - b).norm())).item()
        return b + 2 * cos / (1 + cos) * ((x + y) / 2 - b)

    assert largest_difference(merge_with("model_stock", [one, two], base), by_loop(rule, base, one, two)) < 1e-4


@FAMILIES
def test_dare_drops_by_the_seed_and_divides_by_the_density(name):
    base, one, two = trio(name)
    merged = merge_with("dare_linear", [one, two], base, density=0.4, lam=0.5, seed=7)
    torch.manual_seed(7)
    expected = {}
    for tensor_name, start in named_weights(base).items():
        step = 0
        for model in (one, two):
            tau = named_weights(model)[tensor_name] - start
            step = step + tau * torch.bernoulli(torch.full(tau.shape, 0.4)) / 0.4
        expected[tensor_name] = start + 0.5 * step
    found = named_weights(merged)
    assert max((found[key] - tensor).abs().max() for key, tensor in expected.items()) < 1e-5
    assert same_bytes(merged, merge_with("dare_linear", [one, two], base, density=0.4, lam=0.5, seed=7))
    assert not same_bytes(merged, merge_with("dare_linear", [one, two], base, density=0.4, lam=0.5, seed=8))


def test_dare_is_unbiased_over_many_seeds():
    base, one, two = trio()
    mean, n = {name: torch.zeros_like(tensor) for name, tensor in named_weights(base).items()}, 100
    out = copy.deepcopy(base)
    for seed in range(n):
        merge_with("dare_linear", [one, two], base, density=0.5, seed=seed, out=out)
        for name, tensor in named_weights(out).items():
            mean[name] += tensor / n
    exact = named_weights(merge_with("task_arithmetic", [one, two], base))
    # one draw errs by |tau| about sqrt(2) times, 100 draws by a tenth of that: 0.3 * 1.4 / 10 = 0.042, mean square
    errors = torch.cat([(mean[name] - tensor).flatten() for name, tensor in exact.items()])
    assert errors.square().mean().sqrt() < 0.05 and abs(errors.mean()) < 0.002


# --- identities -------------------------------------------------------------------------------------------------


@quick
@given(alpha=SHARE, density=st.sampled_from([0.25, 0.5, 1.0]), lam=SHARE)
def test_a_model_merged_with_itself_is_itself(alpha, density, lam):
    base, model, _ = trio()
    twin = copy.deepcopy(model)
    same = [merge_with(method, [model, twin], alpha=alpha) for method in ("slerp", "nuslerp")]
    same += [merge_with("nuslerp", [model, twin], base, alpha=alpha), merge_with("model_stock", [model, twin], base)]
    same += [merge_with("karcher", [model, twin]), merge_with("ties", [model, twin], base)]
    same += [merge_with("task_arithmetic", [model, twin], base, weights=[alpha, 1 - alpha])]
    assert max(largest_difference(merged, model.state_dict()) for merged in same) < 1e-5


@quick
@given(density=st.sampled_from([0.25, 0.5, 1.0]), seed=st.integers(0, 3))
def test_lambda_zero_is_base(density, seed):
    base, one, two = trio()
    for method in ("task_arithmetic", "ties", "dare_linear"):
        knobs = {"density": density, "seed": seed} if method == "dare_linear" else {}
        assert same_bytes(merge_with(method, [one, two], base, lam=0, **knobs), base)


def test_ties_of_agreeing_vectors_at_density_one_is_their_mean():
    base, one, _ = trio()
    two = merge_selected(one, base, named_weights(one), alpha=0.5)  # half of one's way: every sign agrees
    merged = merge_with("ties", [one, two], base)
    assert largest_difference(merged, by_loop(lambda x, y: (x + y) / 2, one, two)) < 1e-5


@quick
@given(alpha=SHARE, density=st.sampled_from([0.25, 0.5, 1.0]))
def test_permuting_the_models_changes_nothing(alpha, density):
    base, one, two = trio()
    pairs = [
        [merge_with("slerp", order, alpha=a) for order, a in (([one, two], alpha), ([two, one], 1 - alpha))],
        [merge_with("ties", order, base, density=density) for order in ([one, two], [two, one])],
        [merge_with("model_stock", order, base) for order in ([one, two], [two, one])],
        [
            merge_with("task_arithmetic", o, base, weights=w)
            for o, w in (([one, two], [1, 0.5]), ([two, one], [0.5, 1]))
        ],
    ]
    assert max(largest_difference(x, y.state_dict()) for x, y in pairs) < 1e-5


@FAMILIES
def test_the_place_in_the_plane_of_three_models(name):
    base, one, two = trio(name)
    inside = merge_with("task_arithmetic", [one, two], base, weights=[0.7, -0.4])
    assert in_plane(inside, base, [one, two]) == pytest.approx((0.7, -0.4, 0), abs=2e-3)
    other = build(name, 7)
    ways = [
        torch.cat([(tensor - named_weights(base)[n]).flatten() for n, tensor in named_weights(model).items()])
        for model in (one, two, other)
    ]
    plane = torch.stack(ways[:2], dim=1).double()
    x, y = torch.linalg.lstsq(plane, ways[2].double()).solution.tolist()
    missed = (ways[2] - x * ways[0] - y * ways[1]).norm() / ways[2].norm()
    assert in_plane(other, base, [one, two]) == pytest.approx((x, y, missed.item()), abs=1e-4)


# --- what a merge leaves alone ----------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("method", mergekit.KNOBS)
def test_parents_stay_and_out_is_used(name, method):
    base, one, two = trio(name)
    start = base if method in NEEDS_BASE else None
    before, out = [snapshot(model) for model in (base, one, two)], copy.deepcopy(base)
    memory = storages(out)
    random_state = torch.get_rng_state()
    merged = merge_with(method, [one, two], start, out=out)
    assert merged is out and storages(out) == memory
    assert same_bytes(out, merge_with(method, [one, two], start))
    assert all(same_bytes(model, state) for model, state in zip((base, one, two), before))
    assert torch.equal(random_state, torch.get_rng_state())
    assert merged.get_input_embeddings().weight is merged.get_output_embeddings().weight  # tied once, and still


@pytest.mark.parametrize("method", ["slerp", "ties"])
def test_only_the_named_tensors_are_merged(method):
    base, one, two = trio()
    chosen, start = {"transformer.h.1.mlp.c_fc.weight"}, base if method == "ties" else None
    merged, whole = (merge_with(method, [one, two], start, names=names) for names in (chosen, None))
    for name, tensor in named_weights(merged).items():
        source = whole if name in chosen else start or one
        assert torch.equal(tensor, named_weights(source)[name])


def test_half_precision_is_merged_in_float32_and_rounded_once():
    base, one, two = (model.to(torch.bfloat16) for model in trio())
    merged = merge_with("ties", [one, two], base, density=0.5)
    wide = merge_with(
        "ties", [copy.deepcopy(one).float(), copy.deepcopy(two).float()], copy.deepcopy(base).float(), density=0.5
    )
    assert same_bytes(merged, wide.to(torch.bfloat16))


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says, method, with_base, knobs",
    [
        ("no method 'tie'", "tie", True, {}),
        ("no knob 'density'; it has alpha", "slerp", False, {"density": 0.5}),
        ("it has none", "karcher", False, {"alpha": 0.5}),
        ("ties needs base=", "ties", False, {}),
        ("slerp knows no base", "slerp", True, {}),
        ("share of the first model", "slerp", False, {"alpha": 1.2}),
        ("share of the first model", "nuslerp", True, {"alpha": True}),
        ("from 0 (base) to 2, not -0.1", "ties", True, {"lam": -0.1}),
        ("from 0 (base) to 2, not nan", "task_arithmetic", True, {"lam": math.nan}),
        ("above 0 and up to 1, not 0", "ties", True, {"density": 0}),
        ("above 0 and up to 1, not 1.5", "dare_linear", True, {"density": 1.5}),
        ("a whole number from 0 on, not 1.5", "dare_linear", True, {"seed": 1.5}),
        ("2 task vectors need 2 weights, not 1", "task_arithmetic", True, {"weights": [1]}),
        ("from -2 to 2, not 3", "task_arithmetic", True, {"weights": [1, 3]}),
        ("above 0 to 2, not -1", "ties", True, {"weights": [1, -1]}),
        ("matches no tensor", "slerp", False, {"names": []}),
        ("names h.9.mlp", "slerp", False, {"names": ["h.9.mlp"]}),
    ],
)
def test_refuses_what_mergekit_takes_on_trust(says, method, with_base, knobs):
    base, one, two = trio()
    refused(lambda: merge_with(method, [one, two], base if with_base else None, **knobs), base, one, two, says=[says])


def test_refuses_a_wrong_number_of_models():
    base, one, two = trio()
    refused(lambda: merge_with("slerp", [one, two, base]), one, says=["exactly 2 models, not 3"])
    refused(lambda: merge_with("model_stock", [one], base), one, says=["at least 2 models, not 1"])
    refused(lambda: merge_with("karcher", []), says=["at least 1 models, not 0"])


@pytest.mark.parametrize("at", range(3))
def test_refuses_nan_in_any_model_and_in_base(at):
    models = trio()
    set_value(models[at], math.nan)
    refused(lambda: merge_with("ties", models[1:], models[0]), says=["c_fc.weight", "NaN"])


def test_refuses_other_architectures_names_and_shapes():
    base, one, two = trio()
    refused(lambda: merge_with("ties", [one, build("gpt-2")], base), one, says=["GPT2LMHeadModel"])
    refused(lambda: merge_with("ties", [one, build(vocab_size=65)], base), one, says=["wte", "65"])
    refused(lambda: merge_with("slerp", pair(num_layers=2) and [one, build(hidden_size=32)]), one, says=["hidden_size"])
    refused(lambda: merge_with("ties", [one, two], base, out=one), one, two, says=["one of the parents"])
    refused(lambda: merge_with("ties", [one, "two"], base), one, says=["A str is not a model"])


def test_refuses_a_result_that_overflows_half_precision():
    base, one, two = (model.to(torch.float16) for model in trio())
    set_value(base, -30000.0), set_value(one, 30000.0), set_value(two, 30000.0)
    message = "too large for torch.float16"
    refused(lambda: merge_with("task_arithmetic", [one, two], base), base, one, two, says=["c_fc.weight", message])


def test_without_mergekit_the_error_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def no_mergekit(name, *arguments, **options):
        if name.startswith("mergekit"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_mergekit)
    _, one, two = trio()
    with pytest.raises(MergeError, match=r"LGPL-3.0.*pip install -r requirements/scale.txt"):
        merge_with("slerp", [one, two])
