"""The checks of the exercises in notebook 08. alpha is the share of the first model."""

import math

from lessons.exercises.form import close, compare, exercise, numbers, refuse


@exercise("stock", "arc")
def check_08a(stock, arc, cosine=0.5):
    angle, hint = math.acos(cosine), "lambda = cosine / (1 + cosine)"
    to_stock, to_arc = cosine / (1 + cosine), 1 / (2 * math.cos(angle / 2))
    mistakes = [
        (1 / (1 + cosine), f"{hint}, not 1 / (1 + cosine)"),
        (cosine / (1 - cosine), f"the sign in the denominator: {hint}"),
        (to_arc, "that is where the arc lands: stock and arc have changed places"),
        (0.5, "that is the average, or the cosine itself: Model Stock steps back from the average"),
    ]
    way = f"{cosine} / (1 + {cosine}) = {to_stock:.2f}."
    compare(stock, to_stock, mistakes, f"For Model Stock {hint}.", way, 0.015)
    mistakes = [
        (1 / (2 * math.cos(angle)), "for the arc take the cosine of half the angle, not half of the cosine"),
        (0.5, "0.5 is the middle of the straight line; the arc's middle lies farther out"),
        (math.cos(angle / 2), "that is the cosine of half the angle: one over twice that"),
        (1 / (2 * math.cos(math.degrees(angle) / 2)), "Python's cos takes radians: math.radians(30)"),
        (to_stock, "that is where Model Stock lands: the arc lies outside of the average, not inside"),
    ]
    way = f"1 / (2 cos 30 degrees) = 1 / (2 * {math.cos(angle / 2):.3f}) = {to_arc:.2f}."
    compare(arc, to_arc, mistakes, "For the arc 1 / (2 cos(angle / 2)), with an angle of 60 degrees.", way, 0.015)
    return f"Model Stock {to_stock:.2f}, the arc {to_arc:.2f}, the average 0.50."


def trimmed(tau, density):
    """A list of numbers with all but its largest set to 0."""
    kept = sorted(range(len(tau)), key=lambda i: -abs(tau[i]))[: int(density * len(tau))]
    return [value if i in kept else 0.0 for i, value in enumerate(tau)]


def elected_mean(taus):
    """At each place the mean of the numbers that have the sign of the sum, as TIES has it."""
    agreeing = [[v for v in place if v * sum(place) > 0] for place in zip(*taus)]
    return [sum(values) / len(values) if values else 0.0 for values in agreeing]


@exercise("change")
def check_08b(change, tau1, tau2, density=0.5):
    short = [trimmed(tau, density) for tau in (tau1, tau2)]
    change, n, truth = numbers(change), len(tau1), elected_mean(short)
    refuse(len(change) != n, f"your list has {len(change)} numbers: one for each of {n} places")
    agreeing = [[v for v in place if v * sum(place) > 0] for place in zip(*short)]
    mistakes = [
        ([sum(place) / 2 for place in zip(*short)], "you divide by 2 and elect no sign: take those that agree alone"),
        ([sum(place) / 2 for place in agreeing], "you divide by 2 always: by the number of those that agree"),
        (elected_mean((tau1, tau2)), "you have not trimmed: first keep the larger half of each list only"),
        ([sum(place) for place in agreeing], "that is the sum of those that agree: take their mean"),
        ([sum(place) / 2 for place in zip(tau1, tau2)], "that is the plain average of the two"),
        ([sum(place) for place in zip(*short)], "that is the sum: elect a sign, then take the mean of its numbers"),
        ([-value for value in truth], "right but for the signs: elect the sign of the sum"),
    ]
    for wrong, sentence in mistakes:
        refuse(all(close(one, two, 0.005) for one, two in zip(change, wrong)), sentence)
    for place, (given, value) in enumerate(zip(change, truth)):
        refuse(not close(given, value, 0.005), f"place {place} (counted from 0) is not {given:g}: trim, elect, mean")
    return f"{truth}: trim, elect, mean."


@exercise("factor")
def check_08c(factor, density=0.1):
    truth = density**-0.5
    mistakes = [
        (1.0, "the sum of the numbers stays right on average, but not the sum of their squares"),
        (1 / density, "that is the squared length: take the root"),
        (density**0.5, "that would be so without dividing by the density: the survivors are ten times as large"),
        (density, "that is the share of the numbers that survive, each of them ten times as large"),
        (1 / density**2, "each square is a hundred times as large, but only a tenth of them is left; then the root"),
    ]
    hint = "A length is the root of a sum of squares. How many squares are left, and how large is each?"
    way = f"a tenth of the squares is left, a hundred times as large: the root of {1 / density:g} = {truth:.2f}."
    compare(factor, truth, mistakes, hint, way, 0.02)
    return f"{truth:.2f} times as long: noise at a right angle to the task vector. So DARE likes large densities."
