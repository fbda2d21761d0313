"""The checks of the exercises in notebook 03. alpha is the share of the first model."""

import copy

from lessons.exercises.form import (
    average,
    choice,
    close,
    compare,
    exercise,
    filled,
    mixed,
    number,
    refuse,
    same_tensors,
)
from merging.measure.bits import bits_per_byte, gain_kept
from merging.tensors import named_weights


@exercise()
def check_03a(merge, model1, model2):
    one, two = copy.deepcopy(model1), copy.deepcopy(model2)
    theta1, theta2 = named_weights(model1), named_weights(model2)
    got = filled(merge(one, two, 0.25))
    refuse(not isinstance(got, dict), f"the function gives a dict, name -> tensor, and not a {type(got).__name__}")
    refuse(
        not (same_tensors(named_weights(one), theta1) and same_tensors(named_weights(two), theta2)),
        "your function writes into a parent: the next merge would begin from a changed model. Make new tensors",
    )
    missing = sorted(set(theta1) - set(got))
    refuse(missing, f"{len(missing)} tensors are missing, for example {missing[:1]}: walk over all names")
    scaled = lambda a, b: {name: a * theta1[name] + b * theta2[name] for name in theta1}
    refuse(same_tensors(got, mixed(theta1, theta2, 0.75)), "your alpha is the share of the second model")
    refuse(same_tensors(got, mixed(theta1, theta2, 0.5)), "this is half and half whatever alpha is: use alpha")
    refuse(same_tensors(got, scaled(0.25, 1)), "your shares do not sum to 1: the second model needs 1 - alpha")
    refuse(same_tensors(got, scaled(0.25, 0.25)), "both models have the share alpha: the second needs 1 - alpha")
    refuse(not same_tensors(got, mixed(theta1, theta2, 0.25)), "this is not alpha * theta1 + (1 - alpha) * theta2")
    return f"{len(theta1)} tensors, alpha is the share of the first model, and both parents are as they were."


@exercise(answers=2)
def check_03b(predicted, kept, base, specialist, tokenizer, documents):
    predicted, kept = choice(predicted, ("less", "half", "more")), number(kept)
    score = lambda model: bits_per_byte(model, tokenizer, documents)
    ends, middle = (score(base), score(specialist)), score(average(base, specialist))
    truth = gain_kept(*ends, middle)
    mistakes = [
        (1 - truth, "that is the share that is lost: base and specialist have changed places in gain_kept"),
        (middle, "these are the bits of the merge: put them into gain_kept(base's, beer's, the merge's)"),
        (ends[0] - middle, "that is the gain in bits: divide it by beer's whole gain"),
    ]
    compare(kept, truth, mistakes, "gain_kept takes the bits of base, of beer and of the merge, in this order.")
    went = "half" if abs(truth - 0.5) < 0.05 else "more" if truth > 0.5 else "less"
    refuse(predicted != went, f"your number is right, {truth:.2f}, but you predicted {predicted!r}: why?")
    return f"half of the change keeps {truth:.0%} of the gain."


@exercise()
def check_03c(slip, tokens=300):
    truth = 1 - 0.5 ** (1 / tokens)
    mistakes = [
        (1 - truth, "that is how often a token must be right; you are asked how often it may be wrong"),
        (0.5 / tokens, "slips do not add up, the chances to be right multiply: (1 - slip) ** 300 = 0.5"),
        (100 * truth, "that is in percent: a probability lies between 0 and 1, so divide by 100"),
        (0.01, "with one slip in a hundred tokens 5 % of the recipes are finished, as the notebook computes"),
    ]
    compare(slip, truth, mistakes, "(1 - slip) ** 300 must be 0.5.", 0.02)
    return f"{truth:.2%}, one token in {1 / truth:.0f}. Bits per byte hardly show so little."


@exercise()
def check_03d(alpha, alphas, kept_first, kept_second, wanted=0.9):
    allowed = [a for a, kept in zip(alphas, kept_second) if kept >= wanted]
    truth, alpha = max(allowed), number(alpha)
    at = {round(a, 6): (one, two) for a, one, two in zip(alphas, kept_first, kept_second)}
    refuse(round(alpha, 6) not in at, f"take one of the alphas that were measured: {', '.join(map(str, alphas))}")
    one, two = at[round(alpha, 6)]
    refuse(
        close(alpha, 1 - truth, 1e-6) and alpha != truth,
        f"{alpha} is the share of the second model: alpha is that of the first, so here beer keeps {two:.2f} only",
    )
    refuse(two < wanted, f"at alpha = {alpha} beer keeps {two:.2f} of its gain, and {wanted} was asked for")
    refuse(alpha < truth, f"at alpha = {alpha} beer keeps {two:.2f}: enough, but clippy could have more")
    return f"at alpha = {truth} beer keeps {two:.2f} of its gain, and clippy {one:.2f} of its own."
