"""The reader's own models: a pair of five other architectures from folder to card, through every module."""

import pytest
import torch
from small import write_own, written_config

from helpers import generate_text, merge_models, merge_models_select
from lessons.views.explorers import alpha_explorer, mixing_desk, tree_and_triangle, triangle_grid
from merging.disk.saving import save_merge
from merging.load.loading import load_models
from merging.load.preflight import preflight
from merging.measure.bits import bits_per_byte
from merging.tensors import named_weights, touched

TEXT = "def greet(name):\n    return f'Hello, {name}!'\n"


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt-2", "gpt-neox", "opt"])
def test_a_pair_of_any_architecture_from_folder_to_card(name, tmp_path):
    sources = {label: write_own(tmp_path / label, name, seed) for seed, label in enumerate(("first", "second"))}
    card = preflight(sources)
    assert card.refusals == card.notes == []
    (first, tokenizer), (second, _) = load_models(sources).values()
    alphas, out = [0.0, 0.5, 1.0], merge_models(first, second)
    scores = [bits_per_byte(merge_models(first, second, alpha, out=out), tokenizer, TEXT) for alpha in alphas]
    assert scores[0] == bits_per_byte(second, tokenizer, TEXT) and scores[2] == bits_per_byte(first, tokenizer, TEXT)
    attention = merge_models_select(first, second, merge_mlp=False)
    changed = {n for n, theta in named_weights(attention).items() if not torch.equal(theta, named_weights(first)[n])}
    assert changed and all("attn" in n or "attention" in n for n in changed)
    merge_models(first, second, out=out)
    assert generate_text(out, tokenizer, "def", max_length=12).startswith("def")

    view = alpha_explorer(
        ("first", first), ("second", second), tokenizer, alphas, {"mine": scores}, {}, {"code": "def"}, max_length=8
    )
    view.set(alpha=0.5)
    assert f"mine {scores[1]:.2f}" in view.words.value

    desk = mixing_desk(("first", first), ("second", second), tokenizer, {"mine": [TEXT]})
    desk.preset.value = "attention only"
    assert f"This changes {touched(first, changed)} of first" in desk.words.value
    assert (
        f"mine {bits_per_byte(attention, tokenizer, TEXT):.2f} (first {scores[2]:.2f}, second {scores[0]:.2f})"
        in desk.words.value
    )

    models = {"first": first, "second": second, "mean": out}
    grid = triangle_grid(list(models.values()), tokenizer, {"mine": [TEXT]}, steps=2)
    tree = tree_and_triangle(models, tokenizer, {"mine": [TEXT]}, grid)
    tree.set(inner=1.0, outer=0.5)  # half of first, half of the mean
    assert f"{bits_per_byte(merge_models(first, second, 0.75), tokenizer, TEXT):.3f} bits per byte" in tree.words.value

    half = merge_models(first, second, 0.5)
    saved = save_merge(
        half, tokenizer, tmp_path / "merged", list(sources.values()), [0.5, 0.5], scores={"mine": scores[1]}
    )
    again, words = load_models({"again": saved})["again"]
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"].to(half.device)
    with torch.no_grad():
        assert torch.equal(again(ids).logits, half(ids).logits)
    assert words.get_vocab() == tokenizer.get_vocab()
    card = (saved / "README.md").read_text()
    assert f"| {sources['first']} | 0.5 |" in card and f"| mine | {scores[1]:.3f} |" in card
    config = written_config(saved)
    assert [model.model.model.path for model in config.models] == [str(source) for source in sources.values()]
    assert [model.parameters["weight"] for model in config.models] == [0.5, 0.5]
