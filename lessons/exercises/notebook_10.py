"""The checks of the exercises in notebook 10. alpha is the share of the first model."""

import copy

from lessons.exercises.form import choice, close, exercise, filled, number, refuse
from merging.measure.bits import bits_per_byte


@exercise(answers=2)
def check_10a(refusals, closest, card, cosines):
    refusals, closest, n = number(refusals), choice(closest, tuple(cosines)), len(card.refusals)
    refuse(refusals != n, f"you predicted {refusals:g} refusals, and the card has {n}: it reads no weights")
    said = ", ".join(f"{pair} {cosine:.3f}" for pair, cosine in cosines.items())
    refuse(closest != max(cosines, key=cosines.get), f"the cosines are {said}: who walked least from base?")
    return f"{n} refusals, and cosines {said}. A card without refusals promises nothing."


SWEEP = [i / 5 for i in range(6)]  # made up so that each rule chooses another alpha


CURVES = {
    "code": [1.8 + 0.2 * lost for lost in (1, 0.8, 0.55, 0.4, 0.3, 0)],
    "recipes": [0.2 + 4 * lost for lost in (0, 0.01, 0.05, 0.38, 0.9, 1)],
}


def losses(values, relative=True):
    """What each point of a sweep loses to the better end, in distances between the ends or in bits."""
    size = abs(values[0] - values[-1]) if relative else 1
    return [(value - min(values[0], values[-1])) / size for value in values]


def chosen(alphas, bits, rule, relative=True):
    """The alpha for which rule (max, sum) of the texts' losses is smallest."""
    lost = [rule(point) for point in zip(*(losses(values, relative) for values in bits.values()))]
    return alphas[lost.index(min(lost))]


@exercise()
def check_10b(rule, alphas, bits):
    got = number(filled(rule(SWEEP, copy.deepcopy(CURVES))))
    made_up = "on a made-up sweep"
    truth = chosen(SWEEP, CURVES, max)
    refuse(got == SWEEP.index(truth), f"{got:g} is the place in the list: give the alpha, alphas[place]")
    refuse(close(got, chosen(SWEEP, CURVES, max, False), 1e-6), f"{made_up} that is the old rule: divide each loss")
    refuse(close(got, chosen(SWEEP, CURVES, sum), 1e-6), f"{made_up} that is the smallest mean: look at the worst text")
    refuse(not close(got, truth, 1e-6), f"{made_up} your rule chooses {got:g}, and {truth:g} loses least at worst")
    here = rule(alphas, copy.deepcopy(bits))
    refuse(not close(number(here), chosen(alphas, bits, max), 1e-6), "it works on a made-up sweep, but not on this one")
    return f"on this pair alpha = {here:g}, where bits alone chose {chosen(alphas, bits, max, False):g}."


@exercise(answers=2)
def check_10c(guess, texts, first, second, tokenizer):
    guess = choice(guess, ("first", "second"))
    refuse(isinstance(texts, str), "`my_texts` is a list of texts: put it into brackets")
    refuse(
        not all(isinstance(text, str) and text.strip() for text in texts), "`my_texts` holds something else than texts"
    )
    refuse(len(texts) < 2, "two texts or more: half of them choose alpha, half report")
    one, two = (bits_per_byte(model, tokenizer, list(texts)) for model in (first, second))
    said = f"first {one:.2f}, second {two:.2f} bits per byte"
    refuse(guess != ("first" if one < two else "second"), f"you guessed {guess!r}, but {said}")
    return f"{said}."
