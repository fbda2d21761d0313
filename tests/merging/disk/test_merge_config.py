"""Merge configs and cards: mergekit computes what we compute, and what is written can be carried out again."""

import subprocess
import sys

import pytest
import torch
import yaml
from small import CONFIGS, OWN, build, largest_difference, load, written_config

from helpers import average_models
from merging.disk.checkpoints import merge_checkpoints
from merging.disk.saving import save_merge
from merging.disk.stored import stored_tensors
from merging.tensors import named_weights, tensor_kind

pytestmark = pytest.mark.filterwarnings("ignore:numpy.core is deprecated")  # mergekit


def run_mergekit(config, destination):
    """Carry out a config, a dict, as mergekit's command line does."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    options = MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False)
    run_merge(MergeConfiguration.model_validate(config), str(destination), options)
    return load(destination)


# Without GPT-NeoX: mergekit 0.1.5 wants mask buffers in its checkpoints that transformers no longer writes.
@pytest.mark.parametrize(
    "name, weights",
    [(name, [0.3, 0.7]) for name in CONFIGS if name != "gpt-neox"]
    + [("gpt-neo", [0.5, 0.5]), ("gpt-neo", [0.2, 0.3, 0.5]), ("llama", [0.2, 0.3, 0.5])],
)
def test_average_is_mergekits_linear_method(name, weights, tmp_path):
    models, entries = [build(name, seed) for seed in range(len(weights))], []
    for i, (model, weight) in enumerate(zip(models, weights)):
        model.save_pretrained(tmp_path / str(i))
        entries.append(dict(model=str(tmp_path / str(i)), parameters=dict(weight=weight)))
    oracle = run_mergekit(dict(merge_method="linear", dtype="float32", models=entries), tmp_path / "merged")
    assert largest_difference(average_models(models, weights), oracle) < 1e-6


@pytest.mark.parametrize(
    "selected, dtype", [(None, "float32"), ("feed-forward", "float32"), (None, "bfloat16"), (None, "float16")]
)
def test_mergekit_makes_the_same_weights_of_the_config(folders, tmp_path, selected, dtype):
    names = selected and [name for name in stored_tensors(folders[0]) if tensor_kind(name)[0] == selected]
    merged = merge_checkpoints(folders[:2], [0.3, 0.7], tmp_path / "merged", names=names, dtype=dtype)
    config = yaml.safe_load((merged / "mergekit_config.yml").read_text())
    ours, theirs = named_weights(load(merged)), named_weights(run_mergekit(config, tmp_path / "mergekit"))
    last_bit = 0 if dtype == "float32" else torch.finfo(getattr(torch, dtype)).eps
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype == getattr(torch, dtype)
        assert torch.allclose(tensor.float(), theirs[name].float(), atol=1e-6, rtol=last_bit), name


@pytest.mark.long
def test_mergekits_command_line_runs_the_config(folders, tmp_path):
    merged = merge_checkpoints(folders, [0.5, 0.3, 0.2], tmp_path / "merged")
    command = [sys.executable, "-m", "mergekit.scripts.run_yaml", merged / "mergekit_config.yml", tmp_path / "mergekit"]
    subprocess.run(command, check=True, capture_output=True)
    assert largest_difference(load(merged), load(tmp_path / "mergekit")) < 1e-6


def test_a_card_names_parents_on_the_hub_and_the_selection(tmp_path, tokenizer):
    first, second = (build("llama", seed, **OWN) for seed in (0, 1))
    names = [name for name in named_weights(first) if "self_attn" in name]
    saved = save_merge(
        first, tokenizer, tmp_path / "m", ["owner/one", "a-folder"], [0.4, 0.6], names, notes=["Cut the rows."]
    )
    text = (saved / "README.md").read_text()
    assert "base_model:\n- owner/one\nbase_model_relation: merge\n" in text and "- Cut the rows.\n" in text
    assert f"{len(names)} of {len(named_weights(first))} tensors; the others are those of owner/one" in text
    first, second = (model.parameters["weight"] for model in written_config(saved).models)
    assert (
        {each.filter for each in first if each.filter} == {each.filter for each in second if each.filter} == set(names)
    )
    assert [each.value for each in (*first, *second) if not each.filter] == [1.0, 0.0]
