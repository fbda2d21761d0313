"""The family smollm2: a really pretrained base from a package, two adapters of ours, and what was measured of them."""

import json

import pytest
import torch
from small import build_talker, build_tokenizer

from helpers import average_models, bits_per_byte, heldout_texts, load_models, merge_models, named_weights
from merging.load.device import fast_dtype, quick
from merging.measure.text import generate_texts
from merging.paths import ROOT
from training.functions import HELDOUT_TASKS
from training.measure_smollm2 import CHOICE_TASKS, place, points

FOLDER = ROOT / "models" / "smollm2"


@pytest.mark.long
def test_three_models_of_one_shape_that_know_what_they_were_trained_for():
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


def test_the_adapters_are_small_and_name_their_base():
    for label in ("clippy", "beer"):
        assert (FOLDER / label / "adapter_model.safetensors").stat().st_size <= 5e6
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
    assert not set(CHOICE_TASKS) & set(HELDOUT_TASKS)
    assert {f"alpha {i / 10}" for i in range(11)} <= set(points())
