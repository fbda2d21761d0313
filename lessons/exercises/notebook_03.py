"""The checks of the exercises in notebook 03. alpha is the share of the first model."""

import torch

from helpers import merge_models
from lessons.exercises.form import brief, call, choice, close, compare, exercise, factors, number, refuse
from merging.measure.bits import bits_per_byte, gain_kept
from merging.tensors import named_weights


@exercise("my_merge()")
def check_03a(my_merge, model1, model2):
    got = call(my_merge, model1, model2, 0.25)
    theta1, theta2 = named_weights(model1), named_weights(model2)
    refuse(not isinstance(got, dict), f"the function gives a dict, name -> tensor, and not {brief(got)}")
    missing = sorted(set(theta1) - set(got))
    refuse(missing, f"{len(missing)} tensors are missing, for example {missing[:1]}: walk over all names")
    for name, theta in theta1.items():
        refuse(not isinstance(got[name], torch.Tensor), f"{name} is {brief(got[name])}, and not a tensor")
        shapes = tuple(got[name].shape), tuple(theta.shape)
        refuse(shapes[0] != shapes[1], f"{name} has the shape {shapes[0]}, and in the models {shapes[1]}")
    refuse(not all(got[name].isfinite().all() for name in theta1), "not all of its numbers are finite")
    a, b = factors(got, theta1, theta2)
    refuse((a, b) == (0.75, 0.25), "your alpha is the share of the second model")
    refuse((a, b) == (0.5, 0.5), "this is half and half whatever alpha is: use alpha")
    said = f"at alpha = 0.25 you give {a:g} of the first model and {b:g} of the second"
    refuse((a, b) != (0.25, 0.75), f"{said}: alpha and 1 - alpha are wanted, which sum to 1")
    return f"{len(theta1)} tensors, alpha is the share of the first model, and both parents are as they were."


@exercise("predicted", "kept")
def check_03b(predicted, kept, base, specialist, tokenizer, documents):
    predicted, kept = choice(predicted, ("less", "half", "more")), number(kept)
    score = lambda model: bits_per_byte(model, tokenizer, documents)
    ends, middle = (score(base), score(specialist)), score(merge_models(base, specialist))
    truth = gain_kept(*ends, middle)
    mistakes = [
        (1 - truth, "that is the share that is lost: base and specialist have changed places in gain_kept"),
        (middle, "these are the bits of the merge: put them into gain_kept(base's, beer's, the merge's)"),
        (ends[0] - middle, "that is the gain in bits: divide it by beer's whole gain"),
        (0.5, "half of the change is what you put in: how much of the gain comes out has to be measured"),
    ]
    hint = "gain_kept takes the bits of base, of beer and of the merge of these two on recipes, in this order."
    way = f"gain_kept({ends[0]:.2f}, {ends[1]:.2f}, {middle:.2f}) = {truth:.2f}."
    compare(kept, truth, mistakes, hint, way, 0.01 if close(kept, round(kept, 3), 1e-9) else 1e-3)
    went = "half" if abs(truth - 0.5) < 0.05 else "more" if truth > 0.5 else "less"
    refuse(predicted != went, f"your number is right, {truth:.2f}, but you predicted {predicted!r}: why?")
    return f"half of the change keeps {truth:.0%} of the gain."


@exercise("slip")
def check_03c(slip, tokens=300):
    truth = 1 - 0.5 ** (1 / tokens)
    mistakes = [
        (1 - truth, "that is how often a token must be right; you are asked how often it may be wrong"),
        (100 * (1 - truth), "that is how often a token must be right, in percent; the question is how often wrong"),
        (0.5 / tokens, "slips do not add up, the chances to be right multiply: (1 - slip) ** 300 = 0.5"),
        (1 / tokens, "one slip in 300 tokens on average leaves 37 % whole: (1 - slip) ** 300 = 0.5"),
        (0.01, "with one slip in a hundred tokens 5 % of the recipes are finished, as the notebook computes"),
    ]
    way = f"1 - slip is 0.5 ** (1 / 300) = {1 - truth:.5f}, so slip is {truth:.5f}."
    compare(slip, truth, mistakes, "(1 - slip) ** 300 must be 0.5.", way, 0.02)
    return f"{truth:.2%}, one token in {1 / truth:.0f}. Bits per byte hardly show so little."


@exercise("my_alpha")
def check_03d(my_alpha, alphas, kept_first, kept_second, wanted=0.9):
    alpha, allowed = number(my_alpha), [a for a, kept in zip(alphas, kept_second) if kept >= wanted]
    refuse(not allowed, f"in this sweep no alpha leaves beer {wanted} of its gain: run the cells of the sweep again")
    truth, at = max(allowed), {round(a, 6): ends for a, *ends in zip(alphas, kept_first, kept_second)}
    if round(alpha, 6) not in at:
        refuse(round(alpha / 100, 6) in at, f"{alpha:g} is in percent: alpha is between 0 and 1, so divide by 100")
        is_place = alpha in range(len(alphas)) and alphas[int(alpha)] == truth
        refuse(is_place, f"{alpha:g} is the place in the list: give the alpha that stands there")
        refuse(True, f"{alpha:g} was not measured: take one of {', '.join(map(str, alphas))}")
    one, two = at[round(alpha, 6)]
    refuse(
        close(alpha, 1 - truth, 1e-6) and not close(alpha, truth, 1e-6),
        f"{alpha} is the share of the second model: alpha is that of the first, so here beer keeps {two:.2f} only",
    )
    refuse(two < wanted, f"at alpha = {alpha} beer keeps {two:.2f} of its gain, and {wanted} was asked for")
    refuse(alpha < truth - 1e-6, f"at alpha = {alpha} beer keeps {two:.2f}: enough, but clippy could have more")
    return f"at alpha = {truth} beer keeps {two:.2f} of its gain, and clippy {one:.2f} of its own."
