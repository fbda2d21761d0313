"""How far may a count be trusted: 95 % intervals of shares."""

import math

import numpy as np
from scipy.stats import bootstrap


def wilson(passed, n, z=1.96):
    """(low, high): the 95 % interval of a share, where `passed` of n did (Wilson 1927); ValueError for n = 0."""
    if not 0 <= passed <= n or not n:
        raise ValueError(f"{passed} of {n} is no share.")
    share, spread = passed / n, z * z / n
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = ((share + spread / 2 + sign * half) / (1 + spread) for sign in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def count_in_words(passed, n):
    """A count with the 95 % interval of its share: "9 of 32 (0.16 to 0.45)"; see wilson."""
    low, high = wilson(passed, n)
    return f"{passed} of {n} ({low:.2f} to {high:.2f})"


def share_in_words(share, low, high):
    """A share with its 95 % interval: "0.28 (0.16 to 0.45)"; see mean_interval."""
    return f"{share:.2f} ({low:.2f} to {high:.2f})"


def mean_interval(values):
    """(mean, low, high): the mean of numbers, one for each task, and its 95 % interval.

    The interval is a bootstrap over the tasks: percentiles of the means of 9,999 drawings with replacement. Where all
    values are 0 or all are 1 that would say "certain", and it is Wilson's interval instead.
    """
    values = np.asarray(values, dtype=float)
    if not values.size:
        raise ValueError("There are no values to take the mean of.")
    if values.min() == values.max():
        ends = wilson(round(values.sum()), len(values)) if values[0] in (0, 1) else (values[0], values[0])
        return float(values[0]), *map(float, ends)
    dice = np.random.default_rng(0)
    interval = bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=dice).confidence_interval
    return float(values.mean()), float(interval.low), float(interval.high)
