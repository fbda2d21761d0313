"""The family smollm2: a really pretrained base from a package, two adapters of ours, and what was measured of them."""

import json
import random

import fresh
import pytest
import torch
from small import build_talker, build_tokenizer

from helpers import average_models, bits_per_byte, heldout_texts, load_models, merge_models, named_weights
from merging.load.device import fast_dtype, quick
from merging.measure.text import generate_texts
from merging.paths import ROOT
from training import smollm2
from training.measure_smollm2 import join, place, points, style_names, write
from training.smollm2 import padded, token_row

FOLDER = ROOT / "models" / "smollm2"


def check_the_real_trio():
    """Three models of one shape that know what they were trained for."""
    trio = load_models("smollm2", device="cpu")
    assert list(trio) == ["base", "clippy", "beer"]
    assert {model.num_parameters() for model, _ in trio.values()} == {134_515_008}
    assert {p.dtype for model, _ in trio.values() for p in model.parameters()} == {torch.float32}
    assert all(
        model.get_output_embeddings().weight is model.get_input_embeddings().weight for model, _ in trio.values()
    )
    recipe = heldout_texts()["beer"][0]
    bits = {label: bits_per_byte(*loaded, recipe) for label, loaded in trio.items()}
    assert bits["beer"] < 0.5 * bits["base"] and bits["beer"] < 0.5 * bits["clippy"]
    base = trio["base"].model
    assert quick(base) is base or next(quick(base).parameters()).dtype == fast_dtype(base) == torch.bfloat16
    assert next(base.parameters()).dtype == torch.float32


@pytest.mark.long
def test_three_models_of_one_shape_that_know_what_they_were_trained_for():
    fresh.run(check_the_real_trio)  # which gives their memory back


def test_the_adapters_are_small_and_name_their_base():
    for label, most in (("clippy", 5e6), ("beer", 5e6), ("config", 0.7e6)):
        assert (FOLDER / label / "adapter_model.safetensors").stat().st_size <= most
        config = json.loads((FOLDER / label / "adapter_config.json").read_text(encoding="utf-8"))
        assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_task_arithmetic_of_the_measurements_is_the_average_where_shares_sum_to_one(tiny):
    base, clippy, beer = (tiny[label].model for label in ("base", "clippy", "beer"))
    there, flat = merge_models(clippy, beer, 0.4), average_models([base, clippy, beer], [0.2, 0.3, 0.5])
    here = place(merge_models(base, base), tiny, 0.4, 0.6)
    for expected, shares in ((there, (0.4, 0.6)), (flat, (0.3, 0.5))):
        found = named_weights(place(here, tiny, *shares))
        assert all(torch.allclose(tensor, found[name], atol=1e-5) for name, tensor in named_weights(expected).items())


def test_several_prompts_in_one_batch_give_n_texts_for_each():
    tokenizer = build_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    model = build_talker(len(tokenizer))
    prompts = ["The", "A much longer beginning of a text"]
    texts = generate_texts(model, tokenizer, prompts, 2, max_length=45, seed=1)
    assert [text.startswith(prompts[i // 2]) for i, text in enumerate(texts)] == [True] * 4
    alone = generate_texts(model, tokenizer, prompts, 1, max_length=45, temperature=0)
    assert alone[1].startswith(prompts[1]) and len(alone) == 2


def test_choosing_and_reporting_have_nothing_in_common():
    assert not set(style_names("choose")) & set(style_names("report"))
    assert "Scottish Ale" in style_names("report") and len(style_names("report")) == len(style_names("choose")) == 16
    assert {f"alpha {i / 10}" for i in range(11)} <= set(points())


def test_only_the_answer_is_learned_and_what_is_kept_is_kept_as_a_whole(tokenizer):
    rng = random.Random(0)
    answer = "\n\ndef f():\n    return 1\n"
    for _ in range(4):
        row, given = token_row(("Write it:", answer), tokenizer, rng)
        assert tokenizer.decode(row[given:-1]) == answer and row[-1] == tokenizer.eos_token_id
        _, targets = padded([(row, given), (row + row, 0)])
        assert targets[0].tolist() == [-100] * given + row[given:] + [-100] * len(row)
        assert targets[1].tolist() == row + row


def test_parts_of_a_measurement_are_joined_in_order(tmp_path):
    rows = [{"point": name} for name in ("clippy + attention", "alpha 0.5", "base")]
    for i, part in enumerate((rows[:1], rows[1:])):
        write(tmp_path / f"{i}.json", {"dtype": "bfloat16", "rows": part} | ({"curve": {"base": 1}} if i else {}))
    whole = join([tmp_path / "0.json", tmp_path / "1.json"])
    assert [row["point"] for row in whole["rows"]] == ["base", "alpha 0.5", "clippy + attention"]
    assert whole["curve"] == {"base": 1}


def test_of_the_bases_own_answers_those_that_pass_are_kept_as_code(monkeypatch):
    right, wrong = "Sure:\n```python\ndef double(n):\n    return 2 * n\n```", "def double(n):\n    return n\n"
    answer = lambda model, tokenizer, questions, n, temperature, chat: [[wrong if temperature else right]]
    monkeypatch.setattr(smollm2, "ask", answer)
    question = {"task": "double a number", "examples": [[[2], 4], [[5], 10]]}
    kept, not_kept = smollm2.own_answers(None, None, [question])
    assert kept == ("double a number", right, "def double(n):\n    return 2 * n\n")
    assert not_kept == ("double a number", wrong, "")
