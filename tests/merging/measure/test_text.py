"""How a model continues a prompt, in batches and token by token: seeds, lengths, temperatures, what does not fit."""

import logging
import math

import pytest
import torch
from small import CONTEXT, EOT, TEXT, log2_probabilities, tokens
from transformers import logging as transformers_logging

from helpers import generate_text
from merging.measure.bits import bits_per_byte
from merging.measure.text import CODE_PROMPT, generate_texts, stream_text


def spy(model, monkeypatch):
    """A list that collects the token ids of every model.generate."""
    calls, generate = [], model.generate
    monkeypatch.setattr(model, "generate", lambda *a, **k: calls.append(generate(*a, **k)) or calls[-1])
    return calls


@torch.no_grad()
def greedy(model, tokenizer, prompt, max_length):
    ids = tokens(tokenizer, prompt)
    while len(ids) < max_length:
        ids.append(log2_probabilities(model, ids).argmax().item())
        if ids[-1] == tokenizer.eos_token_id:
            break
    return tokenizer.decode(ids, skip_special_tokens=True)


def test_same_seed_same_text(loaded):
    sample = lambda seed: generate_text(*loaded, "def f", max_length=20, seed=seed)
    assert sample(32) == sample(32)
    assert sample(0) == sample(0)
    assert len({sample(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("seed", [32, 0])
def test_a_seed_neither_reads_nor_changes_the_random_state(small, seed):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = generate_text(*small, "def f", max_length=40, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert generate_text(*small, "def f", max_length=40, seed=seed) == first


def test_without_a_seed_the_random_state_goes_on(small):
    sample = lambda: generate_text(*small, "def f", max_length=40)
    torch.manual_seed(1)
    first, second = sample(), sample()
    torch.manual_seed(1)
    assert first != second and [sample(), sample()] == [first, second]


def test_generate_texts_gives_n_different_samples(loaded):
    texts = generate_texts(*loaded, "def f", 6, max_length=40, seed=32)
    assert len(texts) == 6 and len(set(texts)) > 1
    assert all(text.startswith("def f") for text in texts)


@pytest.mark.parametrize(
    "prompt", [CODE_PROMPT[:20], "hello , world . It 's I 'm do n't ?", "  two\n\tspaces ", "Grüße 🍺", "\n"]
)
def test_the_text_begins_with_the_prompt(loaded, prompt):
    texts = generate_texts(*loaded, prompt, 4, max_length=CONTEXT, seed=0)
    assert all(text.startswith(prompt) for text in texts) and max(map(len, texts)) > len(prompt)


def test_the_empty_prompt_works(loaded):
    texts = generate_texts(*loaded, "", 5, max_length=20, seed=32)
    assert len(set(texts)) > 1 and all(EOT not in text for text in texts)


@pytest.mark.parametrize("max_length", [8, 21, CONTEXT])
def test_max_length_counts_tokens_with_the_prompt(small, monkeypatch, max_length):
    calls = spy(small.model, monkeypatch)
    generate_texts(*small, "def f", 8, max_length=max_length, seed=32)
    assert [ids.shape for ids in calls] == [(8, max_length)]


@pytest.mark.parametrize("temperature", [0, 0.0, 1e-6])
def test_temperature_0_and_its_limit_take_the_most_likely_token(loaded, temperature):
    oracle = greedy(*loaded, "def f", 30)
    assert len(oracle) > len("def f")
    for seed in (None, 1, 2):
        assert generate_text(*loaded, "def f", temperature=temperature, max_length=30, seed=seed) == oracle


def test_n_texts_at_temperature_0_are_n_times_the_same(small):
    assert generate_texts(*small, "def f", 3, temperature=0, max_length=30) == [greedy(*small, "def f", 30)] * 3


def test_sampling_draws_from_the_50_most_likely(small, monkeypatch):
    calls, prompt = spy(small.model, monkeypatch), tokens(small.tokenizer, "def f")
    monkeypatch.setattr(small.model.generation_config, "top_k", 0)  # what the model itself says does not count
    generate_texts(*small, "def f", 400, temperature=1e3, max_length=len(prompt) + 1, seed=32)
    drawn = set(calls[0][:, -1].tolist())
    assert drawn <= set(log2_probabilities(small.model, prompt).topk(50).indices.tolist())
    assert len(drawn) > 40


def test_hopeless_samples_end_early_and_the_others_stay_as_they_are(small):
    whole = generate_texts(*small, "style:", 6, max_length=48, seed=5)
    cut = generate_texts(*small, "style:", 6, max_length=48, seed=5, hopeless=lambda text: "e" in text[len("style:") :])
    for before, after in zip(whole, cut):
        assert before.startswith(after) and (before == after or "e" in after[len("style:") :])
    assert whole != cut


@pytest.mark.parametrize(
    "prompt, options, says",
    [
        ("x" * 60, dict(max_length=CONTEXT), [60, CONTEXT]),
        ("xyz", dict(max_length=3), [3]),
        ("xyz", dict(max_length=CONTEXT + 1), [3, CONTEXT + 1, CONTEXT]),
        ("xyz", {}, [3, 500, CONTEXT]),
        ("xyz", dict(max_length=20, temperature=-0.5), [-0.5]),
        ("xyz", dict(max_length=20, temperature=math.nan), ["nan"]),
        ("xyz", dict(max_length=20, temperature=math.inf), ["inf"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(small, prompt, options, says):
    with pytest.raises(ValueError) as caught:
        generate_text(*small, prompt, seed=32, **options)
    assert all(str(word) in str(caught.value) for word in says)


def test_generating_logs_and_warns_of_nothing(loaded, recwarn, caplog, capfd):
    transformers_logging.warning_once.cache_clear()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_warning()
    transformers_logging.enable_propagation()
    try:
        for temperature in (1.0, 0):
            for prompt in ("def f", ""):
                generate_text(*loaded, prompt, temperature=temperature, max_length=30, seed=32)
        with pytest.raises(ValueError):
            generate_text(*loaded, "word " * 3000)
        bits_per_byte(*loaded, TEXT * 30)
    finally:
        transformers_logging.disable_propagation()
        transformers_logging.set_verbosity(level)
    assert [str(warning.message) for warning in recwarn] == []
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert "".join(capfd.readouterr()) == ""


def test_streamed_text_is_the_text_of_generate_text(random_trio, tokenizer):
    texts = list(stream_text(random_trio["base"], tokenizer, "style: A", max_length=40, seed=3))
    assert texts[-1] == generate_text(random_trio["base"], tokenizer, "style: A", max_length=40, seed=3)
    assert len(texts) > 5 and all(len(a) <= len(b) for a, b in zip(texts, texts[1:]))
    *_, greedy = stream_text(random_trio["base"], tokenizer, "style: A", max_length=40, greedy=True)
    assert greedy == generate_text(random_trio["base"], tokenizer, "style: A", max_length=40, temperature=0)


def test_a_prompt_that_leaves_no_tokens_for_a_text(random_trio, tokenizer):
    with pytest.raises(ValueError, match="max_length must be larger, not 2"):
        next(stream_text(random_trio["base"], tokenizer, "style: Scottish Ale", max_length=2))
