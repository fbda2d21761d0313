"""The live views without a browser: a slider set in Python does what a reader's hand does."""

import re

import pytest
import torch
from small import ALPHAS, BITS, PROMPTS

from helpers import average_models, generate_text, merge_models, merge_models_select
from lessons.views import explorers
from lessons.views.explorers import REST, mixing_desk, predict_then_reveal, tree_and_triangle, triangle_grid
from merging.measure.bits import bits_per_byte
from merging.tensors import named_weights, tensor_kind, touched


@pytest.fixture
def desk(random_trio, tokenizer):
    return mixing_desk(
        ("clippy", random_trio["clippy"]),
        ("beer", random_trio["beer"]),
        tokenizer,
        {"code": ["def f(x):"], "beer": ["style: Ale"], "english": ["A day."]},
    )


def same_bits(model1, model2):
    return all(torch.equal(theta, named_weights(model2)[name]) for name, theta in named_weights(model1).items())


def places(model):
    return {name: theta.data_ptr() for name, theta in named_weights(model).items()}


def rings(view):
    """Where the rings are: (x, y) of each."""
    found = re.findall(r"<circle cx='([\d.]+)' cy='([\d.]+)' r='10'", view.picture.value)
    return [(float(x), float(y)) for x, y in found]


def curves(view):
    """The points of each curve of the merged model."""
    found = re.findall(r"<polyline points='([^']+)' fill='none' stroke='#009E73'", view.picture.value)
    return [[tuple(map(float, point.split(","))) for point in points.split()] for points in found]


def test_the_ends_of_the_slider_are_the_parents_bit_for_bit(explorer, random_trio):
    explorer.controls["alpha"].value = 1.0
    assert same_bits(explorer.model, random_trio["clippy"])
    explorer.controls["alpha"].value = 0.0
    assert same_bits(explorer.model, random_trio["beer"])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_ring_words_and_text_belong_to_the_alpha(explorer, random_trio, tokenizer, alpha):
    explorer.set(alpha=0.5 if alpha != 0.5 else 0.0)
    explorer.controls["alpha"].value = alpha
    i = ALPHAS.index(alpha)
    assert f"alpha = {alpha:.2f} (share of clippy)" in explorer.words.value
    assert f"code {BITS['code'][i]:.2f}, beer {BITS['beer'][i]:.2f}" in explorer.words.value
    assert rings(explorer) == [points[i] for points in curves(explorer)] and len(rings(explorer)) == len(BITS)
    merged = merge_models(random_trio["clippy"], random_trio["beer"], alpha)
    text = generate_text(merged, tokenizer, PROMPTS["code"], max_length=24, seed=32)
    assert explorer.plain(explorer.text) == text


def test_bars_are_the_probabilities_of_the_merge(explorer, random_trio, tokenizer):
    explorer.set(alpha=0.5, prompt="beer")
    merged = merge_models(random_trio["clippy"], random_trio["beer"], 0.5)
    ids = tokenizer("style:", return_tensors="pt")["input_ids"]
    likely = merged(ids).logits[0, -1].softmax(-1)
    best = random_trio["beer"](ids).logits[0, -1].argmax()
    assert f"{tokenizer.decode(best)!r} {likely[best]:.0%}" in explorer.plain(explorer.words)


def test_a_guess_shows_no_curve_before_it_is_committed():
    view = predict_then_reveal(ALPHAS, [0.1, 0.8, 0.3], ("beer", "clippy"), "gain")
    view.controls["guess"].value = 1.0
    assert "polygon" not in view.picture.value and "0.80" not in view.picture.value + view.words.value
    view.controls["commit"].click()
    assert "polygon" in view.picture.value and "reaches 0.30. The best is alpha = 0.50 with 0.80" in view.words.value
    assert view.controls["guess"].disabled


@pytest.mark.parametrize(
    "preset, selection", [("attention only", dict(merge_mlp=False)), ("feed-forward only", dict(merge_attn=False))]
)
def test_a_preset_of_the_desk_is_the_articles_selection(desk, random_trio, preset, selection):
    desk.preset.value = "half of everything"
    assert same_bits(desk.model, merge_models(random_trio["clippy"], random_trio["beer"], 0.5))
    desk.preset.value = preset
    assert same_bits(desk.model, merge_models_select(random_trio["clippy"], random_trio["beer"], **selection))
    names = [name for name in named_weights(random_trio["clippy"]) if tensor_kind(name)[0] == preset.split()[0]]
    assert touched(random_trio["clippy"], names) in desk.words.value


def test_the_ends_of_the_desk_are_the_parents_bit_for_bit(desk, random_trio):
    assert same_bits(desk.model, random_trio["clippy"])
    desk.set(**dict.fromkeys(desk.controls, 0.0))
    assert same_bits(desk.model, random_trio["beer"])


def test_a_ramp_goes_from_the_first_block_to_the_last(desk):
    desk.preset.value = "ramp down"
    assert [desk.controls[f"attention {i}"].value for i in (1, 2, 3, 4)] == [1.0, 0.7, 0.3, 0.0]
    assert desk.controls[REST].value == 0.5


def test_the_desk_merges_only_what_changed(desk, monkeypatch):
    merged = []
    monkeypatch.setattr(explorers, "merge_into", lambda out, models, weights, names: merged.append((weights, names)))
    desk.controls["feed-forward 2"].value = 0.25
    names = [f"transformer.h.1.mlp.{part}" for part in ("c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias")]
    assert merged == [([0.25, 0.75], names)]


CORNERS = ((1.0, 1.0), (0.0, 1.0), (0.5, 0.0))  # inner and outer alpha that leave only the first, second, third


@pytest.mark.parametrize(
    "tree, expected",
    [
        ("(base + clippy) + beer", (0.12, 0.18, 0.7)),
        ("(clippy + beer) + base", (0.7, 0.12, 0.18)),
        ("(base + beer) + clippy", (0.12, 0.7, 0.18)),
    ],
)
def test_tree_and_triangle_show_the_same_point(random_trio, tokenizer, tree, expected):
    texts = {"code": ["def f(x):"]}
    grid = triangle_grid(list(random_trio.values()), tokenizer, texts, steps=2)
    view = tree_and_triangle(random_trio, tokenizer, texts, grid)
    view.set(tree=tree, inner=0.4, outer=0.3)
    assert ", ".join(f"{name} {weight:.2f}" for name, weight in zip(random_trio, expected)) in view.words.value
    here, corners = rings(view), []
    for label in random_trio:
        inner, outer = CORNERS[re.findall(r"\w+", tree).index(label)]
        view.set(inner=inner, outer=outer)
        corners += rings(view)
    x, y = (sum(w * corner[i] for w, corner in zip(expected, corners)) for i in (0, 1))
    assert here == [pytest.approx((x, y), abs=0.15)] and len(set(corners)) == 3
    view.set(inner=0.4, outer=0.3)
    merged = average_models(list(random_trio.values()), expected)
    assert f"{bits_per_byte(merged, tokenizer, texts['code']):.3f} bits per byte" in view.words.value


def test_the_grid_has_66_merges_with_the_models_at_its_corners(random_trio, tokenizer):
    texts = {"code": ["def f(x):"], "beer": ["style:"]}
    grid = triangle_grid(list(random_trio.values()), tokenizer, texts)
    assert len(grid) == 66 and all(abs(sum(weights) - 1) < 1e-9 for weights in grid)
    mean = sum(bits_per_byte(random_trio["clippy"], tokenizer, text) for text in texts.values()) / 2
    assert grid[0.0, 1.0, 0.0] == pytest.approx(mean)


def test_moving_uses_the_same_memory_and_leaves_the_parents_alone(explorer, desk, random_trio):
    before = {label: [theta.clone() for theta in named_weights(model).values()] for label, model in random_trio.items()}
    memory = places(explorer.model), places(desk.model)
    for alpha in (0.0, 0.5, 1.0):
        explorer.controls["alpha"].value = alpha
        desk.set(**dict.fromkeys(desk.controls, alpha))
    assert memory == (places(explorer.model), places(desk.model))
    for label, model in random_trio.items():
        assert all(map(torch.equal, before[label], named_weights(model).values()))
