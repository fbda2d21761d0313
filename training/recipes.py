"""Beer recipes in YAML: amounts are computed from the gravity and the bitterness of a style.

python -m training.recipes      writes models/heldout/styles.json, by which a recipe is judged
"""

import json
import math
import random
from typing import NamedTuple

from merging.measure.style import POINTS_PER_KG, STYLES_FILE
from merging.measure.valid import RECIPE_KEYS
from training.draws import pick, short_number, table

FERMENTABLE_TYPES = {
    **dict.fromkeys(("Cane Sugar", "Candi Sugar", "Lactose"), "Sugar"),
    **dict.fromkeys(("Torrified Wheat", "Flaked Oats", "Flaked Barley", "Flaked Maize", "Flaked Wheat"), "Adjunct"),
}
# name -> type, use, minutes to choose from, kg per litre
MISCS = {
    "Irish Moss": ("Fining", "Boil", (10, 15), 0.0003),
    "Whirlfloc": ("Fining", "Boil", (5, 10, 15), 0.0001),
    "Yeast Nutrient": ("Other", "Boil", (10, 15), 0.0002),
    "Coriander": ("Spice", "Boil", (5, 10), 0.0008),
    "Orange Peel": ("Spice", "Boil", (5, 10, 15), 0.0011),
    "Cocoa Nibs": ("Flavor", "Secondary", (7200, 10080), 0.006),
    "Vanilla Bean": ("Flavor", "Secondary", (4320, 7200), 0.0003),
    "Oak Chips": ("Flavor", "Secondary", (10080, 20160), 0.0015),
}
BATCHES = {  # litres -> how often
    10: 5,
    11: 1,
    12: 2,
    15: 5,
    18: 2,
    19: 14,
    20: 22,
    21: 7,
    22: 4,
    23: 15,
    25: 10,
    27: 1,
    30: 4,
    35: 1,
    38: 2,
    40: 4,
    50: 2,
}


class Style(NamedTuple):
    """What one beer style asks of a recipe; units in ingredients/styles.yml."""

    gravity: list
    bitterness: list
    bases: list
    others: dict
    hops: list
    yeasts: list
    mash: str
    late: float
    miscs: list


HOP_TABLE = table("hops")
HOPS = {**HOP_TABLE["of the styles"], **HOP_TABLE["guests"]}
YEASTS = table("yeasts")
STYLES = {name: Style(**traits) for name, traits in table("styles").items()}
MALTS = sorted({malt for style in STYLES.values() for malt in [*style.bases, *style.others]})


def _fermentables(rng, style, batch, efficiency):
    """List the grain bill whose weight gives the style's gravity at this batch size and efficiency."""
    total = rng.uniform(*style.gravity) * batch / (POINTS_PER_KG * efficiency / 100)
    count = min(len(style.others), rng.choices((1, 2, 3), (15, 45, 40))[0])
    # The first fermentable of a style defines the style, so it is nearly always there.
    names = list(style.others) if rng.random() < 0.9 else list(style.others)[::-1]
    shares = {name: rng.uniform(*style.others[name]) / 100 for name in names[:1] + rng.sample(names[1:], count - 1)}
    bill = {rng.choice(style.bases): 1 - sum(shares.values()), **shares}
    digits = 1 if rng.random() < 0.35 else 2
    items = []
    for name, share in sorted(bill.items(), key=lambda item: -item[1]):
        amount = max(total * share, 0.05)
        items.append(
            (
                ("name", name),
                ("type", FERMENTABLE_TYPES.get(name, "Grain")),
                ("amount", short_number(amount, digits if amount > 0.15 else 2)),
            )
        )
    return items


def _utilisation(minutes):
    """Say which part of the alpha acids a boil of so many minutes extracts."""
    return 0.28 * (1 - math.exp(-0.045 * minutes))


def _hop_times(rng, style, boil_time):
    """List the (use, minutes) of the hop additions, in brewing order."""
    first = ("First Wort", boil_time) if rng.random() < 0.06 else ("Boil", rng.choice((60, 60, 60, boil_time)))
    times = [first]
    late_count = rng.choices((0, 1, 2), (0.6 - 0.5 * style.late, 0.9, 0.25 + 1.2 * style.late))[0]
    times += [("Boil", minutes) for minutes in sorted(rng.sample((30, 20, 15, 10, 5), late_count), reverse=True)]
    if rng.random() < 0.1 + 0.3 * style.late and len(times) < 3:
        times.append(("Aroma", rng.choice((0, 0, 1, 2))))
    if rng.random() < style.late - 0.25:
        times.append(("Dry Hop", rng.choice((4320, 4320, 5760, 7200, 7200, 10080))))
    return times


def _hop_weight(rng, grams, ounces):
    """Round a hop weight in grams as a brewer would, and give it in kg."""
    step = 14.17 if ounces else rng.choice((1, 1, 5))
    return min(max(round(grams / step), 1) * step, 150) / 1000


def _hops(rng, style, batch, boil_time):
    """List the hop additions whose bitterness adds up to about the style's."""
    additions, left = [], rng.uniform(*style.bitterness)
    ounces = rng.random() < 0.3
    for use, minutes in reversed(_hop_times(rng, style, boil_time)):
        name = rng.choice(list(HOP_TABLE["guests"])) if rng.random() < 0.05 else rng.choice(style.hops)
        alpha = round(rng.uniform(*HOPS[name]), 1)
        strength = alpha / 100 * _utilisation(minutes) * 1000 / batch
        grams = batch * rng.uniform(0.4, 1.0 + 1.4 * style.late)
        if use not in ("Aroma", "Dry Hop"):
            grams = left / strength if minutes >= 60 else min(grams, 0.4 * left / max(strength, 0.05))
            left = max(left - grams * strength, 4)
        weight = _hop_weight(rng, max(grams, 4), ounces)
        additions.append(
            (
                ("name", name),
                ("alpha", short_number(alpha, 1)),
                ("use", use),
                ("time", minutes),
                ("amount", short_number(weight, 3)),
            )
        )
    return additions[::-1]


def _yeasts(rng, style):
    """List the yeast, dry ones by the sachet and liquid ones by the pack."""
    name = rng.choices(style.yeasts, range(len(style.yeasts) + 1, 1, -1))[0]
    dry = name.startswith(("Saf", "Lallemand"))
    amount = rng.choice(("0.011", "0.011", "0.0115", "0.022") if dry else ("0.125", "0.125", "0.1", "0.035"))
    low, high = YEASTS[name]
    return [(("name", name), ("amount", amount), ("min_temperature", low), ("max_temperature", high))]


def _primary_temp(rng, yeast):
    """Choose a fermentation temperature around the middle of the yeast's range."""
    low, high = yeast[2][1], yeast[3][1]
    return (
        "null" if rng.random() < 0.07 else min(high, 25, round(rng.uniform((3 * low + high) / 4, (low + 2 * high) / 3)))
    )


def _mash_steps(rng, style):
    """List the mash rests, single for most ales and stepped for continental styles."""
    stepped = rng.random() < (0.5 if style.mash == "step" else 0.08)
    main = rng.choices((63, 64, 65, 66, 67, 68, 69), (2, 3, 6, 9, 10, 6, 2))[0]
    steps = [(main, rng.choices((45, 60, 75, 90), (2, 12, 2, 3))[0])]
    if stepped and rng.random() < 0.6:
        steps.insert(0, (rng.choice((50, 52, 52, 55)), rng.choice((10, 15, 15, 20))))
    if (stepped and len(steps) == 1) or rng.random() < 0.3:
        steps.append((rng.choice((72, 75, 76, 77, 78)), rng.choice((5, 10, 10, 15))))
    return [(("step_temp", temp), ("step_time", minutes)) for temp, minutes in steps]


def _miscs(rng, style, batch):
    """List the finings and spices, spices being usual in the styles that have them."""
    items = []
    for name in style.miscs:
        kind, use, times, per_litre = MISCS[name]
        if rng.random() < (0.75 if kind == "Spice" else 0.45):
            amount = max(per_litre * batch * rng.uniform(0.7, 1.4), 0.001)
            items.append(
                (
                    ("name", name),
                    ("type", kind),
                    ("use", use),
                    ("time", rng.choice(times)),
                    ("amount", short_number(amount, 3)),
                )
            )
    return items


def _recipe_lines(key, value):
    """Write one key of a recipe, a scalar or a list of items."""
    if not isinstance(value, list):
        return [f"{key}: {value}"]
    if not value:
        return [f"{key}: []"]
    lines = [f"{key}:"]
    for item in value:
        lines += [f"{'  ' if place else '- '}{name}: {field}" for place, (name, field) in enumerate(item)]
    return lines


def recipe(rng: random.Random, style: str | None = None) -> str:
    """Write one beer recipe, of the given style or of any."""
    name = style or rng.choice(list(STYLES))
    traits = STYLES[name]
    batch, efficiency = (
        pick(rng, BATCHES),
        rng.choice((60, 65, 68, 70, 70, 70, 72, 73, 75, 75, 75, 75, 78, 80, 80, 82, 85)),
    )
    boil_time = rng.choices((60, 75, 90), (3, 1, 5) if "Pilsner Malt" in traits.bases else (12, 1, 2))[0]
    boil_size = batch + rng.randint(2, 6) + (boil_time - 60) // 15
    yeasts = _yeasts(rng, traits)
    values = (
        name,
        batch,
        efficiency,
        boil_size,
        boil_time,
        _fermentables(rng, traits, batch, efficiency),
        _hops(rng, traits, batch, boil_time),
        yeasts,
        _primary_temp(rng, yeasts[0]),
        _mash_steps(rng, traits),
        _miscs(rng, traits, batch),
    )
    lines = [line for key, value in zip(RECIPE_KEYS, values) for line in _recipe_lines(key, value)]
    return "\n".join(lines) + "\n"


def write_styles():
    """Write what each style asks of a recipe."""
    bounds = {
        name: {
            "gravity": style.gravity,
            "bitterness": style.bitterness,
            "bases": style.bases,
            "others": style.others,
            "yeasts": {yeast: YEASTS[yeast] for yeast in style.yeasts},
        }
        for name, style in STYLES.items()
    }
    rows = (f"{json.dumps(name)}: {json.dumps(asked)}" for name, asked in bounds.items())
    STYLES_FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write_styles()
