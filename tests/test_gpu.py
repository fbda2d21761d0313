"""A real GPU beside the CPU: `make test DEVICE=cuda` (or mps) where there is one."""

import copy

import pytest
import torch

from helpers import average_models, bits_per_byte, generate_text, heldout_texts, load_models, merge_models
from lessons.views.explorers import mixing_desk
from merging.errors import MergeError
from merging.load.device import get_device
from merging.measure.bits import keeper
from merging.measure.cost import new_memory
from merging.measure.text import BEER_PROMPT, CODE_PROMPT, stream_text
from merging.methods.batches import token_batches
from merging.methods.fisher import fisher, fisher_average
from merging.methods.lambdas import learn_lambdas, merge_lambdas
from merging.methods.mergekit import merge_with
from merging.methods.plane import in_plane
from merging.methods.regmean import input_products, regmean
from merging.tensors import named_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(get_device() == "cpu", reason="NOT RUN: no GPU was asked for: make test DEVICE=cuda, or mps"),
]


@pytest.fixture(scope="module")
def there():
    """The shipped trio on the GPU."""
    models = load_models("tiny")
    assert {model.device.type for model, _ in models.values()} == {get_device()}
    return models


def models_of(loaded):
    return [loaded[label].model for label in ("base", "clippy", "beer")]


def difference(one, other):
    theirs = named_weights(other)
    return max((theta.cpu() - theirs[name].cpu()).abs().max().item() for name, theta in named_weights(one).items())


def batches(tokenizer):
    texts = heldout_texts()
    return [token_batches(tokenizer, texts[kind][:4], rows=2, length=64) for kind in ("code", "beer")]


MERGES = {
    "the first model": lambda base, clippy, beer, kinds: merge_models(clippy, beer, 1.0),
    "an average of two": lambda base, clippy, beer, kinds: merge_models(clippy, beer, 0.3),
    "an average of three": lambda base, clippy, beer, kinds: average_models([base, clippy, beer], [0.2, 0.5, 0.3]),
    "into out": lambda base, clippy, beer, kinds: merge_models(clippy, beer, 0.3, out=copy.deepcopy(base)),
    "SLERP": lambda base, clippy, beer, kinds: merge_with("slerp", [clippy, beer], alpha=0.4),
    "task arithmetic": lambda base, clippy, beer, kinds: merge_with("task_arithmetic", [clippy, beer], base, lam=0.6),
    "RegMean": lambda base, clippy, beer, kinds: regmean(
        [clippy, beer], [input_products(model, kind) for model, kind in zip((clippy, beer), kinds)]
    ),
    "Fisher": lambda base, clippy, beer, kinds: fisher_average(
        [clippy, beer], [fisher(model, kind) for model, kind in zip((clippy, beer), kinds)]
    ),
    "learned lambdas": lambda base, clippy, beer, kinds: merge_lambdas(
        base, [clippy, beer], learn_lambdas(base, [clippy, beer], kinds, steps=2)
    ),
}
ROUGH = {"RegMean": 1e-3, "Fisher": 1e-3, "learned lambdas": 1e-3}  # these begin with a pass through the model


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_is_the_cpus(name, there, tiny):
    merged = [MERGES[name](*models_of(trio), batches(tiny["base"].tokenizer)) for trio in (there, tiny)]
    assert next(merged[0].parameters()).device.type == get_device()
    assert difference(*merged) <= ROUGH.get(name, 1e-6)


def test_ties_and_dare_keep_as_much_as_on_the_cpu(there, tiny):
    """Ties of equal numbers and the dice are the device's own: the merges differ, what they keep does not."""
    texts = {kind: documents[::6] for kind, documents in heldout_texts().items()}
    for method, knobs in (("ties", dict(density=0.5)), ("dare_linear", dict(density=0.8, lam=0.6, seed=0))):
        kept = []
        for trio in (there, tiny):
            base, clippy, beer = models_of(trio)
            judge = keeper(base, {"code": clippy, "beer": beer}, trio["base"].tokenizer, texts)
            kept.append(judge(merge_with(method, [clippy, beer], base, **knobs)))
        assert kept[0] == pytest.approx(kept[1], abs=0.05)


def test_a_seed_makes_the_same_merge_again(there):
    base, clippy, beer = models_of(there)
    first, again = (merge_with("dare_linear", [clippy, beer], base, density=0.5, seed=3) for _ in range(2))
    assert difference(first, again) == 0


@pytest.mark.parametrize("kind", ["code", "beer", "english"])
def test_bits_per_byte_are_the_cpus(kind, there, tiny):
    text = heldout_texts()[kind]
    for label in tiny:
        assert bits_per_byte(*there[label], text) == pytest.approx(bits_per_byte(*tiny[label], text), abs=1e-4)


def test_a_place_in_the_plane_is_the_cpus(there, tiny):
    places = []
    for base, clippy, beer in map(models_of, (there, tiny)):
        places.append(in_plane(merge_models(clippy, beer, 0.3), base, [clippy, beer]))
    assert places[0] == pytest.approx(places[1], abs=1e-3)


@pytest.mark.parametrize("label, prompt", [("clippy", CODE_PROMPT), ("beer", BEER_PROMPT)])
def test_a_streamed_text_is_the_generated_one(label, prompt, there):
    model, tokenizer = there[label]
    *_, streamed = stream_text(model, tokenizer, prompt, 80, seed=32)
    assert streamed == generate_text(model, tokenizer, prompt, max_length=80, seed=32)


def test_a_seed_leaves_the_devices_dice_alone(there):
    draw = lambda: torch.rand(3, device=get_device()).tolist()
    torch.manual_seed(1)
    first, second = draw(), draw()
    torch.manual_seed(1)
    assert draw() == first
    generate_text(*there["clippy"], "def", max_length=10, seed=2)
    assert draw() == second


def test_a_view_merges_on_the_gpu(there):
    texts = {kind: documents[0][:80] for kind, documents in heldout_texts().items()}
    texts = {kind: [text] for kind, text in texts.items()}
    _, clippy, beer = models_of(there)
    desk = mixing_desk(("clippy", clippy), ("beer", beer), there["base"].tokenizer, texts)
    desk.preset.value = "half of everything"
    half = merge_models(clippy, beer, 0.5)
    assert desk.model.device.type == get_device() and difference(desk.model, half) == 0
    assert f"code {bits_per_byte(half, there['base'].tokenizer, texts['code']):.2f}" in desk.words.value


def test_refusals_are_refusals(there, tiny):
    _, clippy, beer = models_of(there)
    with pytest.raises(MergeError, match="Move the models to one device"):
        merge_models(clippy, tiny["beer"].model)
    with pytest.raises(MergeError, match="`out` is on cpu"):
        merge_models(clippy, beer, out=copy.deepcopy(tiny["base"].model))
    broken = copy.deepcopy(beer)
    with torch.no_grad():
        next(broken.parameters())[0, 0] = float("nan")
    with pytest.raises(MergeError, match="NaN"):
        merge_models(clippy, broken)


def test_a_merge_into_out_asks_for_no_memory(there):
    _, clippy, beer = models_of(there)
    out = copy.deepcopy(clippy)
    merge_models(clippy, beer, out=out)
    assert new_memory(lambda: merge_models(clippy, beer, out=out)) < 1e5
