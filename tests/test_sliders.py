"""The live views without a browser: a slider set in Python does what a reader's hand does."""

import asyncio
import re
from pathlib import Path

import pytest
import sliders
import torch
from transformers import AutoTokenizer, GPTNeoConfig, GPTNeoForCausalLM

import helpers

ROOT = Path(__file__).resolve().parents[1]
ALPHAS = [0.0, 0.5, 1.0]
BITS = {"code": [1.5, 1.25, 1.0], "beer": [0.25, 0.5, 2.0]}
PROMPTS = {"code": "def f(", "beer": "style:"}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(ROOT / "models" / "base")


def random_model(seed, rows):
    torch.manual_seed(seed)
    return GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=rows,
            hidden_size=32,
            num_layers=4,
            num_heads=4,
            window_size=16,
            max_position_embeddings=256,
            attention_types=[[["global", "local"], 2]],
            bos_token_id=0,
            eos_token_id=0,
            initializer_range=0.2,
        )
    ).eval()


@pytest.fixture(scope="module")
def trio(tokenizer):
    return {label: random_model(seed, len(tokenizer)) for seed, label in enumerate(("base", "clippy", "beer"))}


@pytest.fixture
def explorer(trio, tokenizer):
    return sliders.alpha_explorer(
        ("clippy", trio["clippy"]),
        ("beer", trio["beer"]),
        tokenizer,
        ALPHAS,
        BITS,
        {"code": 1.6, "beer": 1.9},
        PROMPTS,
        max_length=24,
    )


@pytest.fixture
def desk(trio, tokenizer):
    return sliders.mixing_desk(
        ("clippy", trio["clippy"]),
        ("beer", trio["beer"]),
        tokenizer,
        {"code": ["def f(x):"], "beer": ["style: Ale"], "english": ["A day."]},
    )


def same_bits(model1, model2):
    return all(
        torch.equal(theta, helpers.merge_tensors(model2)[name]) for name, theta in helpers.merge_tensors(model1).items()
    )


def places(model):
    return {name: theta.data_ptr() for name, theta in helpers.merge_tensors(model).items()}


def rings(view):
    return re.findall(r"<circle cx='([\d.]+)' cy='([\d.]+)' r='10'", view.picture.value)


# --- what they show ---------------------------------------------------------------------------------------------


def test_the_ends_of_the_slider_are_the_parents_bit_for_bit(explorer, trio):
    explorer.controls["alpha"].value = 1.0
    assert same_bits(explorer.model, trio["clippy"])
    explorer.controls["alpha"].value = 0.0
    assert same_bits(explorer.model, trio["beer"])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_ring_words_and_text_belong_to_the_alpha(explorer, trio, tokenizer, alpha):
    explorer.set(alpha=0.5 if alpha != 0.5 else 0.0)
    explorer.controls["alpha"].value = alpha
    i = ALPHAS.index(alpha)
    assert f"alpha = {alpha:.2f} (share of clippy)" in explorer.words.value
    assert f"code {BITS['code'][i]:.2f}, beer {BITS['beer'][i]:.2f}" in explorer.words.value
    assert [float(x) for x, _ in rings(explorer)] == [60 + alpha * 165, 300 + alpha * 165]
    merged = helpers.merge_models(trio["clippy"], trio["beer"], alpha)
    text = helpers.generate_text(merged, tokenizer, PROMPTS["code"], max_length=24, seed=32)
    assert explorer.plain(explorer.text) == text


def test_bars_are_the_probabilities_of_the_merge(explorer, trio, tokenizer):
    explorer.set(alpha=0.5, prompt="beer")
    merged = helpers.merge_models(trio["clippy"], trio["beer"], 0.5)
    ids = tokenizer("style:", return_tensors="pt")["input_ids"]
    likely = merged(ids).logits[0, -1].softmax(-1)
    best = trio["beer"](ids).logits[0, -1].argmax()
    assert f"{tokenizer.decode(best)!r} {likely[best]:.0%}" in explorer.plain(explorer.words)


def test_a_guess_shows_no_curve_before_it_is_committed():
    view = sliders.predict_then_reveal(ALPHAS, [0.1, 0.8, 0.3], ("beer", "clippy"), "gain")
    view.controls["guess"].value = 1.0
    assert "polygon" not in view.picture.value and "0.80" not in view.picture.value + view.words.value
    view.controls["commit"].click()
    assert "polygon" in view.picture.value and "reaches 0.30. The best is alpha = 0.50 with 0.80" in view.words.value
    assert view.controls["guess"].disabled


@pytest.mark.parametrize(
    "preset, selection", [("attention only", dict(merge_mlp=False)), ("feed-forward only", dict(merge_attn=False))]
)
def test_a_preset_of_the_desk_is_the_articles_selection(desk, trio, preset, selection):
    desk.preset.value = "half of everything"
    assert same_bits(desk.model, helpers.merge_models(trio["clippy"], trio["beer"], 0.5))
    desk.preset.value = preset
    assert same_bits(desk.model, helpers.merge_models_select(trio["clippy"], trio["beer"], **selection))
    names = [
        name for name in helpers.merge_tensors(trio["clippy"]) if helpers.tensor_kind(name)[0] == preset.split()[0]
    ]
    assert helpers.touched(trio["clippy"], names) in desk.words.value


def test_the_ends_of_the_desk_are_the_parents_bit_for_bit(desk, trio):
    assert same_bits(desk.model, trio["clippy"])
    desk.set(**dict.fromkeys(desk.controls, 0.0))
    assert same_bits(desk.model, trio["beer"])


def test_a_ramp_goes_from_the_first_block_to_the_last(desk):
    desk.preset.value = "ramp down"
    assert [desk.controls[f"attention {i}"].value for i in (1, 2, 3, 4)] == [1.0, 0.7, 0.3, 0.0]
    assert desk.controls[sliders.REST].value == 0.5


def test_the_desk_merges_only_what_changed(desk, monkeypatch):
    merged = []
    monkeypatch.setattr(sliders, "merge_into", lambda out, models, weights, names: merged.append((weights, names)))
    desk.controls["feed-forward 2"].value = 0.25
    names = [f"transformer.h.1.mlp.{part}" for part in ("c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias")]
    assert merged == [([0.25, 0.75], names)]


@pytest.mark.parametrize(
    "tree, expected",
    [
        ("(base + clippy) + beer", (0.12, 0.18, 0.7)),
        ("(clippy + beer) + base", (0.7, 0.12, 0.18)),
        ("(base + beer) + clippy", (0.12, 0.7, 0.18)),
    ],
)
def test_tree_and_triangle_show_the_same_point(trio, tokenizer, tree, expected):
    texts = {"code": ["def f(x):"]}
    grid = sliders.triangle_grid(list(trio.values()), tokenizer, texts, steps=2)
    view = sliders.tree_and_triangle(trio, tokenizer, texts, grid)
    view.set(tree=tree, inner=0.4, outer=0.3)
    assert ", ".join(f"{name} {weight:.2f}" for name, weight in zip(trio, expected)) in view.words.value
    corners = ((830, 36), (690, 246), (970, 246))
    x, y = (sum(w * corner[i] for w, corner in zip(expected, corners)) for i in (0, 1))
    assert [(float(a), float(b)) for a, b in rings(view)] == [pytest.approx((x, y), abs=0.06)]
    merged = helpers.average_models(list(trio.values()), expected)
    assert f"{helpers.bits_per_byte(merged, tokenizer, texts['code']):.3f} bits per byte" in view.words.value


def test_the_grid_has_66_merges_with_the_models_at_its_corners(trio, tokenizer):
    texts = {"code": ["def f(x):"], "beer": ["style:"]}
    grid = sliders.triangle_grid(list(trio.values()), tokenizer, texts)
    assert len(grid) == 66 and all(abs(sum(weights) - 1) < 1e-9 for weights in grid)
    mean = sum(helpers.bits_per_byte(trio["clippy"], tokenizer, text) for text in texts.values()) / 2
    assert grid[0.0, 1.0, 0.0] == pytest.approx(mean)


def test_the_scores_of_a_view_are_bits_per_byte(trio, tokenizer):
    texts = {
        "code": ["def f(x):\n    return x", "x"],
        "beer": ["style: Kölsch"],
        "english": ["A day.", "Two days later."],
    }
    scores = sliders.scorer(texts, tokenizer)(trio["beer"])
    assert scores == {
        kind: pytest.approx(helpers.bits_per_byte(trio["beer"], tokenizer, documents), rel=1e-5)
        for kind, documents in texts.items()
    }


def test_the_static_twin_is_what_the_view_shows(explorer, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(sliders, "display", lambda data, raw: shown.append(data))
    explorer.still(alpha=0.5, prompt="beer")
    words, text = explorer.plain(explorer.words), explorer.plain(explorer.text)
    assert shown == [{"image/svg+xml": explorer.picture.value, "text/plain": words}]
    assert capsys.readouterr().out == f"{words}\n\n{text}\n" and "alpha = 0.50" in words


# --- how they behave --------------------------------------------------------------------------------------------


def test_moving_uses_the_same_memory_and_leaves_the_parents_alone(explorer, desk, trio):
    before = {
        label: [theta.clone() for theta in helpers.merge_tensors(model).values()] for label, model in trio.items()
    }
    memory = places(explorer.model), places(desk.model)
    for alpha in (0.0, 0.5, 1.0):
        explorer.controls["alpha"].value = alpha
        desk.set(**dict.fromkeys(desk.controls, alpha))
    assert memory == (places(explorer.model), places(desk.model))
    for label, model in trio.items():
        assert all(map(torch.equal, before[label], helpers.merge_tensors(model).values()))


def test_streamed_text_is_the_text_of_generate_text(trio, tokenizer):
    texts = list(sliders.stream_text(trio["base"], tokenizer, "style: A", max_length=40, seed=3))
    assert texts[-1] == helpers.generate_text(trio["base"], tokenizer, "style: A", max_length=40, seed=3)
    assert len(texts) > 5 and all(len(a) <= len(b) for a, b in zip(texts, texts[1:]))


def test_a_prompt_without_room_for_a_text(trio, tokenizer):
    with pytest.raises(ValueError, match="max_length must be larger, not 2"):
        next(sliders.stream_text(trio["base"], tokenizer, "style: Scottish Ale", max_length=2))


def test_the_last_of_many_fast_moves_wins(explorer, trio, tokenizer):
    async def move():
        for alpha in (0.0, 1.0, 0.5, 0.0, 1.0, 0.5):
            explorer.controls["alpha"].value = alpha
            await asyncio.sleep(0)
        given_up = explorer.task
        explorer.controls["alpha"].value = 0.0
        await explorer.task
        return given_up

    given_up = asyncio.run(move())
    assert given_up.cancelled()
    assert explorer.plain(explorer.text) == helpers.generate_text(
        trio["beer"], tokenizer, PROMPTS["code"], max_length=24, seed=32
    )
    assert "alpha = 0.00" in explorer.words.value


def test_there_is_no_streaming_in_colab(explorer, monkeypatch):
    monkeypatch.setitem(sliders.sys.modules, "google.colab", object())

    async def move():
        explorer.controls["alpha"].value = 1.0
        return explorer.task

    assert asyncio.run(move()) is None
    assert explorer.plain(explorer.text)


def test_an_error_is_shown_and_raised(explorer, monkeypatch):
    def broken(*args, **options):
        raise helpers.MergeError("a <b>broken</b> tensor")

    monkeypatch.setattr(sliders, "merge_into", broken)
    with pytest.raises(helpers.MergeError):
        explorer.controls["alpha"].value = 1.0
    assert "MergeError: a &lt;b&gt;broken&lt;/b&gt; tensor" in explorer.words.value


def test_an_error_while_text_streams_is_shown_and_raised(explorer, monkeypatch):
    def broken(*args, **options):
        yield "so far"
        raise RuntimeError("out of memory")

    async def move():
        explorer.controls["alpha"].value = 1.0
        await explorer.task

    monkeypatch.setattr(sliders, "stream_text", broken)
    with pytest.raises(RuntimeError):
        asyncio.run(move())
    assert "RuntimeError: out of memory" in explorer.words.value


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a & b </pre><b>"])
def test_sampled_text_stays_text(explorer, monkeypatch, text):
    monkeypatch.setattr(sliders, "stream_text", lambda *args, **options: iter([text]))
    explorer.controls["alpha"].value = 1.0
    assert text not in explorer.text.value and explorer.plain(explorer.text) == text


def test_tokens_in_the_picture_stay_text():
    parts = sliders.token_bars(0, 0, 200, [("<script>", 0.5, [("clippy", 0.1)])])
    assert "<script>" not in "".join(parts) and "&lt;script&gt;" in "".join(parts)
