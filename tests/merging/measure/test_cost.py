"""Time of a piece of code, and its memory beside PyTorch's profiler: what is counted, and what is not loaded."""

import copy
import sys
import time

import fresh
import pytest
import torch
from pretend import pretended

from helpers import bits_per_byte, heldout_texts, load_models, merge_models
from merging.measure import cost
from merging.measure.cost import NewMemory, new_memory, seconds


def test_the_seconds_are_those_of_one_call_of_each_way(monkeypatch):
    now, costs = [0.0], {"slow": 0.25, "quick": 0.001}
    monkeypatch.setattr("merging.measure.cost.time.perf_counter", lambda: now[0])

    def way(name):
        now[0] += costs[name]

    times = seconds({name: lambda name=name: way(name) for name in costs}, rounds=2)
    assert {name: round(time, 6) for name, time in times.items()} == costs


def load_all():
    """Load what times, what calls mergekit, and the checks of exercises that count memory."""
    import merging.methods.mergekit
    from lessons.exercises import notebook_07, notebook_08, notebook_10

    assert merging.methods.mergekit and notebook_07 and notebook_08 and notebook_10
    seconds({"nothing": lambda: None}, rounds=1)
    assert not {"torch.utils.cpp_extension", "mergekit"} & set(sys.modules)


def test_neither_what_warns_nor_what_is_large_is_loaded_before_it_is_called():
    """PyTorch's compiler of extensions warns, where CUDA is installed and no GPU is seen; its benchmarks load it."""
    fresh.run(load_all)


SIZE = 1 << 20
x, y, z = torch.rand(3, SIZE // 4)
WAYS = {
    "none, into a tensor that is there": (lambda: torch.lerp(x, y, 0.3, out=z), 0),
    "none, in place and through views": (lambda: z.view(2, -1).T.mul_(1.0), 0),
    "one": (lambda: x + y, 1),
    "three, of which one is written": (lambda: z.copy_(0.3 * x + 0.7 * y), 3),
    "a copy": (lambda: copy.deepcopy(torch.nn.Parameter(x)), 1),
    "a place without numbers": (lambda: torch.empty_like(x), 1),
}


def by_profiler(way):
    with torch.profiler.profile(profile_memory=True) as profile:
        way()
    return sum(max(event.self_cpu_memory_usage, 0) for event in profile.key_averages())


@pytest.mark.parametrize("name", WAYS)
def test_new_memory_is_what_the_profiler_sees(name):
    way, models = WAYS[name]
    assert new_memory(way) == models * SIZE == pytest.approx(by_profiler(way), abs=1000)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_new_memory_on_a_gpu_counts_what_is_given_back(kind):
    """So the exercise of 10 refuses temporaries there, too."""
    with pretended(kind):
        a, b = torch.rand(2, SIZE // 4, device=kind)
        assert new_memory(lambda: b.copy_(0.3 * a + 0.7 * b)) == 3 * SIZE
        assert new_memory(lambda: torch.lerp(a, b, 0.5, out=b)) == 0


def test_the_memory_of_a_merge_is_that_of_a_model(tiny):
    clippy, beer = tiny["clippy"].model, tiny["beer"].model
    size = sum(each.nbytes for each in clippy.parameters())
    merge_models(clippy, beer)  # the checks of this pair are done
    assert size <= new_memory(lambda: merge_models(clippy, beer)) < 1.01 * size
    out = copy.deepcopy(clippy)
    merge_models(clippy, beer, out=out)
    assert new_memory(lambda: merge_models(clippy, beer, out=out)) < 0.01 * size


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_clock_waits_for_a_gpu(kind, monkeypatch):
    waited = []
    with pretended(kind):
        monkeypatch.setattr({"cuda": torch.cuda, "mps": torch.mps}[kind], "synchronize", lambda: waited.append(kind))
        assert 0 <= cost.clock() <= time.perf_counter() and waited == [kind]
        seconds({"nothing": lambda: None}, rounds=1)
        assert len(waited) > 2


def test_a_text_is_read_in_large_batches_and_its_score_waited_for_once():
    with pretended("cuda") as words:
        model, tokenizer = load_models("tiny")["base"]
        passes, text = [], heldout_texts()["code"]
        model.register_forward_pre_hook(lambda *arguments: passes.append(arguments))
        bits_per_byte(model, tokenizer, text)
        tokens = sum(len(ids) for ids in tokenizer(text)["input_ids"])
        assert len(passes) < 2 + 2 * tokens // 2**14
        assert words.waits <= len(passes) + 1  # transformers asks once a pass whether texts are packed


def test_counting_ends_with_the_block():
    with NewMemory() as counted:
        x + y
    x + y
    assert counted.bytes == SIZE
