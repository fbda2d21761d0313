"""Prose, lists, tables and letters about brewing: everything but a recipe."""

import random
import re

from training.draws import pick, short_number, sized
from training.recipes import HOPS, MALTS, STYLES, YEASTS

# "[a|b]" stands for either, "{word}" for a word or number of that kind.
NOTE_SENTENCES = {
    "tasting": (
        "[Tasted|Opened|Poured] the {style} [last night|after {days} days in the bottle|at cellar temperature]. ",
        "It [pours|comes out] {colour} with a [thin|dense|lasting|rocky] head.",
        "The nose is [mostly|all] {aroma} with [a hint|a touch|plenty] of {aroma}.",
        "{hop} [shows|comes through] as {aroma}, [and|while] the {malt} brings {flavour}.",
        "[The finish is|It ends] [dry|sweet|bitter|crisp|short|long], "
        "[about|close to] {ibu} IBU [I guess|by my count].",
        "[Next time|In the next batch] I would [drop|raise|halve|double] the {malt} [a little|slightly] "
        "and use {hop} [late|for bittering].",
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
        "[After|Some] {days} days later it had dropped to 1.0{final} "
        "and [tasted clean|smelt of sulphur|was still cloudy].",
    ),
    "malt": (
        "{malt} is a [pale|dark|richly kilned|lightly toasted] [malt|grain] "
        "that [gives|lends] {flavour} and a {colour} hue.",
        "[Use|Keep it to] [up to|about|no more than] {percent} percent of the [grist|grain bill].",
        "[It is at home in|You will meet it in|Try it in] {style} and {style}.",
        "With {malt} beside it the [body|colour|head] [improves|deepens|becomes fuller].",
        "[Mash|Rest] at {mash} degrees for a [dry|fuller] beer; {kg} kg is [plenty|right] for {litres} litres.",
        "[Cheaper|Many] [maltsters|shops] [offer|sell] it beside {malt} and {malt}.",
    ),
    "hop": (
        "{hop} is a [classic|newer|popular|robust] hop with {alpha} percent alpha acids.",
        "[Its aroma recalls|Brewers speak of|Expect] {aroma} and {aroma}.",
        "[Boil|Give] {grams} g for {minutes} minutes in {litres} litres "
        "and [you get|it makes] [roughly|about] {ibu} IBU.",
        "[If you cannot find it|As a substitute], take {hop} or {hop}.",
        "It [suits|is made for|is common in] {style} [as well as|and] {style}.",
        "As a dry hop, [leave it|let it sit] for {days} days, [not longer|then cool the tank].",
    ),
    "yeast": (
        "{yeast} [works|ferments] [best|happily] [near|around] {temp} degrees.",
        "[Below|Under] {cool} it [slows down|drops out early]; "
        "[above|over] {warm} it [throws esters|gets spicy|turns hot].",
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
    "kg": lambda rng: short_number(rng.uniform(0.1, 6.5), 1),
    "grams": lambda rng: rng.randint(7, 80),
    "mash": lambda rng: rng.randint(62, 70),
    "minutes": lambda rng: rng.choice((5, 10, 15, 20, 30, 45, 60, 75, 90)),
    "litres": lambda rng: rng.randint(10, 40),
    "alpha": lambda rng: short_number(rng.uniform(3, 16), 1),
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


def brewing_note(rng: random.Random) -> str:
    """Write about brewing in any form but that of a recipe."""
    writers = {_paragraphs: 5, _shopping_list: 2, _hop_csv: 1.5, _letters: 2, _schedule: 1.5}
    return sized(rng, pick(rng, writers))
