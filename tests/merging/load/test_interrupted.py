"""A kernel that is interrupted while it loads, measures, writes or moves a slider: the next cell works."""

import subprocess
import sys

import pytest
import torch
import transformers
from hub import environment, serve
from transformers import logging as transformers_logging

from helpers import bits_per_byte, generate_text, merge_models
from lessons.views import explorers
from lessons.views.explorers import mixing_desk
from merging.load.loading import load_models
from merging.paths import ROOT
from merging.tensors import named_weights


def interrupted(monkeypatch, owner, name, at, call):
    """call() is interrupted at the at-th call of a function; afterwards the function is as before."""
    function, calls = getattr(owner, name), []

    def interrupt(*arguments, **options):
        calls.append(None)
        if len(calls) == at:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            call()


def test_while_a_model_is_loaded(folder, monkeypatch):
    level, threads = transformers_logging.get_verbosity(), torch.get_num_threads()
    for owner in (transformers.GPTNeoForCausalLM, transformers.AutoTokenizer):
        load = lambda: load_models({"mine": folder}, device="cpu")
        interrupted(monkeypatch, owner, "from_pretrained", 1, load)
        assert transformers_logging.get_verbosity() == level and torch.get_num_threads() == threads
        assert transformers_logging.is_progress_bar_enabled()
        load()


def test_while_a_text_is_written(small, monkeypatch):
    write = lambda: generate_text(*small, "def f", max_length=30, seed=1)
    expected, state, threads = write(), torch.random.get_rng_state(), torch.get_num_threads()
    interrupted(monkeypatch, type(small.model.transformer), "forward", 5, write)
    assert torch.equal(torch.random.get_rng_state(), state) and torch.get_num_threads() == threads
    assert write() == expected


def test_while_a_sweep_measures_into_one_model(random_trio, tokenizer, monkeypatch):
    first, second = random_trio["clippy"], random_trio["beer"]
    out = merge_models(first, second, 0.5)
    sweep = lambda: [
        bits_per_byte(merge_models(first, second, alpha, out=out), tokenizer, "def f(x):") for alpha in (0.0, 0.5, 1.0)
    ]
    expected = sweep()
    interrupted(monkeypatch, sys.modules["helpers"], "average_into", 40, sweep)  # in the middle of the second merge
    interrupted(monkeypatch, type(out.transformer), "forward", 2, sweep)
    assert sweep() == expected


@pytest.fixture
def desk(random_trio, tokenizer):
    texts = {"code": ["def f(x):"], "beer": ["style: Ale"]}
    return mixing_desk(("clippy", random_trio["clippy"]), ("beer", random_trio["beer"]), tokenizer, texts)


def test_while_a_slider_merges(desk, random_trio, monkeypatch):
    """Moved back after the interrupt, a slider merges its part again: it may hold a half of each."""
    merge = explorers.merge_into

    def half_a_merge(out, models, weights, names=None):
        merge(out, models, weights, list(names)[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(explorers, "merge_into", half_a_merge)
        with pytest.raises(KeyboardInterrupt):
            desk.set(**{"attention 1": 0.5})
    desk.set(**{"attention 1": 1.0})
    theta = named_weights(random_trio["clippy"])
    assert all(torch.equal(tensor, theta[name]) for name, tensor in named_weights(desk.model).items())
    assert "0 of" in desk.words.value


def test_while_a_slider_writes_a_text(explorer, monkeypatch):
    explorer.set(alpha=0.5)
    expected = explorer.plain(explorer.text)
    interrupted(monkeypatch, type(explorer.model.transformer), "forward", 6, lambda: explorer.set(alpha=0.0))
    explorer.set(alpha=0.5)
    assert explorer.plain(explorer.text) == expected


DOWNLOAD = """
import os, signal
import huggingface_hub.file_download as download
from merging.load.loading import load_models
from merging.paths import ROOT

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background does not have
asked, get = [], download.http_get

def interrupt(url, *arguments, **options):
    asked.append(url)
    if url.endswith((".bin", ".safetensors")) and "interrupted" not in asked:
        asked.append("interrupted")
        os.kill(os.getpid(), signal.SIGINT)  # as a notebook's stop button does, to the main thread
    return get(url, *arguments, **options)

download.http_get = interrupt
try:
    load_models("gpt-neo-125m")
except KeyboardInterrupt:
    print("interrupted")
print(*load_models("gpt-neo-125m"))
"""


@pytest.mark.long
def test_while_weights_are_downloaded(checkpoints, tmp_path):
    with serve(checkpoints) as (endpoint, _):
        done = subprocess.run(
            [sys.executable, "-c", DOWNLOAD],
            cwd=ROOT,
            env=environment(endpoint, tmp_path / "home"),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["interrupted", "base clippy beer"]
