"""What preflight says of models whose weights it never reads."""

import json

import pytest
from small import OWN, write_tokenizer
from transformers import AutoConfig, AutoTokenizer

from merging.errors import LoadError
from merging.load.loading import FAMILIES, load_models
from merging.load.preflight import preflight


def write_config(folder, changes=(), template=None, kind="llama"):
    """A folder with a configuration and a tokenizer, which is all that preflight reads."""
    settings = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4) | OWN | dict(changes)
    AutoConfig.for_model(kind, **settings).save_pretrained(folder)
    return write_tokenizer(folder, template)


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


def test_an_adapter_has_the_card_of_its_base(tmp_path):
    original, base = write_config(tmp_path / "a"), write_config(tmp_path / "b")
    (tmp_path / "lora").mkdir()
    settings = {"base_model_name_or_path": str(original), "peft_type": "LORA", "r": 8}
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(settings))
    card = preflight({"first": original, "second": tmp_path / "lora"})
    assert not card.refusals and [row[1] for row in card.rows] == [row[2] for row in card.rows]
    assert card.notes[0] == (
        f"second is a LoRA adapter of rank 8, a small correction: load_models adds it to {original}."
    )
    card = preflight({"base": base, "second": tmp_path / "lora"})
    assert "load_models adds it to the model labelled base" in card.notes[0]


def test_an_adapter_of_another_kind_is_refused(tmp_path):
    (tmp_path / "ia3").mkdir()
    (tmp_path / "ia3" / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(LoadError, match="an adapter of the kind IA3"):
        preflight({"first": write_config(tmp_path / "a"), "second": tmp_path / "ia3"})


def test_preflight_refuses_tokenizers_that_disagree_and_notes_extra_rows(tmp_path, tokenizer):
    shuffled = write_config(tmp_path / "b")
    words = json.loads((shuffled / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    one, other = sorted((word for word, i in vocabulary.items() if i in (500, 501)), key=vocabulary.get)
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (shuffled / "tokenizer.json").write_text(json.dumps(words))
    [refusal] = preflight({"first": write_config(tmp_path / "a"), "second": shuffled}).refusals
    one, other = tokenizer.decode([500]), tokenizer.decode([501])
    assert f"row 500 of the embedding is for {one!r} in first and for {other!r} in second" in refusal
    card = preflight(
        {"first": tmp_path / "a", "second": write_config(tmp_path / "c", dict(vocab_size=len(tokenizer) + 4))}
    )
    assert card.refusals == [] and f"{len(tokenizer)} rows in first and {len(tokenizer) + 4} in second" in card.notes[0]
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


def test_preflight_compares_the_text_part_of_models_that_see_pictures(tmp_path, tokenizer):
    for label, layers in (("first", 2), ("second", 3)):
        text = dict(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=layers, num_attention_heads=4)
        AutoConfig.for_model("gemma3", text_config=text).save_pretrained(tmp_path / label)
        tokenizer.save_pretrained(tmp_path / label)
    card = preflight({label: tmp_path / label for label in ("first", "second")})
    assert ["layers", 2, 3] in card.rows and ["vocabulary rows", len(tokenizer), len(tokenizer)] in card.rows
    assert any("num_hidden_layers is 2 in first and 3 in second" in refusal for refusal in card.refusals)


def test_the_card_says_what_a_model_takes_in_memory_before_it_is_loaded():
    card = preflight(FAMILIES["tiny"])
    n = sum(p.numel() for p in load_models({"base": FAMILIES["tiny"]["base"]}, device="cpu")["base"].model.parameters())
    assert card.rows[-1][:2] == ["takes in float32", f"{4 * n / 1e6:.1f} MB"]
