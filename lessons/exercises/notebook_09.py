"""The checks of the exercises in notebook 09. alpha is the share of the first model."""

import torch
from scipy.stats import fisher_exact

from lessons.exercises.form import as_model, brief, choice, compare, exercise, refuse
from merging.tensors import named_weights


@exercise("merged")
def check_09a(merged, weights=(2.0, 4.0), squares=(9.0, 1.0)):
    (one, other), (first, second) = weights, squares
    truth = (first * one + second * other) / (first + second)
    roots = first**0.5, second**0.5
    mistakes = [
        ((one + other) / 2, "that is the average: RegMean weighs each model by its inputs"),
        ((second * one + first * other) / (first + second), "the weights have changed places"),
        ((roots[0] * one + roots[1] * other) / sum(roots), "the weights are the mean squares, not their roots"),
        (first * one + second * other, "divide by the sum of the mean squares, as the inverse in the formula does"),
        ((first**2 * one + second**2 * other) / (first**2 + second**2), "9 and 1 are squares already"),
        (one, "that would be clippy's own answer: beer's inputs are small, but they count"),
    ]
    hint = "A weighted average of 2 and 4, in which the mean squares of the inputs are the weights."
    compare(merged, truth, mistakes, hint, f"(9 * 2 + 1 * 4) / (9 + 1) = {truth:g}.", 0.005)
    return f"{truth:g}: nearer to the model whose inputs are larger."


def p_value(passed, other, n, alternative="two-sided"):
    """The p-value of Fisher's exact test: passed of n against other of n."""
    return float(fisher_exact([[passed, n - passed], [other, n - other]], alternative=alternative).pvalue)


@exercise("p", "needed")
def check_09b(p, needed, counts=(7, 3), n=32, level=0.05):
    passed, other = counts
    table = [[passed, n - passed], [other, n - other]]
    truth = p_value(passed, other, n)
    enough = next(k for k in range(passed, n + 1) if p_value(k, other, n) < level)
    mistakes = [
        (p_value(passed, other, n, "greater"), "that is one-sided: ask for a difference either way"),
        (float(fisher_exact(table).statistic), "that is the ratio of the odds: take .pvalue"),
        (1 - truth, "that is one minus the p-value"),
        (passed / n - other / n, "that is the difference of the shares: ask how probable it is"),
        (float(fisher_exact([[passed, n], [other, n]]).pvalue), "the second column holds those that failed"),
    ]
    hint, way = "For the p-value: a row for each method, valid and not valid.", f"fisher_exact({table}).pvalue"
    compare(p, truth, mistakes, hint, f"{way} = {truth:.2f}.", 0.03)
    mistakes = [
        (enough - 1, f"that is enough for a one-sided test; two-sided, p is {p_value(enough - 1, other, n):.3f}"),
        (enough - other, "that is the difference to 3: how many does TIES need in all?"),
        (enough - passed, "that is how many more than 7: how many in all?"),
        (enough / n, "that is the share: how many of 32?"),
    ]
    way = f"{enough} of {n} against {other} of {n}: p = {p_value(enough, other, n):.3f}."
    compare(needed, enough, mistakes, "It is the first count whose p-value lies below 0.05.", way, 1e-6)
    return f"p = {truth:.2f}, no evidence of a difference; {enough} of {n} would be some."


@exercise("predicted", "merges")
def check_09c(predicted, merges, pair, kept_choose, kept_report):
    predicted = choice(predicted, ("yes", "no"))
    refuse(not isinstance(merges, dict), f"`merges` is a dict, shrink -> model, and not {brief(merges)}")
    missing = sorted({0, 0.9, 1} - set(merges))
    refuse(missing, f"`merges` is a dict, shrink -> model, and has no model for {', '.join(map(str, missing))}")
    merges = {shrink: as_model(model, "merges") for shrink, model in merges.items()}
    theta = {shrink: named_weights(model) for shrink, model in merges.items()}
    for one, other in ((0, 1), (0, 0.9), (0.9, 1)):
        same = (torch.allclose(theta[one][n].float(), each.float(), atol=1e-5) for n, each in theta[other].items())
        refuse(all(same), f"merges[{one}] and merges[{other}] are the same model: hand shrink on to regmean")
    outside = {shrink: share_outside(theta[shrink], *map(named_weights, pair)) for shrink in (0, 0.9, 1)}
    said = ", ".join(f"{share:.0%} in merges[{shrink}]" for shrink, share in outside.items())
    refuse(
        not outside[0] <= 0.001 < outside[0.9] < outside[1],
        "have two models changed places? With shrink 0 every number lies between those of clippy and beer, and the "
        f"larger shrink is, the more lie outside. Here that are {said}",
    )
    on = [{shrink: min(kept(model)) for shrink, model in merges.items()} for kept in (kept_choose, kept_report)]
    best = [max(each, key=each.get) for each in on]
    said = "; ".join(
        f"{where} {', '.join(f'{shrink}: {value:.2f}' for shrink, value in each.items())}"
        for where, each in zip(("choose", "held-out"), on)
    )
    went = "yes" if best[0] == best[1] else "no"
    refuse(predicted != went, f"you predicted {predicted!r}. The worse gain at each shrink: {said}")
    return f"the worse gain at each shrink: {said}."


def share_outside(theta, theta1, theta2):
    """The share of the numbers that do not lie between those of two models."""
    beyond = lambda a, b, c: torch.maximum(torch.minimum(b, c) - a, a - torch.maximum(b, c))
    off = sum((beyond(theta[name], theta1[name], theta2[name]) > 1e-6).sum().item() for name in theta1)
    return off / sum(tensor.numel() for tensor in theta1.values())
