"""The pictures of the notebook about a real language model: what its merges write."""

from merging.figures import new_figure, show_figure
from merging.palette import COLOURS, MARKERS


def draw_written(points, samples):
    """Two panels over alpha, the share of clippy: bits per byte on two texts, and shares of valid text.

    points: alpha -> [bits on code, bits on beer, share of valid functions, of correct ones, of valid recipes]; samples:
    how many texts a share was counted on. The bands are one standard deviation of such a count.
    """
    alphas, (code, beer, functions, _, recipes) = list(points), zip(*points.values())
    figure, (left, right) = new_figure(12, 4.4, columns=2)
    for name, values, model in (("code", code, "clippy"), ("beer", beer, "beer")):
        left.plot(alphas, values, color=COLOURS[model], marker=MARKERS[model], markersize=9, linewidth=2)
        left.annotate(name, (1, values[-1]), (12, -4), textcoords="offset points", fontsize=12, color=COLOURS[model])
    for values, model in ((functions, "clippy"), (recipes, "beer")):
        spread = [(p * (1 - p) / samples) ** 0.5 for p in values]
        low, high = ([p + sign * s for p, s in zip(values, spread)] for sign in (-1, 1))
        right.fill_between(alphas, low, high, color=COLOURS[model], alpha=0.2, linewidth=0)
        right.plot(alphas, values, color=COLOURS[model], marker=MARKERS[model], markersize=9, linewidth=2)
    for name, at, model in (("valid recipes", 0, "beer"), ("valid functions", 1, "clippy")):
        right.text(at, 1.09, name, ha="right" if at else "left", fontsize=12, color=COLOURS[model])
    left.set_ylabel("bits per byte (lower is better)", fontsize=12)
    right.set_ylabel(f"share of {samples} samples", fontsize=12)
    left.margins(x=0.14)
    right.set_ylim(-0.03, 1.16)
    for ax in (left, right):
        ax.set_xlabel("alpha: beer at 0, clippy at 1", fontsize=12)
    numbers = "; ".join(f"{a}: {f:.2f}, {r:.2f}" for a, f, r in zip(alphas, functions, recipes))
    show_figure(
        figure,
        "Left: bits per byte on code and beer over alpha. Right: shares of valid functions and of valid recipes over "
        f"alpha; {numbers}.",
    )
