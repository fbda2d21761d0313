"""The reader's own models: five other architectures from folder to card, what preflight refuses, and saving a merge."""

import json

import pytest
import torch
from checkpoints import preflight, read_recipe, save_merge
from sliders import alpha_explorer, mixing_desk, tree_and_triangle, triangle_grid
from test_merging import build
from transformers import AutoConfig, AutoTokenizer

from helpers import (
    FAMILIES,
    LoadError,
    MergeError,
    bits_per_byte,
    generate_text,
    load_models,
    merge_models,
    merge_models_select,
    merge_tensors,
    touched,
)

TOKENIZER = AutoTokenizer.from_pretrained(FAMILIES["tiny"]["base"])
OWN = dict(vocab_size=len(TOKENIZER), max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=None)
TEXT = "def greet(name):\n    return f'Hello, {name}!'\n"


def write(folder, name="llama", seed=0, template=None, **changes):
    """A folder with a random model and the trio's tokenizer."""
    build(name, seed, **OWN | changes).save_pretrained(folder)
    words = AutoTokenizer.from_pretrained(FAMILIES["tiny"]["base"])
    words.chat_template = template
    words.save_pretrained(folder)
    return folder


def write_config(folder, changes={}, template=None, kind="llama"):
    """A folder with a configuration and a tokenizer, which is all that preflight reads."""
    config = AutoConfig.for_model(
        kind, **dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4) | OWN | changes
    )
    config.save_pretrained(folder)
    words = AutoTokenizer.from_pretrained(FAMILIES["tiny"]["base"])
    words.chat_template = template
    words.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt-2", "gpt-neox", "opt"])
def test_a_pair_of_any_architecture_from_folder_to_card(name, tmp_path):
    sources = {label: write(tmp_path / label, name, seed) for seed, label in enumerate(("first", "second"))}
    card = preflight(sources)
    assert card.refusals == card.notes == []
    (first, tokenizer), (second, _) = load_models(sources).values()
    alphas, out = [0.0, 0.5, 1.0], merge_models(first, second)
    scores = [bits_per_byte(merge_models(first, second, alpha, out=out), tokenizer, TEXT) for alpha in alphas]
    assert scores[0] == bits_per_byte(second, tokenizer, TEXT) and scores[2] == bits_per_byte(first, tokenizer, TEXT)
    attention = merge_models_select(first, second, merge_mlp=False)
    changed = {n for n, theta in merge_tensors(attention).items() if not torch.equal(theta, merge_tensors(first)[n])}
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
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(again(ids).logits, half(ids).logits)
    assert words.get_vocab() == tokenizer.get_vocab()
    card = (saved / "README.md").read_text()
    assert f"| {sources['first']} | 0.5 |" in card and f"| mine | {scores[1]:.3f} |" in card
    assert read_recipe(saved / "mergekit_config.yml") == (
        [str(source) for source in sources.values()],
        [0.5, 0.5],
        None,
        "float32",
    )


def test_a_card_names_parents_on_the_hub_and_the_selection(tmp_path):
    first, second = (build("llama", seed, **OWN) for seed in (0, 1))
    names = [name for name in merge_tensors(first) if "self_attn" in name]
    saved = save_merge(
        first, TOKENIZER, tmp_path / "m", ["owner/one", "a-folder"], [0.4, 0.6], names, notes=["Cut the rows."]
    )
    text = (saved / "README.md").read_text()
    assert "base_model:\n- owner/one\nbase_model_relation: merge\n" in text and "- Cut the rows.\n" in text
    assert f"{len(names)} of {len(merge_tensors(first))} tensors; the others are those of owner/one" in text
    assert read_recipe(saved / "mergekit_config.yml") == (["owner/one", "a-folder"], [0.4, 0.6], set(names), "float32")


def test_a_save_that_breaks_off_leaves_the_old_folder(tmp_path, monkeypatch):
    model = build("llama", **OWN)
    old = save_merge(model, TOKENIZER, tmp_path / "m", ["owner/one", "owner/other"], [0.5, 0.5])
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_merge(model, TOKENIZER, tmp_path / "m", ["owner/one", "owner/other"], [0.5, 0.5])
    monkeypatch.setattr(
        type(TOKENIZER), "save_pretrained", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        save_merge(model, TOKENIZER, tmp_path / "m", ["owner/one", "owner/other"], [0.1, 0.9], overwrite=True)
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_save_into_a_parent_or_with_wrong_weights_is_refused(tmp_path):
    model, parent = build("llama", **OWN), write(tmp_path / "parent")
    with pytest.raises(MergeError, match="lie within each other"):
        save_merge(model, TOKENIZER, parent, [parent, "owner/other"], [0.5, 0.5], overwrite=True)
    with pytest.raises(MergeError, match="sum to"):
        save_merge(model, TOKENIZER, tmp_path / "m", ["owner/one", "owner/other"], [0.5, 0.6])
    assert not (tmp_path / "m").exists()


# --- preflight --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, changes, words",
    [
        ("gpt2", {}, ["model_type is llama in first and gpt2 in second", "no counterpart"]),
        ("llama", dict(num_hidden_layers=3), ["num_hidden_layers is 2 in first and 3 in second", "no partner"]),
        ("llama", dict(hidden_size=32), ["hidden_size is 16 in first and 32 in second", "no numbers to pair"]),
        (
            "llama",
            dict(tie_word_embeddings=True),
            ["tie_word_embeddings is False in first and True in second", "output layer"],
        ),
        ("llama", dict(hidden_act="relu"), ["hidden_act", "another computation"]),
        (
            "llama",
            dict(quantization_config=dict(quant_method="gptq", bits=4)),
            ["second is quantised", "float32, bfloat16 or float16"],
        ),
    ],
)
def test_preflight_refuses_with_the_reason(kind, changes, words, tmp_path):
    card = preflight(
        {"first": write_config(tmp_path / "a"), "second": write_config(tmp_path / "b", changes, kind=kind)}
    )
    assert len(card.refusals) == 1 and all(word in card.refusals[0] for word in words), card


def test_preflight_names_pefts_merge_for_an_adapter(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    card = preflight({"first": write_config(tmp_path / "a"), "second": tmp_path / "b"})
    assert len(card.refusals) == 1 and "adapter" in card.refusals[0] and "owner/base" in card.refusals[0]
    assert "merge_and_unload()" in card.refusals[0]
    assert [row[2] for row in card.rows] == [""] * len(card.rows)


def test_preflight_refuses_tokenizers_that_disagree_and_notes_extra_rows(tmp_path):
    shuffled = write_config(tmp_path / "b")
    words = json.loads((shuffled / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    one, other = sorted((word for word, i in vocabulary.items() if i in (500, 501)), key=vocabulary.get)
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (shuffled / "tokenizer.json").write_text(json.dumps(words))
    [refusal] = preflight({"first": write_config(tmp_path / "a"), "second": shuffled}).refusals
    one, other = TOKENIZER.decode([500]), TOKENIZER.decode([501])
    assert f"row 500 of the embedding is for {one!r} in first and for {other!r} in second" in refusal
    card = preflight(
        {"first": tmp_path / "a", "second": write_config(tmp_path / "c", dict(vocab_size=len(TOKENIZER) + 4))}
    )
    assert card.refusals == [] and f"{len(TOKENIZER)} rows in first and {len(TOKENIZER) + 4} in second" in card.notes[0]
    assert "loses" not in card.notes[0]
    words = AutoTokenizer.from_pretrained(tmp_path / "c")
    words.add_tokens(["<|user|>"])
    words.save_pretrained(tmp_path / "c")
    assert "the merge loses <|user|>." in preflight({"first": tmp_path / "a", "second": tmp_path / "c"}).notes[0]


def test_preflight_notes_chat_templates_that_differ(tmp_path):
    card = preflight(
        {"first": write_config(tmp_path / "a"), "second": write_config(tmp_path / "b", template="{{ messages }}")}
    )
    assert card.refusals == [] and "chat templates of first and second differ" in card.notes[0]


def test_preflight_says_what_it_cannot_read(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.json").write_text("{}")
    with pytest.raises(LoadError, match="Model 'second': transformers cannot read its config or tokenizer") as raised:
        preflight({"first": write_config(tmp_path / "a"), "second": tmp_path / "b"})
    assert "\n" not in str(raised.value)


def test_preflight_compares_the_text_part_of_models_that_see_pictures(tmp_path):
    for label, layers in (("first", 2), ("second", 3)):
        text = dict(vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=layers, num_attention_heads=4)
        AutoConfig.for_model("gemma3", text_config=text).save_pretrained(tmp_path / label)
        TOKENIZER.save_pretrained(tmp_path / label)
    card = preflight({label: tmp_path / label for label in ("first", "second")})
    assert ["layers", 2, 3] in card.rows and ["vocabulary rows", len(TOKENIZER), len(TOKENIZER)] in card.rows
    assert any("num_hidden_layers is 2 in first and 3 in second" in refusal for refusal in card.refusals)
