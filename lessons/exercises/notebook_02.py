"""The checks of the exercises in notebook 02. alpha is the share of the first model."""

import math

import torch

from lessons.exercises.form import brief, call, choice, close, compare, exercise, number, refuse, some_text
from merging.measure.bits import bits_per_byte
from merging.measure.counts import count_in_words
from merging.measure.text import BEER_PROMPT, positions
from merging.measure.valid import is_recipe


@exercise("predicted", "colder")
def check_02a(predicted, colder, share_before, beer):
    predicted, share_before = choice(predicted, ("up", "down", "same")), number(share_before)
    is_texts = isinstance(colder, list | tuple) and colder and all(isinstance(text, str) for text in colder)
    refuse(not is_texts, f"`colder` is a list of texts, what generate_texts gives, and not {brief(colder)}")
    refuse(len(colder) < 8, f"`colder` has {len(colder)} texts, and the share before is one of 8: write eight")
    refuse(len(set(colder)) < len(colder), "some texts are the same, as at temperature 0: take 0.5")
    refuse(
        not any(text.startswith("style:") for text in colder),
        "these texts do not begin with the recipe prompt, and without its four keys none is a recipe",
    )
    refuse(
        not all(text.startswith(BEER_PROMPT) for text in colder),
        "not every text begins with BEER_PROMPT: with another prompt the two shares do not compare",
    )
    likeliest = temperature_of(colder, *beer)
    refuse(
        not 0.35 <= likeliest <= 0.65,
        f"by beer's own probabilities these texts look like temperature {likeliest:.1f}: "
        "let beer write them, with temperature=0.5",
    )
    valid = sum(map(is_recipe, colder))
    share = valid / len(colder)
    went = "same" if share == share_before else "up" if share > share_before else "down"
    change = f"from {count_in_words(round(8 * share_before), 8)} to {count_in_words(valid, len(colder))}"
    refuse(predicted != went, f"you predicted {predicted!r}; it went {change}. Why?")
    return f"{change}. The weights are the same, only the dice are not."


def temperature_of(texts, model, tokenizer, prompt=BEER_PROMPT):
    """The temperature (a multiple of 0.05 up to 2) at which a model is likeliest to draw these from its 50 best."""
    grid, start = [i / 20 for i in range(1, 41)], len(tokenizer(prompt)["input_ids"])
    surprise = torch.zeros(len(grid))
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"][: positions(model)]], device=model.device)
        logits = model(ids).logits[0, start - 1 : -1].float().cpu()
        drawn, best = logits.gather(1, ids[0, start:, None].cpu())[:, 0], logits.topk(50).values
        surprise += torch.stack([((best / t).logsumexp(1) - drawn / t).sum() for t in grid])
    return grid[surprise.argmin()]


@exercise("n")
def check_02c(n, p=0.5, deviation=0.02):
    truth = p * (1 - p) / deviation**2
    mistakes = [
        (math.sqrt(truth), "solve for n, not for its root: the formula has n under the root"),
        (1 / deviation**2, "p (1 - p) is missing: at p = 0.5 that is a quarter"),
        (p / deviation**2, "(1 - p) is missing"),
        (p * (1 - p) / deviation, "the deviation has to be squared"),
    ]
    way = f"n = p (1 - p) / deviation^2 = {p * (1 - p)} / {deviation**2:g} = {truth:.0f}."
    compare(n, truth, mistakes, "Square both sides of deviation = sqrt(p (1 - p) / n), then solve for n.", way)
    return f"{truth:.0f} samples. A deviation half as large costs four times as many."


@exercise("to_bits()")
def check_02d(to_bits):
    text, nats, ln2 = "Grüße aus Köln: 25 °C", 30.0, math.log(2)
    size, got = len(text.encode()), number(call(to_bits, nats, text))
    mistakes = [
        (nats / size, "these are nats per byte: divide by ln 2, math.log(2) (math.log2(2) is 1)"),
        (nats * ln2 / size, "one nat is more than one bit: divide by ln 2 instead of multiplying"),
        (nats / ln2 / len(text), "you count characters: ü takes two bytes, so use len(text.encode())"),
        (nats / len(text), "these are nats per character: divide by ln 2, and by len(text.encode())"),
        (nats / ln2, "these are bits, but of the whole text: divide by its bytes"),
    ]
    for wrong, sentence in mistakes:
        refuse(close(got, wrong, 1e-3), sentence)
    by = nats / ln2 / got if got else 0
    refuse(
        not close(by, size, 1e-3),
        f"of {nats:g} nats you make {got:.4g} bits per byte, as if {text!r} had {by:.4g} bytes; it has {size}. "
        "Tokens and words will not do, since each tokenizer counts others",
    )
    refuse(not close(number(call(to_bits, 7.0, "abc")), 7 / ln2 / 3, 1e-3), "right for one text, and not for another")
    return "bits per byte, also for text with letters of two bytes."


@exercise("guess", "my_text")
def check_02e(guess, my_text, models):
    guess, my_text = choice(guess, tuple(models)), some_text(my_text, "my_text")
    bits = {label: bits_per_byte(model, tokenizer, my_text) for label, (model, tokenizer) in models.items()}
    best, said = min(bits, key=bits.get), ", ".join(f"{label} {value:.2f}" for label, value in bits.items())
    refuse(best != guess, f"you guessed {guess}, and {best} needs the fewest bits ({said}). What did it read before?")
    return f"{said} bits per byte."
