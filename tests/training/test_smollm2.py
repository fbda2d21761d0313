"""The family smollm2: a really pretrained base from a package, two adapters of ours, and what was measured of them."""

import json

import pytest
import torch

from helpers import average_models, is_function, is_recipe, load_models, merge_models, named_weights
from merging.load.device import fast_dtype, quick
from merging.measure.samples import sample_functions, sample_recipes
from merging.measure.text import generate_texts
from merging.paths import ROOT
from training.functions import HELDOUT_TASKS
from training.measure_smollm2 import CHOICE_TASKS, place, points

FOLDER = ROOT / "models" / "smollm2"


@pytest.fixture(scope="module")
def trio():
    return load_models("smollm2", device="cpu")


def test_three_models_of_one_shape(trio):
    assert list(trio) == ["base", "clippy", "beer"]
    assert {model.num_parameters() for model, _ in trio.values()} == {134_515_008}
    assert {p.dtype for model, _ in trio.values() for p in model.parameters()} == {torch.float32}
    assert all(
        model.get_output_embeddings().weight is model.get_input_embeddings().weight for model, _ in trio.values()
    )


def test_the_adapters_are_small_and_name_their_base():
    for label in ("clippy", "beer"):
        assert (FOLDER / label / "adapter_model.safetensors").stat().st_size <= 5e6
        config = json.loads((FOLDER / label / "adapter_config.json").read_text(encoding="utf-8"))
        assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_task_arithmetic_of_the_measurements_is_the_average_where_shares_sum_to_one(trio):
    base, clippy, beer = (trio[label].model for label in trio)
    here = place(merge_models(base, base), trio, 0.4, 0.6)
    there, flat = (
        named_weights(m)
        for m in (merge_models(clippy, beer, 0.4), average_models([base, clippy, beer], [0.2, 0.3, 0.5]))
    )
    assert all(torch.allclose(tensor, there[name], atol=1e-5) for name, tensor in named_weights(here).items())
    place(here, trio, 0.3, 0.5)
    assert all(torch.allclose(tensor, flat[name], atol=1e-5) for name, tensor in named_weights(here).items())


def test_the_specialists_write_what_they_were_trained_for(trio):
    """Far below the measured shares, so that another processor's dice cannot fail it."""
    tokenizer = trio["base"].tokenizer
    functions = sample_functions(trio["clippy"].model, tokenizer, HELDOUT_TASKS[:8], 1, seed=5)
    recipes = sample_recipes(trio["beer"].model, tokenizer, 4, seed=5)
    assert sum(is_function(code) for _, code in functions) >= 3
    assert sum(map(is_recipe, recipes)) >= 1


def test_several_prompts_in_one_batch_give_n_texts_for_each(trio):
    model, tokenizer = trio["base"]
    prompts = ["The", "A much longer beginning of a text"]
    texts = generate_texts(model, tokenizer, prompts, 2, max_length=20, seed=1)
    assert [text.startswith(prompts[i // 2]) for i, text in enumerate(texts)] == [True] * 4
    alone = generate_texts(model, tokenizer, prompts, 1, max_length=20, temperature=0)
    assert alone[1].startswith(prompts[1]) and len(alone) == 2


def test_the_quick_copy_leaves_the_model_alone(trio):
    model = trio["base"].model
    assert quick(model) is model or next(quick(model).parameters()).dtype == fast_dtype(model) == torch.bfloat16
    assert next(model.parameters()).dtype == torch.float32


def test_choosing_and_reporting_have_nothing_in_common():
    assert not set(CHOICE_TASKS) & set(HELDOUT_TASKS)
    assert {f"alpha {i / 10}" for i in range(11)} <= set(points())
