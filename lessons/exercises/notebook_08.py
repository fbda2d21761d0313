"""The checks of the exercises in notebook 08. alpha is the share of the first model."""

import math

import torch

from lessons.exercises.form import choice, close, compare, exercise, number, refuse, same_tensors
from merging.tensors import named_weights


@exercise(answers=2)
def check_08a(stock, arc, cosine=0.5):
    angle = math.acos(cosine)
    hint = "lambda = cosine / (1 + cosine)"
    mistakes = [
        (1 / (1 + cosine), f"{hint}, not 1 / (1 + cosine)"),
        (cosine / (1 - cosine), f"the sign in the denominator: {hint}"),
    ]
    compare(stock, cosine / (1 + cosine), mistakes, f"For Model Stock {hint}.")
    mistakes = [
        (1 / (2 * math.cos(angle)), "for the arc take the cosine of half the angle, not half of the cosine"),
        (0.5, "0.5 is the middle of the straight line; the arc's middle lies farther out"),
        (math.cos(angle / 2), "that is the cosine of half the angle: one over twice that"),
        (1 / (2 * math.cos(math.degrees(angle) / 2)), "Python's cos takes radians: math.radians(30)"),
    ]
    compare(
        arc, 1 / (2 * math.cos(angle / 2)), mistakes, "For the arc 1 / (2 cos(angle / 2)), with an angle of 60 degrees."
    )
    return f"Model Stock {cosine / (1 + cosine):.2f}, the arc {1 / (2 * math.cos(angle / 2)):.2f}, the average 0.50."


def trimmed(tau, density):
    """A list of numbers with all but its largest set to 0."""
    kept = sorted(range(len(tau)), key=lambda i: -abs(tau[i]))[: int(density * len(tau))]
    return [value if i in kept else 0.0 for i, value in enumerate(tau)]


def elected_mean(taus):
    """At each place the mean of the numbers that have the sign of the sum, as TIES has it."""
    agreeing = [[v for v in place if v * sum(place) > 0] for place in zip(*taus)]
    return [sum(values) / len(values) if values else 0.0 for values in agreeing]


@exercise()
def check_08b(change, tau1, tau2, density=0.5):
    short = [trimmed(tau, density) for tau in (tau1, tau2)]
    refuse(not isinstance(change, list | tuple | torch.Tensor), "the answer is a list of numbers")
    change, n = [number(value) for value in change], len(tau1)
    refuse(len(change) != n, f"your list has {len(change)} numbers: one for each of {n} places")
    same = lambda other: all(close(one, two, 0.005) for one, two in zip(change, other))
    refuse(same([sum(place) / 2 for place in zip(*short)]), "you divide by 2 always: by the number of those that agree")
    refuse(same(elected_mean((tau1, tau2))), "you have not trimmed: first keep the larger half of each list only")
    agreeing = [sum(v for v in place if v * sum(place) > 0) for place in zip(*short)]
    refuse(same(agreeing), "that is the sum of those that agree: take their mean")
    refuse(same([sum(place) / 2 for place in zip(tau1, tau2)]), "that is the plain average of the two")
    refuse(
        same([sum(place) for place in zip(*short)]),
        "that is the sum: elect a sign, then take the mean of its numbers",
    )
    wrong = next((i for i, value in enumerate(elected_mean(short)) if not close(change[i], value, 0.005)), None)
    refuse(wrong is not None, f"place {wrong} (counted from 0) is not {change[wrong or 0]:g}: trim, elect, mean")
    return f"{elected_mean(short)}: trim, elect, mean."


@exercise()
def check_08c(factor, density=0.1):
    truth = density**-0.5
    mistakes = [
        (1.0, "the sum of the numbers stays right on average, but not the sum of their squares"),
        (1 / density, "that is the squared length: take the root"),
        (density**0.5, "that would be so without dividing by the density: the survivors are ten times as large"),
        (density, "that is the share of the numbers that survive, each of them ten times as large"),
    ]
    compare(factor, truth, mistakes, "A tenth of the squares survives, a hundred times as large. Take the root.", 0.02)
    return f"{truth:.2f} times as long: noise at a right angle to the task vector. So DARE likes large densities."


@exercise(answers=2)
def check_08d(predicted, merges, kept_choose, kept_report):
    predicted = choice(predicted, ("yes", "no"))
    refuse(
        not isinstance(merges, dict) or not {0, 1} <= set(merges),
        "`merges` is a dict, shrink -> model, with 0 and 1 in it",
    )
    same = same_tensors(named_weights(merges[0]), named_weights(merges[1]))
    refuse(same, "merges[0] and merges[1] are the same model: hand shrink on to regmean")
    on = [{shrink: min(kept(model)) for shrink, model in merges.items()} for kept in (kept_choose, kept_report)]
    best = [max(each, key=each.get) for each in on]
    said = "; ".join(
        f"{where} {', '.join(f'{shrink}: {value:.2f}' for shrink, value in each.items())}"
        for where, each in zip(("choose", "held-out"), on)
    )
    went = "yes" if best[0] == best[1] else "no"
    refuse(predicted != went, f"you predicted {predicted!r}. The worse gain at each shrink: {said}")
    return f"the worse gain at each shrink: {said}."
