"""The training of the embedded trio: it runs, it is seeded, and what it shipped is what the card says."""

import json
import random
import shutil

import pytest
import torch
import yaml
from fresh import run, run_module
from short import cut_short
from small import CHAT, OWN, build, same_bytes, write_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTNeoConfig, GPTNeoForCausalLM
from transformers.models.gpt_neo import modeling_gpt_neo

from helpers import merge_models
from merging.load.loading import FAMILIES, load_models
from merging.measure.bits import bits_per_byte
from merging.measure.texts import heldout_texts
from merging.measure.valid import is_function, is_recipe
from merging.paths import ROOT
from merging.tensors import named_weights
from training import functions, further, measure_methods, multitask, recipes, train

LABELS = tuple(FAMILIES["tiny"])
TINY = ROOT / "models" / "tiny"


long = pytest.mark.long


def run_short(*arguments):
    """`python -m` with short texts."""
    cut_short()
    run_module(*arguments)


def run_in_place_of_the_real(family, *arguments):
    """`python -m` with short texts, and with these sources for the models of smollm2."""
    FAMILIES["smollm2"] = family
    run_short(*arguments)


@pytest.fixture(scope="module")
def smoke_runs(tmp_path_factory):
    """A run of a few tiny steps, and beer once more with the same seed, from the same base."""
    whole, again = (tmp_path_factory.mktemp("smoke") for _ in range(2))
    run(run_module, "training.train", "--smoke", "--out", whole)
    shutil.copytree(whole / "base", again / "base")
    run(run_module, "training.train", "--smoke", "--only", "beer", "--out", again)
    return whole, again


@long
def test_a_smoke_run_makes_a_trio_that_loads_and_merges(smoke_runs):
    trio = load_models({label: smoke_runs[0] / label for label in LABELS})
    merged = merge_models(trio["clippy"].model, trio["beer"].model, 0.5)
    assert bits_per_byte(merged, trio["base"].tokenizer, "batch_size: 20") > 0


@long
def test_the_same_seed_gives_the_same_weights(smoke_runs):
    first, second = ((folder / "beer" / "model.safetensors").read_bytes() for folder in smoke_runs)
    assert first == second


@long
def test_finetuning_starts_from_the_base_and_moves_it(smoke_runs):
    base, beer = (
        AutoModelForCausalLM.from_pretrained(smoke_runs[0] / label, dtype=torch.float32) for label in ("base", "beer")
    )
    size = named_weights(base)["transformer.wte.weight"].norm()
    moved = (named_weights(beer)["transformer.wte.weight"] - named_weights(base)["transformer.wte.weight"]).norm()
    assert 0 < moved < 0.5 * size


@long
def test_a_smoke_run_of_the_further_finetunes_measures_every_run(tmp_path):
    run(run_short, "training.further", "--smoke", "--out", tmp_path / "f.json")
    runs = json.loads((tmp_path / "f.json").read_text())
    assert [run["run"] for run in runs] == [name for name, _, _ in further.RUNS]
    assert all(run["alphas"] == [0, 0.5, 1] and 0 < run["distance"] < 0.5 for run in runs)


@long
def test_a_smoke_run_of_the_soups_has_what_notebook_05_cooks(tmp_path):
    run(run_short, "training.soups", "--smoke", "--out", tmp_path)
    assert {file.stem for file in tmp_path.glob("*.safetensors")} == {"step-1", "step-2", "seed-5", "seed-6"}
    found = json.loads((tmp_path / "measured.json").read_text())
    assert {"beer", "step-2", "average of the steps", "seed-6", "soup of the seeds", "cooled"} <= set(found["rows"])
    assert all(set(row["bits"]) == set(heldout_texts()) for row in found["rows"].values())


@long
def test_a_smoke_run_of_the_ensembles_keeps_what_other_families_have(tmp_path):
    file = tmp_path / "e.json"
    file.write_text('{"other": {"steps": [1]}}')
    run(run_module, "training.measure_ensembles", "--smoke", "--out", file)
    found = json.loads(file.read_text())
    assert found["other"] == {"steps": [1]} and found["tiny"]["steps"] == [0.5]
    assert all(0 < found["tiny"]["merge"][kind][0] < found["tiny"]["parents"][kind][0] for kind in heldout_texts())


@long
def test_a_smoke_run_of_the_multitask_rival_measures_both_budgets(tmp_path):
    run(run_short, "training.multitask", "--smoke", "--out", tmp_path / "m.json")
    rivals = json.loads((tmp_path / "m.json").read_text())["rivals"]
    assert {name: row["value"] for name, row in rivals.items()} == multitask.BUDGETS
    assert all(len(row["kept"]) == 1 and len(row["valid"]) == 2 for row in rivals.values())


def test_the_multitask_rival_is_trained_with_the_fast_attention_and_writes_with_its_own(monkeypatch):
    """The fast one is for whole rows: with a cache it would let each new token see the first one only."""
    own, seen = modeling_gpt_neo.GPTNeoSelfAttention._attn, []
    monkeypatch.setattr(
        train, "train", lambda model, streams, **phase: seen.append(modeling_gpt_neo.GPTNeoSelfAttention._attn)
    )
    multitask.finetune_on_both(torch.nn.Linear(1, 1), {}, "both", 2)
    assert seen == [train.fast_attention] and modeling_gpt_neo.GPTNeoSelfAttention._attn is own


def test_the_multitask_rival_has_each_source_as_often_as_the_two_specialists_together():
    mix, (clippy,), (beer,) = multitask.joint_mix(), train.STAGES["clippy"], train.STAGES["beer"]
    for name, share in mix.items():
        rows = sum(phase["steps"] * phase["mix"].get(name, 0) for phase in (clippy, beer))
        assert share * multitask.BUDGETS["both tasks, all steps"] == pytest.approx(rows)
    assert sum(mix.values()) == pytest.approx(1)


def test_the_fast_attention_computes_what_gpt_neo_computes(monkeypatch):
    torch.manual_seed(0)
    model = GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=50,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            window_size=8,
            attention_types=[[["global", "local"], 1]],
            max_position_embeddings=64,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).eval()
    ids = torch.randint(0, 50, (2, 40))
    expected = model(ids, use_cache=False).logits
    monkeypatch.setattr(modeling_gpt_neo.GPTNeoSelfAttention, "_attn", train.fast_attention)
    assert torch.allclose(model(ids, use_cache=False).logits, expected, atol=1e-5)


@pytest.mark.parametrize("label", (*LABELS, "stranger"))
def test_the_shipped_models_load_plainly_and_have_the_shape_of_gpt_neo(label):
    model = AutoModelForCausalLM.from_pretrained(TINY / label)
    tokenizer = AutoTokenizer.from_pretrained(TINY / label)
    assert isinstance(model, GPTNeoForCausalLM)
    assert {"global", "local"} == set(model.config.attention_layers)
    assert model.config.max_position_embeddings >= 512
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) + (4 if label == "clippy" else 0)
    assert tokenizer.decode(tokenizer("amount: 3.14 é\n\tif x:")["input_ids"]) == "amount: 3.14 é\n\tif x:"


def test_the_shipped_models_are_small():
    files = [path for label in (*LABELS, "stranger") for path in (TINY / label).iterdir()]
    assert sum(path.stat().st_size for path in files) <= 20e6
    assert sum(path.stat().st_size for path in (TINY.parent / "soups").iterdir()) <= 12e6


def test_the_heldout_recipes_are_the_generators_from_seeds_that_training_does_not_use():
    documents = [recipes.recipe(random.Random(1_000_000 + i)).rstrip("\n") for i in range(20)]
    assert heldout_texts()["beer"] == documents


def test_generated_recipes_are_recipes():
    texts = [recipes.recipe(random.Random(seed)) for seed in range(300)]
    assert all(is_recipe(text) for text in texts)
    assert len(set(texts)) == 300
    assert len({yaml.safe_load(text)["style"] for text in texts}) >= 20


def test_generated_functions_are_functions_and_leave_the_heldout_tasks_out():
    rng = random.Random(0)
    pairs = [functions.function_pair(rng) for _ in range(500)]
    assert all(is_function(code) for _, code in pairs)
    assert not {task for task, _ in pairs} & set(functions.HELDOUT_TASKS)


def test_heldout_modules_are_held_out():
    training = {path.stem for path, _ in train.stdlib_files()}
    heldout = {path.stem for path, _ in train.stdlib_files(heldout=True)}
    assert heldout and not training & heldout


# --- the specialists of the real model --------------------------------------------------------------------------


@long
def test_a_smoke_run_makes_an_adapter_that_loads(tmp_path):
    base = tmp_path / "base"
    build("llama", **OWN | dict(max_position_embeddings=1024)).save_pretrained(base)
    write_tokenizer(base, CHAT)
    own = ("double a number", "Here it is.", "def double(n):\n    return 2 * n\n")
    (tmp_path / "answers.json").write_text(json.dumps([own]))  # a base that is random answers nothing that passes
    run(run_in_place_of_the_real, {"base": base}, "training.smollm2", "--smoke", "--only", "clippy", "--out", tmp_path)
    loaded = load_models({"base": base, "clippy": tmp_path / "clippy"}, device="cpu")
    assert not same_bytes(loaded["base"].model, loaded["clippy"].model)


@long
def test_a_smoke_run_of_the_measurements_has_what_the_notebook_draws(tmp_path):
    trio = {label: shutil.copytree(TINY / label, tmp_path / label) for label in LABELS}
    for folder in trio.values():
        (folder / "chat_template.jinja").write_text(CHAT)
    run(run_in_place_of_the_real, trio, "training.measure_smollm2", "--smoke", "--out", tmp_path / "m.json")
    found = json.loads((tmp_path / "m.json").read_text())
    base, half = found["rows"]
    assert (base["point"], half["point"]) == ("base", "alpha 0.5")
    assert set(found["distance"]) == {"clippy", "beer"} and -1 <= found["cosine"] <= 1
    for ways, row in ((("solved", "solved surely", "chat", "chat sampled"), base), (("solved", "chat"), half)):
        assert all(set(row[way]) == {"A", "B", "C"} and all(row[way].values()) for way in ways)
    assert base["recipes"]["n"] > 0 < half["choose"]["recipes"]["n"] and half["choose"]["solved"]
    assert set(found["curve"]["bits"]) == set(found["curve"]["base"]) == set(heldout_texts())


@long
def test_a_smoke_run_of_the_methods_has_what_the_notebooks_draw(tmp_path):
    run(run_short, "training.measure_methods", "--smoke", "--out", tmp_path / "m.json")
    found = json.loads((tmp_path / "m.json").read_text())
    assert set(found["grid"]) == set(measure_methods.SMOKE)
    assert set(found["table"]) == {"clippy", "beer", *measure_methods.SMOKE}
    assert all(
        len(row["valid"]) == 2 and all(len(gains) == 2 for gains in row["kept"]) for row in found["table"].values()
    )
