"""Tiny models compute on one thread, whatever computes, and a reader's own number of threads stays."""

import pytest
import torch

from merging.load import device
from merging.measure import bits, text


@pytest.fixture
def two_threads(monkeypatch):
    """A machine on which nobody has asked for a number of threads, and torch takes two."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(device, "THREADS", 2)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of(model, action):
    """The numbers of threads with which a model computes while action() runs."""
    seen = set()
    hook = model.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    try:
        action()
    finally:
        hook.remove()
    return seen


WAYS = {
    "bits": lambda model, words: bits.bits_per_byte(model, words, "one\ntwo"),
    "scorer": lambda model, words: bits.scorer({"a": ["one"]}, words)(model),
    "next token": lambda model, words: text.next_tokens(model, words, "one"),
    "samples": lambda model, words: text.generate_texts(model, words, "one", 1, max_length=8, seed=1),
    "stream": lambda model, words: list(text.stream_text(model, words, "one", 8)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_tiny_model_computes_on_one_thread(way, shipped, two_threads):
    assert threads_of(shipped.model, lambda: WAYS[way](*shipped)) == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_readers_own_number_stays(way, shipped, two_threads, monkeypatch):
    torch.set_num_threads(3)
    assert threads_of(shipped.model, lambda: WAYS[way](*shipped)) == {3}
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads_of(shipped.model, lambda: WAYS[way](*shipped)) == {2}
