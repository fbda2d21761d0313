"""Recipes of mergekit's methods: what is written is read back, mergekit and merge_with agree, the rest is refused."""

import copy
import math
import re

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from small import OWN, build, largest_difference, write_tokenizer
from transformers import AutoModelForCausalLM

from merging.errors import MergeError
from merging.mergekit_methods import merge_with
from merging.recipes_mergekit import method_recipe, read_method_recipe, run_method_recipe, write_method_recipe
from merging.tensors import merge_tensors

SIXTEENTH = st.integers(1, 16).map(lambda i: i / 16)
CHOICES = [  # method, whether it has a base, knobs
    ("slerp", False, {"alpha": 0.25}),
    ("nuslerp", False, {"alpha": 0.25}),
    ("nuslerp", True, {"alpha": 0.25}),
    ("task_arithmetic", True, {"lam": 0.5, "weights": [1.0, 1.5]}),
    ("ties", True, {"lam": 0.75, "weights": [1.0, 0.5], "density": 0.5}),
    ("dare_linear", True, {"lam": 0.75, "weights": [1.0, 1.0], "density": 0.5}),
    ("model_stock", True, {}),
]
every_method = pytest.mark.parametrize("method, with_base, knobs", CHOICES)


@pytest.fixture(scope="module", params=["gpt-neo", "llama-tied"])
def folders(request, tmp_path_factory):
    """Three checkpoints of one architecture: a base and two that are not far from it."""
    base, folders = build(request.param, 0, **OWN), {}
    for i, label in enumerate(("base", "one", "two")):
        model, dice = copy.deepcopy(base), torch.Generator().manual_seed(i)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=dice), alpha=0.1 * bool(i))
        folders[label] = tmp_path_factory.mktemp(label)
        model.save_pretrained(folders[label])
        write_tokenizer(folders[label])
    return folders


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@every_method
def test_what_is_written_is_read_back(method, with_base, knobs, tmp_path):
    base = "org/base" if with_base else None
    file = write_method_recipe(tmp_path / "r.yml", method, ["org/a", "org/b"], base, "bfloat16", **knobs)
    assert read_method_recipe(file) == (method, ["org/a", "org/b"], base, "bfloat16", knobs)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(lam=SIXTEENTH, weight=SIXTEENTH, density=SIXTEENTH, alpha=SIXTEENTH)
def test_any_numbers_come_back(tmp_path_factory, lam, weight, density, alpha):
    file = tmp_path_factory.mktemp("r") / "r.yml"
    for method in ("ties", "dare_linear"):
        knobs = {"lam": lam, "weights": [weight, 1.0], "density": density}
        found = read_method_recipe(write_method_recipe(file, method, ["a", "b"], "c", **knobs)).knobs
        assert found["weights"] == [weight, 1.0] and found["density"] == density
        assert found["lam"] == pytest.approx(lam, rel=1e-9)
    for method in ("slerp", "nuslerp"):
        assert read_method_recipe(write_method_recipe(file, method, ["a", "b"], alpha=alpha)).knobs == {"alpha": alpha}


@every_method
def test_mergekit_on_disk_is_merge_with_in_memory(method, with_base, knobs, folders, tmp_path):
    base = folders["base"] if with_base else None
    file = write_method_recipe(tmp_path / "r.yml", method, [folders["one"], folders["two"]], base, **knobs)
    merged = load(run_method_recipe(file, tmp_path / "merged", seed=3))
    assert (tmp_path / "merged" / "mergekit_config.yml").read_text() == file.read_text()
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    start, one, two = (load(folders[label]) for label in ("base", "one", "two"))
    expected = merge_with(method, [one, two], start if with_base else None, **knobs)
    if method != "dare_linear":
        assert largest_difference(merged, expected.state_dict()) < 1e-5
        return
    # mergekit draws in another order of tensors: each number is base plus none, one or both of the kept steps
    for name, tensor in merge_tensors(merged).items():
        b, x, y = (merge_tensors(model)[name] for model in (start, one, two))
        steps = torch.stack([0 * b, x - b, y - b, x + y - 2 * b]) * knobs["lam"] / knobs["density"]
        assert ((tensor - b) - steps).abs().min(0).values.max() < 1e-5
    assert not torch.equal(merge_tensors(merged)[name], merge_tensors(expected)[name]) or len(tensor) < 8


def test_half_precision_is_saved_as_asked(folders, tmp_path):
    file = write_method_recipe(
        tmp_path / "r.yml", "slerp", [folders["one"], folders["two"]], dtype="bfloat16", alpha=0.3
    )
    run_method_recipe(file, tmp_path / "merged")
    assert {tensor.dtype for tensor in load_file(tmp_path / "merged" / "model.safetensors").values()} == {
        torch.bfloat16
    }


def test_nan_in_a_source_leaves_nothing_behind(folders, tmp_path):
    broken = load(folders["two"])
    with torch.no_grad():
        broken.get_input_embeddings().weight[1, 2] = math.nan
    broken.save_pretrained(tmp_path / "broken")
    write_tokenizer(tmp_path / "broken")
    file = write_method_recipe(
        tmp_path / "r.yml", "ties", [folders["one"], tmp_path / "broken"], folders["base"], density=0.5
    )
    with pytest.raises(MergeError, match="NaN or infinite"):
        run_method_recipe(file, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "r.yml"]


def test_other_architectures_are_refused_before_mergekit_sees_them(folders, tmp_path):
    build("gpt-2", 0, **OWN).save_pretrained(tmp_path / "other")
    write_tokenizer(tmp_path / "other")
    file = write_method_recipe(tmp_path / "r.yml", "slerp", [folders["one"], tmp_path / "other"])
    with pytest.raises(MergeError):
        run_method_recipe(file, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


TIES = method_recipe("ties", ["a", "b"], "c", density=0.5)
SLERP = method_recipe("slerp", ["a", "b"], alpha=0.3)
DARE = method_recipe("dare_linear", ["a", "b"], "c", density=0.5)
weighted = lambda *values: [{"model": name, "parameters": value} for name, value in zip("ab", values)]


@pytest.mark.parametrize(
    "recipe, message",
    [
        ("[", "no YAML"),
        ("7", "its method is None"),
        ({"merge_method": "linear"}, "has read_recipe"),
        ({"merge_method": "breadcrumbs"}, "its method is 'breadcrumbs'"),
        (TIES | {"slices": []}, "slices is not supported"),
        (TIES | {"models": []}, "no list of models"),
        (TIES | {"models": [{"parameters": {}}]}, "needs a model"),
        (TIES | {"models": [{"model": "a"}, {"model": "a"}]}, "listed twice"),
        (TIES | {"models": [{"model": "a", "layer_range": [0, 3]}]}, "layer_range of a"),
        (TIES | {"dtype": "int8"}, "int8 is none of the dtypes"),
        (
            TIES | {"models": weighted({"weight": 1, "density": 0.5}, {"weight": 1, "density": 0.2})},
            "several densities",
        ),
        (TIES | {"models": weighted({"weight": 1}, {})}, "weight is missing"),
        (TIES | {"models": weighted({"weight": [0, 1]}, {"weight": 1})}, "gradient"),
        (TIES | {"models": weighted({"weight": 1, "gamma": 1}, {"weight": 1})}, "gamma of ties"),
        (TIES | {"parameters": {"lambda": 1, "normalize": False}}, "normalize is off"),
        (TIES | {"parameters": {"lambda": 5}}, "from 0 (base) to 2, not 5"),
        (TIES | {"parameters": {"lamda": 1}}, "lamda of ties"),
        ({key: value for key, value in TIES.items() if key != "base_model"}, "needs base="),
        (DARE | {"parameters": {"lambda": 1}}, "rescale is on"),
        (SLERP | {"base_model": "c"}, "base_model is one of them"),
        (SLERP | {"parameters": {}}, "t is missing"),
        (SLERP | {"parameters": {"t": 1.5}}, "share of the first model"),
    ],
)
def test_refuses_what_merge_with_cannot_express(recipe, message, tmp_path):
    file = tmp_path / "r.yml"
    file.write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe))
    with pytest.raises(MergeError, match=re.escape(message)):
        read_method_recipe(file)


def test_a_recipe_has_no_place_for_a_seed():
    with pytest.raises(MergeError, match="run_method_recipe"):
        method_recipe("dare_linear", ["a", "b"], "c", seed=1)


def test_the_first_of_a_slerp_is_base_model_wherever_it_is_listed(tmp_path):
    file = tmp_path / "r.yml"
    file.write_text(yaml.safe_dump(SLERP | {"models": SLERP["models"][::-1]}))
    assert read_method_recipe(file)[:3] == ("slerp", ["a", "b"], None)
