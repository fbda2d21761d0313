"""Is a beer recipe in style? Its yeast, malts, gravity and bitterness, beside what the style asks for.

The bounds are those of the generator that beer learned from (training/recipes.py), stored as models/heldout/styles.json
and widened a little, since the generator rounds: see SLACK.
"""

import functools
import json
import math

import yaml

from merging.checks import is_number
from merging.measure.valid import Loader, is_recipe
from merging.paths import ROOT

STYLES_FILE = ROOT / "models" / "heldout" / "styles.json"
POINTS_PER_KG = 300  # of gravity, from a kilogram in a litre at an efficiency of 100 %
SLACK = {"gravity": 1.1, "bitterness": 1.25, "share": 1.5}  # a bound may be missed by this factor


@functools.cache
def styles():
    """name -> what a style asks for: "gravity" and "bitterness" [low, high], "bases", "others", "yeasts"."""
    return json.loads(STYLES_FILE.read_text(encoding="utf-8"))


def style_prompt(style):
    """The article's prompt for a recipe, of a style."""
    return f"style: {style}\nbatch_size: 20\nefficiency: 75\nboil_size:"


def in_style(text):
    """True if a text is a valid recipe without a fault of style."""
    return not style_faults(text)


def style_faults(text):
    """What is wrong with a recipe for its style, as sentences; of a text that is no valid recipe just that."""
    if not is_recipe(text):
        return ["It is no valid recipe."]
    recipe = yaml.load(text, Loader)
    style = styles().get(recipe["style"])
    if not style:
        return [f"There is no style {recipe['style']!r}."]
    return [fault for check in CHECKS.values() for fault in check(recipe, style)]


def style_checks(text):
    """name -> whether a recipe holds what its style asks for, each of CHECKS; of a text that is no recipe nothing."""
    recipe = yaml.load(text, Loader) if is_recipe(text) else {"style": None}
    style = styles().get(recipe["style"])
    return {name: bool(style) and not list(check(recipe, style)) for name, check in CHECKS.items()}


def yeast_faults(recipe, style):
    """Yeasts of other styles, other temperatures than theirs, and a fermentation outside of them."""
    yeasts = recipe["yeasts"] if isinstance(recipe["yeasts"], list) and recipe["yeasts"] else [None]
    for yeast in yeasts:
        name = yeast.get("name") if isinstance(yeast, dict) else None
        if name not in style["yeasts"]:
            yield f"The yeast {name!r} is none of this style."
            continue
        low, high = style["yeasts"][name]
        if (yeast.get("min_temperature"), yeast.get("max_temperature")) != (low, high):
            yield f"{name} ferments from {low} to {high} degrees."
        if recipe["primary_temp"] is not None and not is_number(recipe["primary_temp"], low, high):
            yield f"It ferments at {recipe['primary_temp']!r}, and {name} from {low} to {high} degrees."


def malt_faults(recipe, style):
    """Fermentables of other styles, too much or too little of one, and a bill without a base malt."""
    total = sum(item["amount"] for item in recipe["fermentables"]) or 1
    if not any(item["name"] in style["bases"] for item in recipe["fermentables"]):
        yield f"None of the base malts of this style is in it ({', '.join(style['bases'])})."
    for item in recipe["fermentables"]:
        if item["name"] in style["bases"]:
            continue
        if item["name"] not in style["others"]:
            yield f"{item['name']!r} is no fermentable of this style."
        elif not within(100 * item["amount"] / total, style["others"][item["name"]], SLACK["share"]):
            yield f"{item['name']} makes {100 * item['amount'] / total:.0f} % of the bill."


def gravity_faults(recipe, style):
    """A gravity outside of the style's."""
    kilos = sum(item["amount"] for item in recipe["fermentables"])
    points = POINTS_PER_KG * kilos * recipe["efficiency"] / 100 / recipe["batch_size"]
    if not within(points, style["gravity"], SLACK["gravity"]):
        yield f"The gravity is {points:.0f} points; the style has {style['gravity'][0]} to {style['gravity'][1]}."


def bitterness_faults(recipe, style):
    """A bitterness outside of the style's."""
    ibu = bitterness(recipe)
    if ibu is None or not within(ibu, style["bitterness"], SLACK["bitterness"]):
        found = "not known" if ibu is None else f"{ibu:.0f} IBU"
        yield f"The bitterness is {found}; the style has {style['bitterness'][0]} to {style['bitterness'][1]}."


def bitterness(recipe):
    """Bitterness in IBU of the hops that are boiled, None if a number is missing."""
    total = 0.0
    for hop in recipe["hops"]:
        if hop.get("use") in ("Aroma", "Dry Hop"):
            continue
        if not (is_number(hop.get("alpha"), 0, 30) and is_number(hop.get("time"), 0, 600)):
            return None
        utilisation = 0.28 * (1 - math.exp(-0.045 * hop["time"]))
        total += hop["alpha"] / 100 * utilisation * hop["amount"] * 1e6 / recipe["batch_size"]
    return total


def within(number, bounds, slack):
    """True if a number lies between two bounds, each widened by a factor."""
    return bounds[0] / slack <= number <= bounds[1] * slack


CHECKS = {"yeast": yeast_faults, "malts": malt_faults, "gravity": gravity_faults, "bitterness": bitterness_faults}
