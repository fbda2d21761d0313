"""The map of the series: a box for each notebook, with a small picture and what is learned there."""

import numpy as np
from matplotlib.patches import Rectangle

from images.shapes import INK, LARGE, SMALL, arrow, canvas, rounded_box, stack, write
from lessons.figures.palette import COLOURS


def stacks_picture(axes, x, y, *models):
    """Draw small models side by side, centred on x."""
    for place, colours in enumerate(models):
        left = x + (place - len(models) / 2) * 0.42 + 0.04
        stack(axes, left, y, 0.34, 0.42, [COLOURS[name] for name in colours], gap=0.03)


def text_picture(axes, x, y):
    """Draw one line of writing beside a dot for each model, centred on x."""
    for row, name in enumerate(("base", "clippy", "beer")):
        height = y + 0.42 - 0.21 * row
        axes.plot(x - 0.5, height, "o", markersize=9, color=COLOURS[name])
        axes.plot((x - 0.3, x + 0.55 - 0.15 * row), (height, height), color=COLOURS[name], linewidth=3)


def tree_picture(axes, x, y):
    """Draw a small tree of two merges, centred on x."""
    places = {
        "clippy": (-0.45, 0.42),
        "beer": (0.05, 0.42),
        "base": (0.45, 0.42),
        "pair": (-0.2, 0.21),
        "all": (0.1, 0),
    }
    points = {name: (x + across, y + up) for name, (across, up) in places.items()}
    for start, end in (("clippy", "pair"), ("beer", "pair"), ("pair", "all"), ("base", "all")):
        axes.plot(*zip(points[start], points[end]), color=INK, linewidth=1.4)
    for name, point in points.items():
        axes.plot(*point, "o", markersize=9, color=COLOURS.get(name, COLOURS["merged"]))


def barrier_picture(axes, x, y):
    """Draw a valley between clippy and beer, and a barrier over it, centred on x."""
    across = np.linspace(-0.6, 0.6, 40)
    bow = 1 - (across / 0.6) ** 2
    axes.plot(x + across, y + 0.25 + 0.25 * bow, color="#D55E00", linewidth=2.5, linestyle="--")
    axes.plot(x + across, y + 0.25 - 0.25 * bow, color=COLOURS["merged"], linewidth=2.5)
    axes.plot(x - 0.6, y + 0.25, "s", markersize=9, color=COLOURS["clippy"])
    axes.plot(x + 0.6, y + 0.25, "^", markersize=10, color=COLOURS["beer"])


def both_picture(axes, x, y):
    """Draw one deep model that writes a line of clippy's and a line of beer's, centred on x."""
    stack(axes, x - 0.6, y - 0.08, 0.34, 0.64, [COLOURS["merged"]] * 6, gap=0.03)
    for height, name in ((0.4, "clippy"), (0.08, "beer")):
        arrow(axes, (x - 0.2, y + 0.24), (x + 0.08, y + height))
        axes.plot((x + 0.16, x + 0.6), (y + height, y + height), color=COLOURS[name], linewidth=3)


def vectors_picture(axes, x, y):
    """Draw the task vectors of clippy and beer from base, their average and a merge beyond it, centred on x."""
    base, clippy, beer = (x, y - 0.08), (x - 0.5, y + 0.27), (x + 0.5, y + 0.27)
    for tip, name in ((clippy, "clippy"), (beer, "beer"), ((x, y + 0.52), "merged")):
        axes.plot(*zip(base, tip), color=COLOURS[name], linewidth=2.5)
    axes.plot(*zip(clippy, beer), color="#888888", linewidth=1.4, linestyle=":")
    for (across, up), name, marker in (
        (base, "base", "o"),
        (clippy, "clippy", "s"),
        (beer, "beer", "^"),
        ((x, y + 0.27), "merged", "D"),
        ((x, y + 0.52), "merged", "D"),
    ):
        axes.plot(across, up, marker, markersize=9, color=COLOURS[name])


def inputs_picture(axes, x, y):
    """Draw lines of text on their way into a merged layer, centred on x."""
    for row, name in enumerate(("clippy", "clippy", "beer")):
        height = y + 0.42 - 0.21 * row
        axes.plot((x - 0.6, x - 0.25 + 0.06 * row), (height, height), color=COLOURS[name], linewidth=3)
    arrow(axes, (x - 0.02, y + 0.21), (x + 0.2, y + 0.21))
    stack(axes, x + 0.26, y, 0.34, 0.42, [COLOURS["merged"]] * 3, gap=0.03)


def bars_picture(axes, x, y):
    """Draw the time of a merge as a short bar under the long ones of naive code, centred on x."""
    for row, (width, colour) in enumerate(((0.16, COLOURS["merged"]), (0.8, "#D55E00"), (1.2, "#D55E00"))):
        axes.add_patch(Rectangle((x - 0.6, y + 0.2 * row), width, 0.13, facecolor=colour))


def own_picture(axes, x, y):
    """Draw two models of the reader's and a merge of both, centred on x."""
    stacks_picture(axes, x - 0.32, y, ["first"] * 3, ["second"] * 3)
    arrow(axes, (x + 0.14, y + 0.24), (x + 0.34, y + 0.24))
    stacks_picture(axes, x + 0.6, y, ["merged"] * 3)


STEPS = (
    (
        "01",
        "Load\nmodels",
        lambda axes, x, y: stacks_picture(axes, x, y, ["base"] * 3, ["clippy"] * 3, ["beer"] * 3),
        "what is in\na checkpoint",
    ),
    ("02", "Baseline\ngeneration", text_picture, "what each\ncan write"),
    (
        "03",
        "Merge all\nlayers",
        lambda axes, x, y: stacks_picture(axes, x, y, ["merged"] * 4),
        "one alpha for\neverything",
    ),
    (
        "04",
        "Merge selected\nlayers",
        lambda axes, x, y: stacks_picture(axes, x, y, ["merged", "clippy"] * 2, ["clippy", "merged"] * 2),
        "attention or\nfeed-forward",
    ),
    ("05", "Hierarchical\nmerging", tree_picture, "more than\ntwo"),
    ("06", "A real language\nmodel", both_picture, "one model that\nwrites both"),
    ("07", "Why merging\nworks", barrier_picture, "and when\nit fails"),
    ("08", "Beyond the\naverage", vectors_picture, "SLERP, TIES,\nDARE"),
    ("09", "Merging\nwith data", inputs_picture, "RegMean, Fisher,\ngradients"),
    ("10", "Scaling\nup", bars_picture, "speed, disk,\na cluster"),
    ("11", "Your own\nmodels", own_picture, "check, merge,\npublish"),
)
COLUMNS = 6


def series_map():
    """Draw the map of the series: two rows of boxes, one for each notebook, with what is learned there."""
    figure, axes = canvas(12.42, 5.78)
    for place, (label, title, picture, lesson) in enumerate(STEPS):
        row, column = divmod(place, COLUMNS)
        middle, bottom = 1.01 + 2.08 * column, 0.1 + 2.94 * (1 - row)
        rounded_box(axes, middle - 0.91, bottom, 1.82, 2.64, COLOURS["base" if place < 2 else "merged"], strength=0.1)
        write(axes, middle, bottom + 2.4, label, LARGE, weight="bold")
        write(axes, middle, bottom + 1.95, title, SMALL, weight="bold")
        picture(axes, middle, bottom + 1.01)
        write(axes, middle, bottom + 0.43, lesson, SMALL)
        if column:
            arrow(axes, (middle - 1.17, bottom + 1.26), (middle - 0.91, bottom + 1.26))
    return figure
