"""The checks of the exercises in notebook 02. alpha is the share of the first model."""

import math

from lessons.exercises.form import choice, compare, exercise, filled, number, refuse
from merging.measure.bits import bits_per_byte
from merging.measure.valid import is_recipe


@exercise(answers=2)
def check_02a(predicted, texts, share_before):
    predicted, share_before = choice(predicted, ("up", "down", "same")), number(share_before)
    refuse(not isinstance(texts, list | tuple) or isinstance(texts, str), "`colder` is a list of texts")
    refuse(not all(isinstance(text, str) for text in texts) or not texts, "`colder` is a list of texts")
    refuse(len(texts) > 1 and len(set(texts)) == 1, "all texts are the same, as at temperature 0: take 0.5")
    refuse(
        not any(text.startswith("style:") for text in texts),
        "these texts do not begin with the recipe prompt, and without its four keys none is a recipe",
    )
    share = sum(map(is_recipe, texts)) / len(texts)
    went = "same" if share == share_before else "up" if share > share_before else "down"
    refuse(predicted != went, f"you predicted {predicted!r}; it went from {share_before:.2f} to {share:.2f}. Why?")
    return f"from {share_before:.2f} to {share:.2f} of {len(texts)}. The weights are the same, only the dice are not."


@exercise()
def check_02c(n, p=0.5, deviation=0.02):
    truth = p * (1 - p) / deviation**2
    mistakes = [
        (math.sqrt(truth), "solve for n, not for its root: the formula has n under the root"),
        (1 / deviation**2, "p (1 - p) is missing: at p = 0.5 that is a quarter"),
        (p / deviation**2, "(1 - p) is missing"),
        (p * (1 - p) / deviation, "the deviation has to be squared"),
    ]
    compare(n, truth, mistakes, "Square both sides of deviation = sqrt(p (1 - p) / n), then solve for n.")
    return f"{truth:.0f} samples. A deviation half as large costs four times as many."


@exercise()
def check_02d(to_bits):
    text, nats = "Grüße aus Köln: 25 °C", 30.0
    size, got = len(text.encode()), number(filled(to_bits(nats, text)))
    mistakes = [
        (nats / size, "these are nats per byte: divide by ln 2, math.log(2)"),
        (nats * math.log(2) / size, "one nat is more than one bit: divide by ln 2 instead of multiplying"),
        (nats / math.log(2) / len(text), "you count characters: ü takes two bytes, so use len(text.encode())"),
        (nats / len(text), "these are nats per character: divide by ln 2, and by len(text.encode())"),
        (nats / math.log(2), "these are bits, but of the whole text: divide by its bytes"),
        (nats / math.log2(2) / size, "math.log2(2) is 1: it takes math.log(2), the natural logarithm"),
    ]
    compare(got, nats / math.log(2) / size, mistakes, "nats / ln 2 are bits; divide them by the bytes of the text.")
    return "bits per byte, also for text with letters of two bytes."


@exercise(answers=2)
def check_02e(guess, text, models):
    guess = choice(guess, tuple(models))
    refuse(not isinstance(text, str), f"`my_text` is a text in quotes, not a {type(text).__name__}")
    refuse(len(text.split()) < 20, "that is a short text, on which chance decides: write twenty words or more")
    bits = {label: bits_per_byte(model, tokenizer, text) for label, (model, tokenizer) in models.items()}
    best, said = min(bits, key=bits.get), ", ".join(f"{label} {value:.2f}" for label, value in bits.items())
    refuse(best != guess, f"you guessed {guess}, and {best} needs the fewest bits ({said}). What did it read before?")
    return f"{said} bits per byte."
