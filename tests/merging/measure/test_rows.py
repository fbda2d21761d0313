"""A batch that loses its rows: the same texts as generate's, and each row ends for itself."""

import pytest
import torch

from merging.measure.rows import answers_to, choose_tokens
from merging.measure.text import generate_texts

PROMPTS = ["Write a Python function to add two numbers:", "style: Mild", "The weather"]


@pytest.fixture(scope="module")
def loaded(tiny):
    return tiny["clippy"]


def test_the_likeliest_texts_are_those_of_generate_whatever_else_is_in_the_batch(loaded):
    given = [len(loaded.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    found = answers_to(*loaded, PROMPTS, 1, 0, 40)
    for prompt, length, (text,) in zip(PROMPTS, given, found):
        (theirs,) = generate_texts(*loaded, prompt, 1, temperature=0, max_length=length + 40)
        assert text == theirs[len(prompt) :]


def test_n_texts_for_each_prompt_in_their_order_and_the_same_for_the_same_seed(loaded):
    once, again, other = (answers_to(*loaded, PROMPTS, 3, 1.0, 24, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert [len(texts) for texts in once] == [3, 3, 3] and len(set(once[0])) > 1


def test_a_row_that_has_ended_leaves_the_others_as_they_are(loaded):
    alone = answers_to(*loaded, PROMPTS, 1, 0, 40)
    cut = answers_to(*loaded, PROMPTS, 1, 0, 40, ended=lambda text: alone[0][0].startswith(text[:8]))
    assert alone[0][0].startswith(cut[0][0]) and len(cut[0][0]) < len(alone[0][0])
    assert cut[1:] == alone[1:]


def test_tokens_are_drawn_as_often_as_they_are_likely():
    scores = torch.tensor([[0.0, 1.0, 2.0]]).log_softmax(-1).expand(20_000, 3)
    torch.manual_seed(0)
    drawn = choose_tokens(scores, 0.5).flatten().bincount(minlength=3) / 20_000
    assert torch.allclose(drawn, (scores[0] / 0.5).softmax(-1), atol=0.02)
    assert choose_tokens(scores, 0).unique().tolist() == [2]
