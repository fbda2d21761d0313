"""What the generators of text share: their ingredients, and how they choose, write a number and keep to a length.

One seed gives one text, so the order of the ingredients and of the draws must stay as it is.
"""

from pathlib import Path

import yaml

INGREDIENTS = Path(__file__).parent / "ingredients"


def table(name):
    """Read a table of ingredients."""
    return yaml.safe_load((INGREDIENTS / f"{name}.yml").read_text(encoding="utf-8"))


def pick(rng, weights):
    """Choose one key of a dict with chances in proportion to its values."""
    return rng.choices(list(weights), list(weights.values()))[0]


def short_number(value, digits):
    """Write a number with at most the given decimals and no trailing zeros."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def sized(rng, write):
    """Draw texts until one has 200 to 900 bytes."""
    while True:
        text = write(rng).rstrip() + "\n"
        if 200 <= len(text) <= 900:
            return text
