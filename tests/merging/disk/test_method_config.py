"""Merge configs of mergekit's methods: mergekit runs what is written, and agrees with merge_with."""

import copy

import pytest
import torch
import yaml
from hypothesis import strategies as st
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
from safetensors.torch import load_file
from small import OWN, build, largest_difference, write_tokenizer
from transformers import AutoModelForCausalLM

from merging.disk.merge_config import method_config, write_method_config
from merging.errors import MergeError
from merging.methods.mergekit import merge_with
from merging.tensors import named_weights

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


def run(file, destination):
    """The folder that mergekit writes for a merge config."""
    config = MergeConfiguration.model_validate(yaml.safe_load(file.read_text()))
    run_merge(config, str(destination), MergeOptions(quiet=True, random_seed=3))
    return destination


@every_method
def test_mergekit_on_disk_is_merge_with_in_memory(method, with_base, knobs, folders, tmp_path):
    base = folders["base"] if with_base else None
    file = write_method_config(tmp_path / "c.yml", method, [folders["one"], folders["two"]], base, **knobs)
    merged = load(run(file, tmp_path / "merged"))
    start, one, two = (load(folders[label]) for label in ("base", "one", "two"))
    expected = merge_with(method, [one, two], start if with_base else None, **knobs)
    if method != "dare_linear":
        assert largest_difference(merged, expected.state_dict()) < 1e-5
        return
    # mergekit draws in another order of tensors: each number is base plus none, one or both of the kept steps
    for name, tensor in named_weights(merged).items():
        b, x, y = (named_weights(model)[name] for model in (start, one, two))
        steps = torch.stack([0 * b, x - b, y - b, x + y - 2 * b]) * knobs["lam"] / knobs["density"]
        assert ((tensor - b) - steps).abs().min(0).values.max() < 1e-5
    assert not torch.equal(named_weights(merged)[name], named_weights(expected)[name]) or len(tensor) < 8


def test_half_precision_is_saved_as_asked(folders, tmp_path):
    pair = [folders["one"], folders["two"]]
    run(write_method_config(tmp_path / "c.yml", "slerp", pair, dtype="bfloat16", alpha=0.3), tmp_path / "merged")
    saved = load_file(tmp_path / "merged" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}


def test_what_mergekit_would_take_on_trust_is_refused():
    with pytest.raises(MergeError, match="needs base="):
        method_config("ties", ["a", "b"])
    with pytest.raises(MergeError, match="no place for a seed"):
        method_config("dare_linear", ["a", "b"], "c", seed=1)
