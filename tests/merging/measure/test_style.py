"""Recipes in style: the generator's own are, and each kind of fault is found."""

import random

import pytest

from merging.measure.style import in_style, style_faults, style_prompt, styles
from training.recipes import recipe

ALE = next(text for text in (recipe(random.Random(seed), "Scottish Ale") for seed in range(50)) if "1728" in text)


def test_the_generators_recipes_are_in_style():
    texts = [recipe(random.Random(seed), name) for name in styles() for seed in range(7)]
    assert sum(map(in_style, texts)) >= 0.95 * len(texts)
    assert in_style(ALE) and ALE.startswith("style: Scottish Ale\n")


def swapped(text, key, value, nth=0):
    """A recipe with another value at the nth place where a key stands."""
    lines = text.split("\n")
    at = [i for i, line in enumerate(lines) if line.strip(" -").startswith(f"{key}:")][nth]
    lines[at] = lines[at][: lines[at].index(":") + 1] + f" {value}"
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text, fault",
    [
        (swapped(ALE, "style", "Lunar Ale"), "no style 'Lunar Ale'"),
        (ALE.replace("Wyeast 1728 Scottish Ale", "Wyeast 2308 Munich Lager"), "none of this style"),
        (swapped(ALE, "min_temperature", 3), "ferments from"),
        (swapped(ALE, "primary_temp", 40), "ferments at 40"),
        (swapped(ALE, "name", "Pilsner Malt"), "base malts"),
        (swapped(ALE, "batch_size", 100), "gravity is"),
        (swapped(ALE, "alpha", 29), "bitterness is"),
        (swapped(ALE, "alpha", "high"), "not known"),
        (ALE.replace("yeasts:", "yeast:"), "no valid recipe"),
        ("", "no valid recipe"),
    ],
)
def test_a_fault_is_found_and_named(text, fault):
    assert not in_style(text) and any(fault in sentence for sentence in style_faults(text))


def test_the_articles_prompt_is_one_of_them():
    from helpers import BEER_PROMPT

    assert style_prompt("Scottish Ale") == BEER_PROMPT
