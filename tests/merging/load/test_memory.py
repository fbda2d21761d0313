"""merging.load.memory: models that do not fit are refused in a sentence before they are read."""

import subprocess
import sys

import psutil
import pytest
import torch
from test_adapters import write_adapter

from merging.errors import LoadError
from merging.load import layout, loading, memory
from merging.load.loading import FAMILIES, load_models
from merging.tensors import named_weights

TINY = FAMILIES["tiny"]


def test_a_bare_model_has_the_tensors_of_a_loaded_one(shipped):
    bare = layout.bare_tensors(shipped.model.config)
    loaded = named_weights(shipped.model)
    assert {name: tensor.shape for name, tensor in bare.items()} == {n: theta.shape for n, theta in loaded.items()}
    assert memory.float32_bytes(bare) == sum(theta.nbytes for theta in loaded.values())
    assert all(tensor.is_meta for tensor in bare.values())


def test_the_free_memory_is_at_most_what_the_machine_has():
    assert 0 < memory.free_memory() <= psutil.virtual_memory().total + psutil.swap_memory().total


def test_limits_of_control_groups_of_both_versions(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/a:b\n3:cpu,cpuacct:/\n0::/other\n")
    limits = [f"{tmp_path}/two{{}}/memory.max", f"{tmp_path}/one{{}}/memory.limit_in_bytes"]
    for place, text in (
        ("two/other/memory.max", "max\n"),
        ("two/memory.max", "700\n"),
        ("one/a:b/memory.limit_in_bytes", "500"),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    assert sorted(memory.container_limits(own, limits)) == [500, 700]
    assert memory.container_limits(tmp_path / "nowhere", limits) == [700]


@pytest.mark.skipif(not psutil.LINUX, reason="NOT RUN: only Linux tells a process its limits")
def test_a_limit_set_by_ulimit_counts():
    limit = 20 * 2**30
    code = (
        "import resource; from merging.load.memory import free_memory;"
        f"resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit})); print(free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=loading.ROOT, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < limit


def test_what_does_not_fit_is_named_with_its_size(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2_500_000_000)
    memory.check_memory({"one": 2_500_000_000})
    with pytest.raises(
        LoadError, match=r"^one, other take 2\.50 GB in float32 and only 2\.50 GB .* MODEL_FAMILY=tiny\.$"
    ):
        memory.check_memory({"one": 2_500_000_000, "other": 1_000_000})


def test_what_is_made_of_them_needs_memory_too(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2_500_000_000)
    memory.check_memory({"one": 500_000_000}, 5)
    with pytest.raises(LoadError, match=r"^one take 0\.50 GB in float32, with what is made of them here 3\.00 GB, and"):
        memory.check_memory({"one": 500_000_000}, 6)
    with pytest.raises(LoadError, match=r"with what is made of them here 11\.\d\d GB"):
        load_models("tiny", device="cpu", memory=500)


@pytest.mark.parametrize("with_adapter", [False, True])
def test_nothing_is_read_when_memory_does_not_suffice(monkeypatch, tmp_path, with_adapter):
    sources = {"base": TINY["base"], "m": write_adapter(tmp_path / "lora") if with_adapter else TINY["base"]}
    model = load_models({"m": TINY["base"]}, device="cpu")["m"].model
    size = sum(theta.nbytes for theta in [*named_weights(model).values(), *model.buffers()])
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * size)
    assert set(load_models(sources, device="cpu")) == {"base", "m"}
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * size - 1)
    monkeypatch.setattr(loading, "_load", lambda *arguments: pytest.fail("a model was read"))
    with pytest.raises(LoadError, match=r"^'base' \(.*\), 'm' \(.*\) take 15\.3 MB in float32"):
        load_models(sources, device="cpu")


def test_a_configuration_that_builds_no_model_has_no_size():
    assert layout.bare_tensors(torch.nn.Module()) == {}
