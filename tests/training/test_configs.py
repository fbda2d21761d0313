"""The third specialist's skill: configs that the sentences ask for, a judge that knows, and merges of one to three."""

import random

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy

from training.configs import HELDOUT_NAMES, NAMES, config_text, heldout_configs, is_config, pair
from training.measure_three import answer_bits, sets


def test_a_config_says_what_its_sentence_asks_for_and_nothing_else():
    for seed in range(200):
        prompt, answer = pair(random.Random(seed))
        wanted = yaml.safe_load(answer)
        values = [
            value
            for group in wanted.values()
            for value in (group.values() if isinstance(group, dict) else [group])
            if value is not True
        ]
        assert all(str(value) in prompt for value in values)
        assert ("TLS" in prompt or "encryption" in prompt) == ("security" in wanted)
        assert is_config(answer, wanted)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "debug: true\n",  # a setting more
        lambda text: text.rsplit("\n", 2)[0],  # one less
        lambda text: text.replace("service:", "name:"),
        lambda text: "Here it is:\n" + text,
        lambda text: "x: [" + text,
        lambda text: "",
        lambda text: "a: &a 1\n" + "b: *a\n" * 30,
    ],
)
def test_any_other_answer_is_wrong(spoil):
    _, wanted = heldout_configs()[0]
    assert is_config(f"Sure:\n```yaml{config_text(wanted)}```\nThat is all.", wanted)
    assert not is_config(spoil(config_text(wanted)), wanted)


def test_what_is_held_out_was_never_trained():
    assert not set(NAMES) & set(HELDOUT_NAMES)
    assert len({prompt for prompt, _ in heldout_configs()}) == 48


def test_every_set_of_the_specialists_is_averaged_and_the_shares_of_an_average_sum_to_one():
    averages = [(members, share) for way, members, share in sets() if way == "average"]
    assert len({members for members, _ in averages}) == len(averages) == 7
    assert all(len(members) * share == pytest.approx(1) for members, share in averages)


def test_the_bits_of_an_answer_are_those_of_its_tokens_behind_the_prompt(tiny):
    model, tokenizer = tiny["base"]
    asked, answer = "Write it:", "\n\ndef f():\n    return 1\n"
    given, told = (tokenizer(text)["input_ids"] for text in (asked, answer))
    ids = torch.tensor([[tokenizer.bos_token_id, *given, *told]])
    with torch.no_grad():
        logits = model(ids).logits[0, -len(told) - 1 : -1]
    expected = cross_entropy(logits, torch.tensor(told), reduction="sum").item() / 0.6931471805599453
    assert answer_bits(model, tokenizer, [(asked, answer)]) == pytest.approx(expected / len(answer), rel=1e-4)
