"""The checks of the exercises in notebook 11. alpha is the share of the first model."""

import re

from lessons.exercises.form import brief, call, choice, close, exercise, items, number, refuse, some_text
from merging.measure.bits import bits_per_byte


@exercise("refusals", "closest")
def check_11a(refusals, closest, card, cosines):
    pairs = {frozenset(pair.split(" and ")): pair for pair in cosines}
    words = frozenset(re.findall(r"\w+", closest.lower())) - {"and"} if isinstance(closest, str) else ()
    refusals, closest, n = number(refusals), choice(pairs.get(words, closest), tuple(cosines)), len(card.refusals)
    refuse(refusals != n, f"you predicted {refusals:g} refusals, and the card has {n}: it reads no weights")
    said = ", ".join(f"{pair} {cosine:.3f}" for pair, cosine in cosines.items())
    refuse(closest != max(cosines, key=cosines.get), f"the cosines are {said}: who walked least from base?")
    return f"{n} refusals, and cosines {said}. A card without refusals promises nothing."


SWEEP = [0.0, 0.15, 0.3, 0.4, 0.55, 0.65, 0.85, 1.0]  # made up so that each rule chooses another alpha

CURVES = {
    "code": [1.8 + 0.2 * lost for lost in (1, 0.9, 0.75, 0.55, 0.45, 0.4, 0.3, 0)],
    "recipes": [0.2 + 4 * lost for lost in (0, 0.004, 0.01, 0.05, 0.1, 0.42, 0.9, 1)],
}


def losses(values, size=None):
    """What each point of a sweep loses to the better end, in distances between the ends or in another size."""
    size = abs(values[0] - values[-1]) if size is None else size
    return [(value - min(values[0], values[-1])) / size for value in values]


def chosen(alphas, bits, rule=max, size=lambda values: None):
    """The alpha for which rule (max, sum) of the texts' losses is smallest."""
    lost = [rule(point) for point in zip(*(losses(values, size(values)) for values in bits.values()))]
    return alphas[lost.index(min(lost))]


@exercise("my_rule()")
def check_11b(my_rule, alphas, bits):
    got = call(my_rule, SWEEP, CURVES)
    refuse(isinstance(got, list | tuple), f"the rule gives one alpha, and yours gives {brief(got)}")
    got, made_up, truth = number(got), "on a made-up sweep", chosen(SWEEP, CURVES)
    refuse(got == SWEEP.index(truth), f"{got:g} is the place in the list: give the alpha, alphas[place]")
    parent = "you divide by what one parent scores, and not by the distance between the two"
    end = "that is an end of the sweep, where one text loses its whole distance"
    mistakes = [
        (chosen(SWEEP, CURVES, size=lambda values: 1), "that is the old rule: divide each loss"),
        (chosen(SWEEP, CURVES, sum), "that is the smallest mean: look at the worst text"),
        (chosen(SWEEP, CURVES, size=lambda values: values[0]), parent),
        (chosen(SWEEP, CURVES, size=lambda values: values[-1]), parent),
        (SWEEP[0], end),
        (SWEEP[-1], end),
    ]
    for wrong, sentence in mistakes:
        refuse(close(got, wrong, 1e-6), f"{made_up} {sentence}")
    refuse(not close(got, truth, 1e-6), f"{made_up} your rule chooses {got:g}, and {truth:g} loses least at worst")
    here = number(call(my_rule, alphas, bits))
    refuse(not close(here, chosen(alphas, bits), 1e-6), "it works on a made-up sweep, but not on this one")
    return f"on this pair alpha = {here:g}, where bits alone chose {chosen(alphas, bits, size=lambda values: 1):g}."


@exercise("guess", "my_texts")
def check_11c(guess, my_texts, first, second, tokenizer):
    guess = choice(guess, ("first", "second"))
    refuse(isinstance(my_texts, str), "`my_texts` is a list of texts: put it into brackets")
    my_texts = items(my_texts, "`my_texts` is a list of texts")
    strange = [text for text in my_texts if not isinstance(text, str) or not text.strip()]
    refuse(strange, f"`my_texts` holds {brief(strange and strange[0])}, and only texts belong there")
    refuse(len(my_texts) < 2, "two texts or more: half of them choose alpha, half report")
    some_text("".join(my_texts), "my_texts")
    one, two = (bits_per_byte(model, tokenizer, my_texts) for model in (first, second))
    said = f"first {one:.2f}, second {two:.2f} bits per byte"
    refuse(guess != ("first" if one < two else "second"), f"you guessed {guess!r}, but {said}")
    return f"{said}."
