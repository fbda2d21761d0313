"""Synthetic training text: beer recipes in YAML, prose about brewing, and other YAML documents."""

import math
import random
import re
from typing import NamedTuple

# style | gravity points | bitterness (IBU) | base malts | other fermentables with their share of the
# bill in percent | hops | yeasts | mash (single or step) | weight of late hops, 0 to 1 | miscs
STYLE_TABLE = """
Scottish Ale | 36-56 | 14-30 | Maris Otter, Golden Promise | Crystal 60L 4-9, Roasted Barley 1-2, Munich Malt 5-12 | East Kent Goldings, Fuggle | Wyeast 1728 Scottish Ale, WLP028 Edinburgh Ale, Safale US-05 | single | 0.1 | Irish Moss
Ordinary Bitter | 32-40 | 25-35 | Maris Otter, Pale Ale Malt | Crystal 60L 4-8, Torrified Wheat 3-7, Cane Sugar 3-6 | Fuggle, East Kent Goldings, Challenger | Safale S-04, Wyeast 1968 London ESB, WLP002 English Ale | single | 0.3 | Irish Moss
Extra Special Bitter | 47-60 | 30-48 | Maris Otter | Crystal 60L 5-10, Biscuit Malt 2-6, Torrified Wheat 3-6 | East Kent Goldings, Target, First Gold | Wyeast 1968 London ESB, WLP002 English Ale, Safale S-04 | single | 0.3 | Irish Moss
English IPA | 52-68 | 40-58 | Maris Otter, Golden Promise | Crystal 40L 3-7, Biscuit Malt 2-5, Cane Sugar 3-8 | Target, East Kent Goldings, Challenger | Safale S-04, WLP002 English Ale | single | 0.5 | Irish Moss
Mild | 30-38 | 12-24 | Maris Otter, Mild Malt | Crystal 80L 6-12, Chocolate Malt 2-5, Black Malt 1-2 | Fuggle, Northdown | Safale S-04, Lallemand Windsor | single | 0 | Irish Moss
Brown Porter | 42-54 | 18-34 | Maris Otter | Brown Malt 6-12, Chocolate Malt 3-6, Crystal 60L 5-9 | Fuggle, Challenger, Northdown | Safale S-04, Wyeast 1318 London Ale III | single | 0.1 | Irish Moss, Cocoa Nibs
Dry Stout | 38-50 | 30-44 | Maris Otter, Pale Ale Malt | Roasted Barley 8-12, Flaked Barley 10-20, Acidulated Malt 1-3 | Target, East Kent Goldings, Challenger | Wyeast 1084 Irish Ale, WLP004 Irish Ale | single | 0 | Whirlfloc
Oatmeal Stout | 48-64 | 25-40 | Maris Otter, Pale Ale Malt | Flaked Oats 8-14, Roasted Barley 4-7, Chocolate Malt 3-6 | East Kent Goldings, Fuggle, Willamette | Safale S-04, Wyeast 1084 Irish Ale | single | 0 | Whirlfloc, Cocoa Nibs
Sweet Stout | 46-60 | 20-38 | Maris Otter | Lactose 5-10, Chocolate Malt 4-7, Black Malt 2-4 | Fuggle, Challenger | Lallemand Windsor, Safale S-04 | single | 0 | Vanilla Bean, Cocoa Nibs
Imperial Stout | 78-100 | 50-80 | Pale Ale Malt, Two Row | Roasted Barley 5-8, Chocolate Malt 3-6, Special B 2-5 | Magnum, Columbus, Willamette | Safale US-05, WLP007 Dry English Ale | single | 0.2 | Yeast Nutrient, Oak Chips
American Pale Ale | 45-58 | 30-48 | Two Row, Pale Ale Malt | Crystal 40L 4-8, Carapils 2-5, Munich Malt 4-10 | Cascade, Centennial, Amarillo, Chinook | Safale US-05, Wyeast 1056 American Ale, WLP001 California Ale | single | 0.7 | Whirlfloc
American IPA | 57-70 | 45-70 | Two Row, Pale Ale Malt | Crystal 20L 2-5, Carapils 2-4, Munich Malt 3-8 | Simcoe, Centennial, Columbus, Chinook, Citra | Safale US-05, Wyeast 1056 American Ale, WLP001 California Ale | single | 0.9 | Whirlfloc
New England IPA | 60-74 | 25-50 | Two Row, Golden Promise | Flaked Oats 10-20, Wheat Malt 6-14, Lactose 2-4 | Citra, Mosaic, Galaxy, El Dorado | Wyeast 1318 London Ale III, Lallemand Verdant IPA | single | 1 | Yeast Nutrient
Double IPA | 68-84 | 62-95 | Two Row, Pale Ale Malt | Cane Sugar 4-8, Carapils 2-5, Crystal 20L 2-4 | Columbus, Simcoe, Mosaic, Nelson Sauvin | Safale US-05, WLP007 Dry English Ale | single | 1 | Whirlfloc, Yeast Nutrient
American Amber Ale | 45-60 | 25-40 | Two Row | Crystal 60L 6-11, Victory Malt 3-6, Munich Malt 5-10 | Cascade, Centennial, Northern Brewer | Safale US-05, WLP001 California Ale | single | 0.4 | Irish Moss
American Wheat Beer | 40-54 | 15-28 | Two Row | Wheat Malt 35-50, Carapils 2-5 | Cascade, Amarillo, Willamette | Wyeast 1010 American Wheat, Safale US-05 | single | 0.4 | Orange Peel
Cream Ale | 42-54 | 10-20 | Two Row, Lager Malt | Flaked Maize 10-20, Cane Sugar 3-7 | Cluster, Willamette, Liberty | Safale US-05, WLP001 California Ale | single | 0 | Whirlfloc
California Common | 48-54 | 30-44 | Two Row | Crystal 60L 4-8, Victory Malt 3-6, Munich Malt 5-12 | Northern Brewer | Wyeast 2112 California Lager, WLP810 San Francisco Lager | single | 0.2 | Irish Moss
Hefeweizen | 44-53 | 8-16 | Pilsner Malt, Lager Malt | Wheat Malt 50-65, Munich Malt 3-7 | Hallertau Mittelfruh, Tettnang | Wyeast 3068 Weihenstephan, WLP300 Hefeweizen, Lallemand Munich | step | 0 |
Dunkelweizen | 44-57 | 10-18 | Munich Malt | Wheat Malt 50-60, Special B 2-4, Carafa II 1-2 | Hallertau Mittelfruh, Perle | Wyeast 3068 Weihenstephan, WLP300 Hefeweizen | step | 0 |
Kolsch | 44-50 | 18-30 | Pilsner Malt | Vienna Malt 4-10, Wheat Malt 3-8 | Perle, Tettnang, Spalt | Wyeast 2565 Kolsch, WLP029 German Ale | step | 0.1 | Whirlfloc
Altbier | 46-53 | 26-48 | Munich Malt, Pilsner Malt | Caramunich 4-8, Carafa II 1-2, Vienna Malt 8-15 | Spalt, Perle, Magnum | Wyeast 2565 Kolsch, WLP029 German Ale, Safale K-97 | step | 0.1 | Irish Moss
German Pilsner | 44-50 | 25-42 | Pilsner Malt | Carapils 2-6, Acidulated Malt 1-3 | Hallertau Mittelfruh, Tettnang, Magnum | Saflager W-34/70, WLP830 German Lager, Wyeast 2124 Bohemian Lager | step | 0.2 | Whirlfloc
Bohemian Pilsner | 46-58 | 32-45 | Pilsner Malt | Carapils 3-6, Munich Malt 3-8 | Saaz | Wyeast 2124 Bohemian Lager, WLP800 Pilsner Lager, Saflager S-23 | step | 0.3 | Irish Moss
Vienna Lager | 47-55 | 18-30 | Vienna Malt | Munich Malt 15-30, Caramunich 2-5, Carafa II 1-2 | Hallertau Mittelfruh, Saaz, Perle | Saflager W-34/70, WLP830 German Lager | step | 0 | Whirlfloc
Munich Dunkel | 48-56 | 18-28 | Munich Malt | Pilsner Malt 10-25, Caramunich 3-6, Carafa II 1-3 | Hallertau Mittelfruh, Tettnang | Wyeast 2308 Munich Lager, Saflager W-34/70 | step | 0 | Irish Moss
Doppelbock | 72-92 | 16-26 | Munich Malt | Pilsner Malt 15-30, Caramunich 4-8, Special B 2-4 | Hallertau Mittelfruh, Magnum | Wyeast 2308 Munich Lager, WLP830 German Lager | step | 0 | Yeast Nutrient
Oktoberfest | 50-58 | 20-28 | Pilsner Malt, Vienna Malt | Munich Malt 20-40, Caramunich 3-7 | Hallertau Mittelfruh, Tettnang, Perle | Wyeast 2308 Munich Lager, Saflager S-23 | step | 0 | Whirlfloc
Witbier | 44-52 | 10-20 | Pilsner Malt | Flaked Wheat 35-45, Flaked Oats 4-8 | Saaz, Styrian Goldings | Wyeast 3944 Belgian Witbier, WLP400 Belgian Wit | step | 0 | Coriander, Orange Peel
Saison | 48-65 | 20-35 | Pilsner Malt | Wheat Malt 6-14, Cane Sugar 4-9, Vienna Malt 5-12 | Styrian Goldings, Saaz, East Kent Goldings | Wyeast 3711 French Saison, WLP565 Belgian Saison, Lallemand Belle Saison | step | 0.2 | Coriander, Orange Peel
Belgian Dubbel | 62-75 | 15-25 | Pilsner Malt | Candi Sugar 6-11, Special B 3-6, Caramunich 3-7 | Styrian Goldings, Saaz | WLP530 Abbey Ale, Wyeast 3787 Trappist High Gravity, Safale BE-256 | step | 0 | Yeast Nutrient
Belgian Tripel | 75-85 | 20-38 | Pilsner Malt | Cane Sugar 10-18, Aromatic Malt 2-5 | Styrian Goldings, Saaz, Tettnang | Wyeast 3787 Trappist High Gravity, WLP530 Abbey Ale | step | 0.1 | Yeast Nutrient, Coriander
"""
HOP_TABLE = """
East Kent Goldings 4.5-6.5, Fuggle 3.8-5.5, Challenger 6.5-8.5, Target 9.5-12.5, First Gold 6.5-9, Northdown 7.5-9.5, Willamette 4-6,
Magnum 11-14.5, Columbus 14-17, Cascade 4.8-7.2, Centennial 9-11.5, Amarillo 8-11, Chinook 11.5-14, Simcoe 12-14, Citra 11-14.5,
Mosaic 11.5-13.5, Galaxy 12.5-15.5, El Dorado 13.5-16.5, Nelson Sauvin 11.5-13.5, Northern Brewer 8-10, Cluster 5.5-8.5, Liberty 3.5-5,
Hallertau Mittelfruh 3.2-5.4, Tettnang 3.6-5.2, Perle 6.5-9, Spalt 4-5.6, Saaz 2.8-4.5, Styrian Goldings 3.8-5.6
"""
# Any recipe may take one of these in place of a hop of its style.
GUEST_HOPS = {
    "Bramling Cross": (5, 7),
    "Progress": (5, 7.5),
    "Warrior": (15, 17.5),
    "Herkules": (13, 17),
    "Hersbrucker": (2, 4.5),
    "Mount Hood": (4, 7),
    "Sorachi Ace": (11, 15),
    "Crystal": (3.5, 5.5),
}
YEAST_TABLE = """
Safale US-05 15-24, Safale S-04 15-20, Safale K-97 15-20, Safale BE-256 15-20, Saflager W-34/70 9-15, Saflager S-23 9-15,
Lallemand Windsor 15-22, Lallemand Munich 17-22, Lallemand Verdant IPA 18-23, Lallemand Belle Saison 15-35,
Wyeast 1010 American Wheat 14-23, Wyeast 1056 American Ale 16-22, Wyeast 1084 Irish Ale 17-22, Wyeast 1318 London Ale III 18-23,
Wyeast 1728 Scottish Ale 13-24, Wyeast 1968 London ESB 18-22, Wyeast 2112 California Lager 14-20, Wyeast 2124 Bohemian Lager 9-14,
Wyeast 2308 Munich Lager 9-13, Wyeast 2565 Kolsch 13-21, Wyeast 3068 Weihenstephan 18-24, Wyeast 3711 French Saison 18-25,
Wyeast 3787 Trappist High Gravity 18-25, Wyeast 3944 Belgian Witbier 17-24, WLP001 California Ale 18-23, WLP002 English Ale 18-20,
WLP004 Irish Ale 18-20, WLP007 Dry English Ale 18-21, WLP028 Edinburgh Ale 18-21, WLP029 German Ale 18-21, WLP300 Hefeweizen 20-22,
WLP400 Belgian Wit 19-23, WLP530 Abbey Ale 19-22, WLP565 Belgian Saison 20-24, WLP800 Pilsner Lager 10-13, WLP810 San Francisco Lager 14-18,
WLP830 German Lager 10-13
"""
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
BATCHES = {
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
POINTS_PER_KG = 300
RECIPE_KEYS = (
    "style batch_size efficiency boil_size boil_time fermentables hops yeasts primary_temp mash_steps miscs".split()
)


class Style(NamedTuple):
    """What one beer style asks of a recipe."""

    gravity: tuple
    bitterness: tuple
    bases: list
    others: dict
    hops: list
    yeasts: list
    mash: str
    late: float
    miscs: list


def _names(text):
    """Split a comma-separated list into its names."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _span(text):
    """Read "4.5-6.5" as a pair of numbers."""
    low, high = text.strip().split("-")
    return float(low), float(high)


def _ranges(text):
    """Read "name low-high, name low-high" as a dict of pairs."""
    pairs = (entry.rsplit(" ", 1) for entry in _names(text))
    return {name: _span(span) for name, span in pairs}


def _styles(table):
    """Read the style table into a dict of Style by name."""
    styles = {}
    for row in table.strip().split("\n"):
        name, gravity, ibu, bases, others, hops, yeasts, mash, late, miscs = (cell.strip() for cell in row.split("|"))
        styles[name] = Style(
            _span(gravity),
            _span(ibu),
            _names(bases),
            _ranges(others),
            _names(hops),
            _names(yeasts),
            mash,
            float(late),
            _names(miscs),
        )
    return styles


STYLES = _styles(STYLE_TABLE)
HOPS = {**_ranges(HOP_TABLE), **GUEST_HOPS}
YEASTS = _ranges(YEAST_TABLE)
MALTS = sorted({malt for style in STYLES.values() for malt in [*style.bases, *style.others]})


def _pick(rng, weights):
    """Choose one key of a dict with chances in proportion to its values."""
    return rng.choices(list(weights), list(weights.values()))[0]


def _number(value, digits):
    """Write a number with at most the given decimals and no trailing zeros."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fermentables(rng, style, batch, efficiency):
    """List the grain bill whose weight gives the style's gravity at this batch size and efficiency."""
    total = rng.uniform(*style.gravity) * batch / (POINTS_PER_KG * efficiency / 100)
    count = min(len(style.others), rng.choices((1, 2, 3), (15, 45, 40))[0])
    # The first fermentable of the row defines the style, so it is nearly always there.
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
                ("amount", _number(amount, digits if amount > 0.15 else 2)),
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
        name = rng.choice(list(GUEST_HOPS)) if rng.random() < 0.05 else rng.choice(style.hops)
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
                ("alpha", _number(alpha, 1)),
                ("use", use),
                ("time", minutes),
                ("amount", _number(weight, 3)),
            )
        )
    return additions[::-1]


def _yeasts(rng, style):
    """List the yeast, dry ones by the sachet and liquid ones by the pack."""
    name = rng.choices(style.yeasts, range(len(style.yeasts) + 1, 1, -1))[0]
    dry = name.startswith(("Saf", "Lallemand"))
    amount = rng.choice(("0.011", "0.011", "0.0115", "0.022") if dry else ("0.125", "0.125", "0.1", "0.035"))
    low, high = (int(limit) for limit in YEASTS[name])
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
                    ("amount", _number(amount, 3)),
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
        _pick(rng, BATCHES),
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


# "[a|b]" stands for either, "{word}" for a word or number of that kind.
NOTE_SENTENCES = {
    "tasting": (
        "[Tasted|Opened|Poured] the {style} [last night|after {days} days in the bottle|at cellar temperature]. ",
        "It [pours|comes out] {colour} with a [thin|dense|lasting|rocky] head.",
        "The nose is [mostly|all] {aroma} with [a hint|a touch|plenty] of {aroma}.",
        "{hop} [shows|comes through] as {aroma}, [and|while] the {malt} brings {flavour}.",
        "[The finish is|It ends] [dry|sweet|bitter|crisp|short|long], [about|close to] {ibu} IBU [I guess|by my count].",
        "[Next time|In the next batch] I would [drop|raise|halve|double] the {malt} [a little|slightly] and use {hop} [late|for bittering].",
        "A [sound|fine|middling|lovely] {style}, [though|and] the {yeast} [left it sweeter than planned|did its job].",
    ),
    "diary": (
        "[Brewed|Started on] a {style} [this morning|on Saturday|in the rain|with a friend].",
        "[Milled|Weighed out] {kg} kg of {malt} and [a handful|{grams} g] of {malt}.",
        "[Mashed in|The mash settled] at {mash} degrees and [held|rested] for {minutes} minutes.",
        "[Sparged|Rinsed the grain] [slowly|too fast] and collected {litres} litres of wort.",
        "[Added|Threw in] {grams} g of {hop} at {alpha} percent alpha with {minutes} minutes [left|to go].",
        "Original gravity was 1.0{points}, [a bit low|as planned|higher than hoped].",
        "[Pitched|Sprinkled on] {yeast} at {temp} degrees; [bubbling by evening|quiet until the next day].",
        "[After|Some] {days} days later it had dropped to 1.0{final} and [tasted clean|smelt of sulphur|was still cloudy].",
    ),
    "malt": (
        "{malt} is a [pale|dark|richly kilned|lightly toasted] [malt|grain] that [gives|lends] {flavour} and a {colour} hue.",
        "[Use|Keep it to] [up to|about|no more than] {percent} percent of the [grist|grain bill].",
        "[It is at home in|You will meet it in|Try it in] {style} and {style}.",
        "With {malt} beside it the [body|colour|head] [improves|deepens|becomes fuller].",
        "[Mash|Rest] at {mash} degrees for a [dry|fuller] beer; {kg} kg is [plenty|right] for {litres} litres.",
        "[Cheaper|Many] [maltsters|shops] [offer|sell] it beside {malt} and {malt}.",
    ),
    "hop": (
        "{hop} is a [classic|newer|popular|robust] hop with {alpha} percent alpha acids.",
        "[Its aroma recalls|Brewers speak of|Expect] {aroma} and {aroma}.",
        "[Boil|Give] {grams} g for {minutes} minutes in {litres} litres and [you get|it makes] [roughly|about] {ibu} IBU.",
        "[If you cannot find it|As a substitute], take {hop} or {hop}.",
        "It [suits|is made for|is common in] {style} [as well as|and] {style}.",
        "As a dry hop, [leave it|let it sit] for {days} days, [not longer|then cool the tank].",
    ),
    "yeast": (
        "{yeast} [works|ferments] [best|happily] [near|around] {temp} degrees.",
        "[Below|Under] {cool} it [slows down|drops out early]; [above|over] {warm} it [throws esters|gets spicy|turns hot].",
        "[Pitch|Use] one [pack|sachet] for {litres} litres, [two|a starter] for a strong {style}.",
        "It [leaves the beer|finishes] [drier|sweeter|cleaner|fruitier] than {yeast} [does|would] in the same wort.",
        "[Give it|Allow] {days} days before you [bottle|rack|take a reading].",
        "[Brewers of|Anyone making a] {style} [swear by it|should try it], and {hop} [fits|goes] well with it.",
    ),
}
AROMAS = (
    "pine, grapefruit, orange blossom, mango, lychee, cut grass, black pepper, honey, resin, blackcurrant, lemon zest, "
    "cloves, banana, damp earth, passion fruit, cedar, mint, peach, rose"
).split(", ")
FLAVOURS = (
    "toffee, biscuit, bread crust, dark chocolate, coffee, dried plum, caramel, toast, roasted nuts, raisins, "
    "a light sweetness, smooth body, liquorice, fresh dough"
).split(", ")
COLOURS = "straw, pale gold, deep gold, amber, copper, ruby, chestnut, brown, near black, hazy orange".split(", ")
ORIGINS = "England, Germany, Czechia, USA, Slovenia, New Zealand, Australia, France, Poland".split(", ")
FILLERS = {
    "style": lambda rng: rng.choice(list(STYLES)),
    "hop": lambda rng: rng.choice(list(HOPS)),
    "malt": lambda rng: rng.choice(MALTS),
    "yeast": lambda rng: rng.choice(list(YEASTS)),
    "aroma": lambda rng: rng.choice(AROMAS),
    "flavour": lambda rng: rng.choice(FLAVOURS),
    "colour": lambda rng: rng.choice(COLOURS),
    "origin": lambda rng: rng.choice(ORIGINS),
    "days": lambda rng: rng.randint(2, 28),
    "ibu": lambda rng: rng.randint(10, 75),
    "kg": lambda rng: _number(rng.uniform(0.1, 6.5), 1),
    "grams": lambda rng: rng.randint(7, 80),
    "mash": lambda rng: rng.randint(62, 70),
    "minutes": lambda rng: rng.choice((5, 10, 15, 20, 30, 45, 60, 75, 90)),
    "litres": lambda rng: rng.randint(10, 40),
    "alpha": lambda rng: _number(rng.uniform(3, 16), 1),
    "points": lambda rng: rng.randint(34, 92),
    "final": lambda rng: rng.randint(10, 19),
    "temp": lambda rng: rng.randint(9, 24),
    "cool": lambda rng: rng.randint(7, 16),
    "warm": lambda rng: rng.randint(19, 29),
    "percent": lambda rng: rng.randint(2, 40),
}


def _fill(rng, template):
    """Replace the alternatives and the words of a template by random ones."""
    text = re.sub(r"\[([^\]]*)\]", lambda match: rng.choice(match[1].split("|")), template)
    text = re.sub(r"\{(\w+)\}", lambda match: str(FILLERS[match[1]](rng)), text)
    return re.sub(r"\b([Aa]) (?=[AEIOaeio])", r"\1n ", text).strip()


def _prose(rng, kind=None, low=3, high=7):
    """Write a paragraph of sentences of one kind, in their natural order."""
    sentences = NOTE_SENTENCES[kind or rng.choice(list(NOTE_SENTENCES))]
    chosen = sorted(rng.sample(range(len(sentences)), min(rng.randint(low, high), len(sentences))))
    return " ".join(_fill(rng, sentences[place]) for place in chosen)


def _paragraphs(rng):
    """Write one or two paragraphs, at times under a title."""
    title = (
        [_fill(rng, "[Notes on|About|A word on|Thoughts on] [{style}|{hop}|{malt}|{yeast}]")]
        if rng.random() < 0.4
        else []
    )
    return "\n\n".join(title + [_prose(rng) for _ in range(rng.randint(1, 2))])


def _shopping_list(rng):
    """Write a Markdown shopping list for a brew day."""
    lines = [
        _fill(rng, "# [Shopping list|To buy|Needed] [for|before] [the {style}|brew day|a {litres} litre {style}]"),
        "",
    ]
    templates = (
        "{kg} kg {malt}",
        "{grams} g {hop} ([{alpha} % alpha|pellets|leaf])",
        "[1 pack|2 packs|1 sachet] {yeast}",
        "[irish moss|whirlfloc|orange peel|coriander|yeast nutrient|cocoa nibs|oak chips], {grams} g",
    )
    kinds = [0] * rng.randint(2, 4) + [1] * rng.randint(1, 4) + [2] + [3] * rng.randint(0, 2)
    box = rng.choice(("* ", "- [ ] ", "1. "))
    lines += [box + _fill(rng, templates[kind]) for kind in kinds]
    return "\n".join(lines + ["", _prose(rng, high=3)])


def _hop_csv(rng):
    """Write a CSV table of hops from the cellar."""
    heading, row = rng.choice(
        (
            ("hop,alpha,origin,aroma", "{alpha},{origin},{aroma}"),
            ("variety,origin,grams,alpha acids", "{origin},{grams},{alpha}"),
            ("name,stock (g),typical beer", "{grams},{style}"),
            ("hop;minutes;grams;ibu", "{minutes};{grams};{ibu}"),
        )
    )
    separator = ";" if ";" in heading else ","
    names = rng.sample(list(HOPS), rng.randint(6, 14))
    return "\n".join([heading] + [name + separator + _fill(rng, row) for name in names])


def _letters(rng):
    """Write a question by e-mail and its answer."""
    kind = rng.choice(list(NOTE_SENTENCES))
    question = _fill(
        rng,
        "[Hello,|Hi all,|Dear brewers,] [my {style} stopped at 1.0{final} after {days} days with {yeast}"
        "|can I swap {hop} for {hop} in a {style}|is {kg} kg of {malt} too much for {litres} litres"
        "|my {style} smells of {aroma}]. [What should I do?|Is that right?|Any advice?|Shall I wait?]",
    )
    opening = _fill(rng, "[Do not worry.|It depends.|Yes, mostly.|I would not.|Try warming it to {temp} degrees.]")
    marks = rng.choice((("Q. ", "A. "), ("> ", ""), ("Subject: a question\n\n", "Reply\n\n")))
    return f"{marks[0]}{question}\n\n{marks[1]}{opening} {_prose(rng, kind, 2, 4)}"


def _schedule(rng):
    """Write a fermentation schedule as an ini file."""
    lines = [
        _fill(rng, "; [fermentation|cellar|tank] plan, {style}"),
        "[plan]",
        _fill(rng, "beer = {style}"),
        _fill(rng, "strain = {yeast}"),
        _fill(rng, "[volume|litres] = {litres}"),
    ]
    stages = ("pitch", "primary", "diacetyl rest", "crash", "lagering", "dry hopping", "carbonation", "conditioning")
    for stage in sorted(rng.sample(stages, rng.randint(2, 5)), key=stages.index):
        lines += ["", f"[{stage}]", _fill(rng, "[celsius|target] = {temp}"), f"days = {rng.randint(1, 30)}"]
        if rng.random() < 0.5:
            lines.append(_fill(rng, "[note = {hop}, {grams} g|gravity = 1.0{final}|note = smells of {aroma}]"))
    return "\n".join(lines)


def _sized(rng, write):
    """Draw texts until one has 200 to 900 bytes."""
    while True:
        text = write(rng).rstrip() + "\n"
        if 200 <= len(text) <= 900:
            return text


def brewing_note(rng: random.Random) -> str:
    """Write about brewing in any form but that of a recipe."""
    writers = {_paragraphs: 5, _shopping_list: 2, _hop_csv: 1.5, _letters: 2, _schedule: 1.5}
    return _sized(rng, _pick(rng, writers))


FIRST_NAMES = (
    "Ada Bruno Clara David Elif Farid Greta Hugo Ines Jonas Kaya Liam Mara Nils Olga Pavel Rosa Samir "
    "Tove Uma Viktor Wanda Yusuf Zoe"
).split()
LAST_NAMES = (
    "Abbott Berger Costa Dahl Evans Fischer Garcia Hansen Ito Jansen Kowalski Lopez Moreau Novak Okafor "
    "Petrov Quinn Rossi Silva Tanaka"
).split()
TOWNS = "Lisbon Oslo Leeds Porto Graz Turin Ghent Malmo Krakow Lyon Bergen Cork Basel Seville Tartu Bath Utrecht Zagreb".split()
NOUNS = (
    "river stone lamp harbour garden mirror signal window forest ladder copper engine paper winter bridge island market "
    "shadow silver thunder valley lantern meadow orbit pocket saddle tunnel velvet anchor beacon"
).split()
ADJECTIVES = "quiet broken golden early distant hollow bright narrow wild patient frozen secret hidden gentle last second blue green".split()
SERVICES = (
    "api auth billing cache gateway mailer metrics proxy queue scheduler search storage uploader webhook worker".split()
)
TOOLS = "lint test build package deploy docs audit release format coverage".split()
FOODS = (
    "flour butter sugar eggs milk rice onions garlic tomatoes carrots chickpeas lentils basil cumin paprika cream cheese "
    "spinach potatoes mushrooms lemon parsley noodles vinegar salt"
).split()
DISHES = "soup stew pie salad cake bread curry risotto pancakes dumplings tart gratin".split()
VERBS = "Chop Fry Stir Bake Mix Simmer Roast Fold Rinse Grate Whisk Season".split()
GENRES = "novel essay poetry history travel biography mystery science fantasy drama".split()
SENSORS = {
    "temperature": (-20, 40),
    "humidity": (10, 100),
    "pressure": (960, 1045),
    "wind_speed": (0, 35),
    "rainfall": (0, 60),
    "sunshine": (0, 15),
    "soil_moisture": (2, 60),
    "uv_index": (0, 11),
}
SETTINGS = (
    "timeout retries debug log_level max_size workers interval region cache_ttl verbose threshold batch_limit color "
    "buffer port priority enabled ratio offset window"
).split()


def _value(rng):
    """Choose a scalar of any kind."""
    return rng.choice(
        (
            rng.randint(0, 100),
            rng.randint(100, 9999),
            round(rng.uniform(0, 50), 2),
            True,
            False,
            None,
            rng.choice(NOUNS),
            rng.choice(SERVICES),
            f"{rng.choice(ADJECTIVES)}-{rng.choice(NOUNS)}",
            [],
        )
    )


def _several(rng, low, high, make):
    """Make a list of between low and high things."""
    return [make() for _ in range(rng.randint(low, high))]


def _person(rng):
    """Choose a first and a last name."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def _title(rng):
    """Choose a title for a book or a song."""
    return rng.choice(("The ", "A ", "")) + f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}".title()


def _date(rng):
    """Choose a date."""
    return f"{rng.randint(1990, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _services(rng):
    """Make a service configuration."""

    def service():
        return {
            "name": rng.choice(SERVICES),
            "image": f"{rng.choice(NOUNS)}/{rng.choice(SERVICES)}",
            "replicas": rng.randint(1, 9),
            "ports": rng.sample(range(1024, 9999), rng.randint(0, 3)),
            "env": _several(rng, 0, 2, lambda: {"key": rng.choice(SETTINGS).upper(), "value": _value(rng)}),
        }

    settings = rng.sample(SETTINGS, rng.randint(2, 5))
    return {
        "version": rng.randint(1, 4),
        rng.choice(("services", "apps", "units")): _several(rng, 2, 4, service),
        rng.choice(("defaults", "settings", "options")): {key: _value(rng) for key in settings},
    }


def _pipeline(rng):
    """Make a continuous-integration pipeline."""

    def job():
        return {
            "job": f"{rng.choice(TOOLS)}-{rng.choice(NOUNS)}",
            "runs_on": rng.choice(("linux", "macos", "windows", "arm64")),
            "needs": rng.choice(([], [rng.choice(TOOLS)], None)),
            "steps": _several(rng, 1, 4, lambda: {"run": f"make {rng.choice(TOOLS)}", "timeout": rng.randint(1, 60)}),
        }

    return {
        "pipeline": rng.choice(NOUNS),
        "branches": rng.sample(("main", "develop", "stable", "next"), rng.randint(1, 3)),
        "jobs": _several(rng, 2, 4, job),
    }


def _inventory(rng):
    """Make an inventory of machines or of a shop."""

    def host():
        return {
            "host": f"{rng.choice(NOUNS)}{rng.randint(1, 40)}",
            "address": f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
            "roles": rng.sample(SERVICES, rng.randint(0, 3)),
            "memory": rng.choice((4, 8, 16, 32, 64)),
        }

    def item():
        return {
            "sku": f"{rng.choice('ABCDEF')}{rng.randint(100, 9999)}",
            "item": f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}",
            "stock": rng.randint(0, 300),
            "price": round(rng.uniform(0.5, 250), 2),
            "supplier": rng.choice((None, rng.choice(LAST_NAMES))),
        }

    return {
        "site": rng.choice(TOWNS),
        "updated": _date(rng),
        "inventory": _several(rng, 2, 6, rng.choice((host, item))),
    }


def _cooking(rng):
    """Make a cooking recipe."""
    foods = rng.sample(FOODS, rng.randint(3, 6))
    units = {"g": (50, 800), "ml": (20, 500), "tbsp": (1, 5), "pieces": (1, 8), "cups": (1, 4)}

    def ingredient(food):
        unit = rng.choice(list(units))
        return {"name": food, "quantity": rng.randint(*units[unit]), "unit": unit}

    return {
        "title": f"{foods[0]} {rng.choice(DISHES)}".capitalize(),
        "serves": rng.randint(1, 10),
        "oven": rng.choice((None, 160, 180, 200, 220)),
        "ingredients": [ingredient(food) for food in foods],
        "steps": _several(
            rng, 2, 5, lambda: f"{rng.choice(VERBS)} the {rng.choice(foods)} for {rng.randint(1, 40)} minutes"
        ),
        "tags": rng.sample(("vegan", "quick", "spicy", "festive", "cheap"), rng.randint(0, 2)),
    }


def _books(rng):
    """Make a book catalogue."""

    def book():
        return {
            "title": _title(rng),
            "author": _person(rng),
            "year": rng.randint(1850, 2024),
            "pages": rng.randint(60, 900),
            "genres": rng.sample(GENRES, rng.randint(0, 2)),
            "rating": rng.choice((None, round(rng.uniform(1, 5), 1))),
        }

    return {"library": rng.choice(TOWNS), "books": _several(rng, 2, 5, book)}


def _addresses(rng):
    """Make an address book."""

    def contact():
        first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        return {
            "first": first,
            "last": last,
            "email": f"{first}.{last}@{rng.choice(NOUNS)}.example".lower(),
            "address": {"street": f"{rng.choice(NOUNS).title()} Road {rng.randint(1, 200)}", "town": rng.choice(TOWNS)},
            "phones": _several(rng, 0, 2, lambda: rng.randint(200000, 999999)),
            "birthday": rng.choice((None, _date(rng))),
        }

    return {rng.choice(("contacts", "people", "members")): _several(rng, 2, 4, contact)}


def _playlist(rng):
    """Make a playlist."""

    def track():
        return {
            "title": _title(rng),
            "artist": rng.choice((_person(rng), f"The {rng.choice(NOUNS).title()}s")),
            "seconds": rng.randint(90, 600),
            "liked": rng.random() < 0.5,
        }

    return {
        "playlist": _title(rng),
        "owner": rng.choice(FIRST_NAMES),
        "shuffle": rng.random() < 0.5,
        "tracks": _several(rng, 3, 8, track),
    }


def _weather(rng):
    """Make a list of weather stations and their readings."""

    def reading():
        sensor = rng.choice(list(SENSORS))
        return {"sensor": sensor, "value": round(rng.uniform(*SENSORS[sensor]), 1), "ok": rng.random() < 0.9}

    def station():
        return {
            "station": rng.choice(TOWNS),
            "altitude": rng.randint(0, 2500),
            "latitude": round(rng.uniform(35, 65), 3),
            "longitude": round(rng.uniform(-10, 30), 3),
            "readings": _several(rng, 0, 4, reading),
        }

    return {"network": rng.choice(NOUNS), "date": _date(rng), "stations": _several(rng, 2, 4, station)}


def _scalar(value):
    """Write a scalar as plain YAML."""
    words = {None: "null", True: "true", False: "false"}
    # 0 == False and 1 == True, so only the three constants themselves are looked up.
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _yaml_lines(value, shift):
    """Write nested maps and lists, with list items indented by shift below their key."""
    lines = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                pad = " " * (shift if isinstance(inner, list) else 2)
                lines += [f"{key}:"] + [pad + line for line in _yaml_lines(inner, shift)]
            else:
                lines.append(f"{key}: {'[]' if inner == [] else _scalar(inner)}")
        return lines
    for item in value:
        inner = _yaml_lines(item, shift) if isinstance(item, (dict, list)) else [_scalar(item)]
        lines += [("  " if place else "- ") + line for place, line in enumerate(inner)]
    return lines


def yaml_document(rng: random.Random) -> str:
    """Write a YAML document that has nothing to do with beer."""
    make = rng.choice((_services, _pipeline, _inventory, _cooking, _books, _addresses, _playlist, _weather))
    shift = rng.choice((0, 0, 2))
    return _sized(rng, lambda source: "\n".join(_yaml_lines(make(source), shift)))
