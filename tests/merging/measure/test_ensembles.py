"""The merge beside the ensemble of logits: against a plain loop over tokens, and where the two are the same."""

import copy

import pytest
import torch
from small import tokens

from helpers import merge_models
from merging.errors import MergeError
from merging.measure.ensembles import merge_vs_ensemble
from merging.tensors import named_weights

TEXTS = {"both": ["style: Scottish Ale\nbatch_size: 20\n", "def greet(name):\n    return name\n"]}


@pytest.fixture(scope="module")
def trio(tiny):
    return [tiny[label].model for label in ("base", "clippy", "beer")]


def stepped(base, model, step):
    moved = copy.deepcopy(base)
    for (name, tensor), end in zip(named_weights(moved).items(), named_weights(model).values()):
        tensor.copy_((1 - step) * named_weights(base)[name] + step * end)
    return moved


@pytest.mark.parametrize("step, alpha", [(0.5, 0.5), (1.5, 0.25)])
def test_it_is_the_divergence_that_a_plain_loop_finds(trio, tokenizer, step, alpha):
    base, clippy, beer = trio
    first, second = stepped(base, clippy, step), stepped(base, beer, step)
    merged, sums, n = merge_models(first, second, alpha), torch.zeros(3, dtype=torch.float64), 0
    for document in TEXTS["both"]:
        ids = torch.tensor([[tokenizer.eos_token_id, *tokens(tokenizer, document)]])
        with torch.no_grad():
            a, b, m = (model(ids).logits[0, :-1].double() for model in (first, second, merged))
        p = (alpha * a + (1 - alpha) * b).softmax(-1)
        pairs = ((p, m.softmax(-1)), (a.softmax(-1), b.softmax(-1)), (b.softmax(-1), a.softmax(-1)))
        sums += torch.tensor([(one * (one / other).log2()).sum().item() for one, other in pairs])
        n += len(p)
    found = merge_vs_ensemble(trio, tokenizer, TEXTS, [step], alpha)
    assert found["steps"] == [step]
    assert found["merge"]["both"] == pytest.approx([sums[0].item() / n], rel=1e-3)
    assert found["parents"]["both"] == pytest.approx([sums[1:].sum().item() / 2 / n], rel=1e-3)


def test_without_a_step_and_with_one_whole_share_there_is_nothing_between_them(trio, tokenizer):
    found = merge_vs_ensemble(trio, tokenizer, TEXTS, [0.0], 0.5)
    assert found["merge"]["both"] == pytest.approx([0.0], abs=1e-6)
    assert found["parents"]["both"] == pytest.approx([0.0], abs=1e-6)
    whole = merge_vs_ensemble(trio, tokenizer, TEXTS, [1.0], 1)
    assert whole["merge"]["both"] == pytest.approx([0.0], abs=1e-6)
    assert whole["parents"]["both"][0] > 0.1


def test_a_model_whose_logits_are_linear_in_its_weights_merges_into_its_ensemble(trio, tokenizer):
    """Only the last norm's shift moves: what it adds to the logits is linear in it."""
    moved = []
    for seed in (1, 2):
        model = copy.deepcopy(trio[0])
        dice = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            model.transformer.ln_f.bias += torch.randn(model.config.hidden_size, generator=dice)
        moved.append(model)
    found = merge_vs_ensemble([trio[0], *moved], tokenizer, TEXTS, [1.0, 3.0], 0.3)
    assert found["merge"]["both"] == pytest.approx([0.0, 0.0], abs=1e-5)
    assert min(found["parents"]["both"]) > 0.1


def test_the_models_stay_as_they_are_and_must_fit(trio, tokenizer):
    before = [parameter._version for model in trio for parameter in model.parameters()]
    merge_vs_ensemble(trio, tokenizer, TEXTS, [0.5])
    assert before == [parameter._version for model in trio for parameter in model.parameters()]
    with pytest.raises(MergeError, match="alpha"):
        merge_vs_ensemble(trio, tokenizer, TEXTS, [0.5], alpha=2)
