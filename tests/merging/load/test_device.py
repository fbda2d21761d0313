"""Which device computes, in which dtype, whose random numbers, and what is said where memory runs out."""

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import psutil
import pytest
import torch
from pretend import pretended
from transformers import GPTNeoForCausalLM

import helpers
from helpers import generate_text, merge_models
from merging import averaging
from merging.errors import LoadError, MergeError
from merging.load import memory
from merging.load.device import check_device, fast_dtype, get_device, seeded
from merging.load.loading import load_models, random_model
from merging.measure import sweeps
from merging.methods.mergekit import merge_with
from merging.methods.regmean import linear_layers, regmean


@pytest.fixture
def there(monkeypatch):
    """A function that says which GPUs there are."""

    def say(cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    monkeypatch.delenv("DEVICE", raising=False)
    return say


def test_the_best_device_unless_the_variable_names_another(there, monkeypatch):
    for gpus, best in ((dict(cuda=True, mps=True), "cuda"), (dict(mps=True), "mps"), ({}, "cpu")):
        there(**gpus)
        assert get_device() == best
        monkeypatch.setenv("DEVICE", "cpu")
        assert get_device() == "cpu"
        monkeypatch.setenv("DEVICE", "")
        assert get_device() == best
        monkeypatch.delenv("DEVICE")
    there(cuda=True, mps=True)
    monkeypatch.setenv("DEVICE", "mps")
    assert get_device() == "mps"
    assert check_device("cuda:1") == "cuda:1" and check_device(torch.device("mps")).type == "mps"


@pytest.mark.parametrize(
    "word, says",
    [("gpu", "A device is cpu, cuda or mps, .* not 'gpu'"), ("cuda", "PyTorch finds no 'cuda' here, .*cpu")],
)
def test_a_device_that_is_not_there_is_refused_in_a_sentence(there, monkeypatch, word, says):
    there()
    with pytest.raises(LoadError, match=says):
        load_models("tiny", device=word)
    monkeypatch.setenv("DEVICE", word)
    for load in (get_device, lambda: load_models("tiny")):
        with pytest.raises(LoadError, match=says):
            load()


def test_the_variable_reaches_every_load(there, monkeypatch, shipped):
    """Notebooks 03 and 11 load a second time what they have saved."""
    there(cuda=True)
    monkeypatch.setenv("DEVICE", "cpu")
    assert load_models("tiny")["base"].model.device.type == "cpu"
    assert random_model(shipped.model.config, 0).device.type == "cpu"


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_device_that_is_there_is_taken(kind):
    with pretended(kind):
        models = load_models("tiny")
        assert {model.device.type for model, _ in models.values()} == {kind}


def test_bfloat16_only_where_the_card_computes_in_it(monkeypatch):
    model = lambda kind: SimpleNamespace(
        parameters=lambda: iter([SimpleNamespace(device=torch.device(kind), dtype=torch.float32, numel=lambda: 10**9)])
    )
    for emulated_only, dtype in ((True, torch.float32), (False, torch.bfloat16)):
        supports = lambda including_emulation=True, least=emulated_only: including_emulation or not least
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supports)
        assert fast_dtype(model("cuda")) == dtype
    assert fast_dtype(model("mps")) == torch.float32


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_seed_neither_reads_nor_changes_the_devices_random_state(kind):
    with pretended(kind):
        draw = lambda: torch.rand(3, device=kind).tolist()
        torch.manual_seed(1)
        first, second = draw(), draw()
        torch.manual_seed(1)
        assert draw() == first
        with seeded(7):
            seven = draw()
        assert draw() == second
        with pytest.raises(KeyError), seeded(7):
            assert draw() == seven
            raise KeyError
        torch.manual_seed(7)
        assert draw() == seven
        with seeded(None):
            draw()
        torch.manual_seed(1)
        with seeded(None):
            assert draw() == first
        assert draw() == second


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_seeded_texts_and_merges_leave_the_devices_dice_alone(kind):
    with pretended(kind):
        models = load_models("tiny")
        base, clippy, beer = (models[label].model for label in models)
        draw = lambda: torch.rand(3, device=kind).tolist()
        torch.manual_seed(3)
        state = draw()
        torch.manual_seed(3)
        texts = {generate_text(clippy, models["clippy"].tokenizer, "def", max_length=8, seed=1) for _ in range(2)}
        merges = [merge_with("dare_linear", [clippy, beer], base, density=0.5, seed=1) for _ in range(2)]
        assert draw() == state and len(texts) == 1
        assert all(torch.equal(a, b) for a, b in zip(*(merge.parameters() for merge in merges)))


GB = 10**9


def test_free_memory_of_each_device(there, monkeypatch):
    monkeypatch.setattr(memory, "machines_memory", lambda: 50 * GB)
    assert memory.free_memory() == memory.free_memory("cpu") == memory.free_memory(torch.device("cpu")) == 50 * GB
    there(cuda=True, mps=True)
    for name, value in dict(mem_get_info=(3 * GB, 16 * GB), memory_reserved=2 * GB, memory_allocated=GB).items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory.free_memory("cuda") == memory.free_memory(torch.device("cuda", 0)) == 4 * GB  # 1 GB is kept for reuse
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * GB)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 4 * GB)
    assert memory.free_memory("mps") == memory.free_memory(torch.device("mps")) == 8 * GB
    monkeypatch.setattr(memory, "machines_memory", lambda: 5 * GB)  # shared with everything else
    assert memory.free_memory("mps") == 5 * GB


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "cuda", "mps"])
def test_every_device_is_asked_before_anything_is_read(monkeypatch, device):
    kind = torch.device(device).type
    monkeypatch.setattr(memory, "machines_memory", lambda: 1_000_000 if kind == "cpu" else 50 * GB)
    with pretended(kind) if kind != "cpu" else nullcontext():
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000_000, GB))
        monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1_000_000)
        monkeypatch.setattr("merging.load.loading._load", lambda *arguments: pytest.fail("a model was read"))
        where = "" if kind == "cpu" else f" on {kind}.*DEVICE=cpu"
        with pytest.raises(LoadError, match=rf"take 22\.\d MB in float32 and only 1\.0 MB of memory are free{where}"):
            load_models("tiny", device=device)


FULL = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 148.00 MiB. GPU 0 has a total capacity ..."),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 8.87 GB, other allocations: 1.20 GB, max ...)"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError(),
}


def fails(error):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize("which", FULL)
def test_memory_that_runs_out_in_a_load_is_one_sentence(monkeypatch, which):
    for place in ("to", "from_pretrained"):
        with monkeypatch.context() as patch:
            patch.setattr(GPTNeoForCausalLM, place, fails(FULL[which]))
            with pytest.raises(
                LoadError, match="^Model 'base' does not fit into the memory that is left on cpu"
            ) as error:
                load_models("tiny", device="cpu")
            assert "DEVICE=cpu" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("which", FULL)
def test_memory_that_runs_out_in_a_merge_is_one_sentence(monkeypatch, tiny, which):
    clippy, beer = tiny["clippy"].model, tiny["beer"].model
    out = copy.deepcopy(clippy)
    for module, place, merge in (
        (averaging, "copy", lambda: merge_models(clippy, beer)),
        (torch, "lerp", lambda: merge_models(clippy, beer, out=out)),
        (torch, "lerp", lambda: helpers.average_models([clippy, beer], out=out)),
    ):
        with monkeypatch.context() as patch:
            full = fails(FULL[which])
            patch.setattr(module, place, full if module is torch else SimpleNamespace(deepcopy=full))
            with pytest.raises(MergeError, match="^There is too little memory for this merge.*out=.*DEVICE=cpu"):
                merge()


def test_another_error_stays_what_it_is(monkeypatch, tiny):
    monkeypatch.setattr(torch, "lerp", fails(RuntimeError("another")))
    with pytest.raises(RuntimeError, match="another"):
        merge_models(tiny["clippy"].model, tiny["beer"].model)


def test_out_on_another_device_is_refused(tiny):
    clippy, beer = tiny["clippy"].model, tiny["beer"].model
    with pretended("cuda"):
        there = copy.deepcopy(clippy).to("cuda")
        with pytest.raises(MergeError, match=r"`out` is on cuda:0 and the models are on cpu: .*out\.to\('cpu'\)"):
            merge_models(clippy, beer, out=there)


def test_regmean_on_a_device_without_float64_is_the_cpus(tiny):
    pair = [tiny["clippy"].model, tiny["beer"].model]
    dice = torch.Generator().manual_seed(0)

    def products(model):
        rows = {name: layer.weight.shape[1] for name, layer in linear_layers(model).items()}
        inputs = {name: torch.randn(2 * n, n, generator=dice) for name, n in rows.items()}
        return {name: x.T @ x / len(x) for name, x in inputs.items()}

    measured = [products(model) for model in pair]
    here = regmean(pair, measured)
    with pretended("mps"):
        there = regmean(
            [copy.deepcopy(model).to("mps") for model in pair],
            [{name: gram.to("mps") for name, gram in each.items()} for each in measured],
        ).to("cpu")
    assert all(torch.equal(a, b) for a, b in zip(here.parameters(), there.parameters()))


def test_a_sweep_has_a_worker_for_each_gpu_and_one_for_apples(there, monkeypatch):
    there()
    assert sweeps.most_workers({"CPU": 4.0}) == ("CPU", 4)
    there(cuda=True)
    assert sweeps.most_workers({"CPU": 4.0, "GPU": 2.0}) == ("GPU", 2)
    monkeypatch.setenv("DEVICE", "cpu")
    assert sweeps.most_workers({"CPU": 4.0, "GPU": 2.0}) == ("CPU", 4)
    monkeypatch.delenv("DEVICE")
    there(mps=True)
    assert sweeps.most_workers({"CPU": 4.0}) == ("CPU", 1)


def test_the_machines_memory_is_at_most_what_there_is():
    assert 0 < memory.machines_memory() <= psutil.virtual_memory().total + psutil.swap_memory().total
