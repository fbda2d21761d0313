"""Draw the figures of the tutorial: `python -m images.draw` writes the PNGs beside this file, or only those it names.

written.png shows a measurement, which it reads from models/smollm2/measured.json.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from images.series_map import series_map
from images.shapes import INK, LARGE, MEDIUM, SMALL, arrow, canvas, rounded_box, stack, tint, write
from lessons.figures.palette import COLOURS
from lessons.figures.real import skills_on
from lessons.measured import averages, best_of_both, measured_smollm2, pass_at_1

HERE = Path(__file__).resolve().parent
DPI = 150

ALPHA = 0.5
CLIPPY = np.array([[0.42, -0.16, 0.08], [0.90, 0.24, -0.38], [-0.52, 0.66, 0.14]])
BEER = np.array([[0.18, 0.30, -0.44], [0.50, -0.72, 0.12], [-0.08, 0.34, 0.86]])

FIRST_ALPHA, SECOND_ALPHA = 0.6, 0.75

SELECTIONS = {
    "all layers": {"token + position\nembeddings", "attention", "feed-forward", "final layer norm", "output head"},
    "attention only": {"attention"},
    "feed-forward only": {"feed-forward"},
}
BLOCKS = ("block 1", "block 2", "block 6")


def weight_text(value):
    """Write a weight with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def introduction():
    """Draw three models that flow into one of the same size."""
    figure, axes = canvas(9, 3.7)
    width, height = 1.6, 0.72
    labels = {"base": "base", "clippy": "clippy - code", "beer": "beer - recipes"}
    for row, (name, label) in enumerate(labels.items()):
        middle = 3.2 - row * 0.97
        write(axes, 1.95, middle, label, LARGE, ha="right")
        stack(axes, 2.1, middle - height / 2, width, height, [COLOURS[name]] * 4)
        arrow(axes, (3.85, middle), (6.45, 2.23 + 0.2 * (1 - row)))
    stack(axes, 6.65, 2.23 - height / 2, width, height, [COLOURS["merged"]] * 4)
    write(axes, 6.65 + width / 2, 3.02, "merged: one model,\nsame size, same speed", LARGE)
    axes.plot((0.2, 8.8), (0.68, 0.68), color="#bbbbbb", linewidth=1)
    write(axes, 4.5, 0.34, "by contrast: an ensemble keeps all of them and runs all of them", MEDIUM)
    return figure


def matrix(axes, x, y, weights, name):
    """Draw a 3 x 3 matrix of weights under its name, with the first cell highlighted."""
    wide, high = 0.72, 0.46
    write(axes, x + 1.5 * wide, y + 3 * high + 0.22, name, LARGE, weight="bold")
    for (row, column), weight in np.ndenumerate(weights):
        chosen = (row, column) == (0, 0)
        place = (x + column * wide, y + (2 - row) * high)
        cell = Rectangle(
            place,
            wide,
            high,
            facecolor=tint(COLOURS[name], 0.22),
            zorder=2 + chosen,
            edgecolor=INK if chosen else COLOURS[name],
            linewidth=3 if chosen else 1,
        )
        axes.add_patch(cell)
        write(
            axes,
            place[0] + wide / 2,
            place[1] + high / 2,
            weight_text(weight),
            MEDIUM,
            weight="bold" if chosen else "normal",
            zorder=4,
        )


def average():
    """Draw the weighted average of two weight matrices, with one cell worked out."""
    figure, axes = canvas(9.4, 3.4)
    merged = ALPHA * CLIPPY + (1 - ALPHA) * BEER
    for x, weights, name in ((0.92, CLIPPY, "clippy"), (4.22, BEER, "beer"), (6.99, merged, "merged")):
        matrix(axes, x, 1.5, weights, name)
    for x, sign in ((0.52, f"{ALPHA} ×"), (3.65, f"+ {1 - ALPHA} ×"), (6.685, "=")):
        write(axes, x, 2.19, sign, LARGE)
    first, second, result = (weight_text(weights[0, 0]) for weights in (CLIPPY, BEER, merged))
    sum_of_cell = f"marked cell:  {ALPHA} × {first} + {1 - ALPHA} × {second} = {result}"
    write(axes, 4.7, 1.15, sum_of_cell, MEDIUM, weight="bold")
    write(axes, 4.7, 0.7, r"$\theta = \alpha \cdot \theta_1 + (1 - \alpha) \cdot \theta_2$", 20)
    write(axes, 4.7, 0.26, r"$\alpha$ is the share of the first model", MEDIUM)
    return figure


def part(axes, x, y, name, averaged):
    """Draw one part of a model, marked as averaged or as the first model's."""
    width, height = 2.2, 0.55 if "\n" in name else 0.33
    colour = COLOURS["merged" if averaged else "clippy"]
    rounded_box(axes, x, y, width, height, colour)
    middle = y + height / 2 - 0.01
    write(axes, x + 0.1, middle, name, SMALL, ha="left")
    write(axes, x + width - 0.1, middle, "avg" if averaged else "1st", SMALL, ha="right", weight="bold")


def parts():
    """Return the parts of the model as (height on the page, name), from bottom to top."""
    places = [(0.6, "token + position\nembeddings")]
    for bottom in (1.26, 2.05, 3.04):
        places += [(bottom, "attention"), (bottom + 0.35, "feed-forward")]
    return places + [(3.83, "final layer norm"), (4.27, "output head")]


def column(axes, x, title, averaged):
    """Draw one copy of the model under the name of its selection."""
    write(axes, x + 1.1, 4.86, title, MEDIUM, weight="bold")
    for bottom, top in ((0.8, 2.6), (3.2, 4.4)):
        axes.plot((x + 1.1, x + 1.1), (bottom, top), color=INK, linewidth=2, zorder=0)
    write(axes, x + 1.1, 2.9, "⋮", LARGE)
    for y, name in parts():
        part(axes, x, y, name, name in averaged)


def tie(axes):
    """Join the output head to the embeddings, whose weights it shares."""
    axes.plot((2.12, 1.34, 1.34, 2.12), (4.435, 4.435, 0.875, 0.875), color=INK, linewidth=1.6, linestyle="--")
    write(axes, 0.67, 2.65, "tied to\nthe token\nembeddings", SMALL)


def selection():
    """Draw which parts of the model are averaged in each of three merges."""
    figure, axes = canvas(9.25, 5.1)
    for place, (title, averaged) in enumerate(SELECTIONS.items()):
        column(axes, 2.2 + place * 2.37, title, averaged)
    for y, name in zip((1.6, 2.39, 3.38), BLOCKS):
        write(axes, 2.12, y, name, SMALL, ha="right")
    tie(axes)
    key = ((2.2, "merged", "avg", "averaged"), (4.57, "clippy", "1st", "stays the first model's"))
    for x, name, mark, meaning in key:
        rounded_box(axes, x, 0.1, 0.55, 0.33, COLOURS[name], mark, SMALL, weight="bold")
        write(axes, x + 0.65, 0.255, meaning, SMALL, ha="left")
    return figure


def edge(axes, start, end, label, side):
    """Draw an arrow of the tree with its share beside the middle of it."""
    arrow(axes, start, end)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    write(axes, x + side * 0.12, y, label, MEDIUM, ha="left" if side > 0 else "right")


def tree(axes):
    """Draw the two merges as a tree, from the leaves at the top to the merged model."""
    leaves = (("clippy", 0.7), ("beer", 2.35), ("base", 4.0))
    for name, x in leaves:
        rounded_box(axes, x - 0.6, 3.25, 1.2, 0.5, COLOURS[name], name, LARGE)
    rounded_box(axes, 0.65, 1.75, 1.75, 0.5, COLOURS["merged"], "clippy + beer", MEDIUM)
    rounded_box(axes, 2.0, 0.2, 1.7, 0.5, COLOURS["merged"], "merged", LARGE, weight="bold")
    edge(axes, (0.8, 3.25), (1.25, 2.27), rf"$\alpha$ = {FIRST_ALPHA}", -1)
    edge(axes, (2.25, 3.25), (1.8, 2.27), rf"1 − $\alpha$ = {1 - FIRST_ALPHA:.1f}", 1)
    edge(axes, (1.6, 1.75), (2.5, 0.72), rf"$\alpha$ = {SECOND_ALPHA}", -1)
    edge(axes, (3.95, 3.25), (3.2, 0.72), rf"1 − $\alpha$ = {1 - SECOND_ALPHA:.2f}", 1)


def tree_shares():
    """Return each model's share in the merged model, with the product that gives it."""
    rest = 1 - FIRST_ALPHA
    return {
        "clippy": (SECOND_ALPHA * FIRST_ALPHA, f"{SECOND_ALPHA} × {FIRST_ALPHA}"),
        "beer": (SECOND_ALPHA * rest, f"{SECOND_ALPHA} × {rest:.1f}"),
        "base": (1 - SECOND_ALPHA, f"1 − {SECOND_ALPHA}"),
    }


def hierarchy():
    """Draw the tree of merges and, beside it, the shares it comes to."""
    figure, axes = canvas(9, 3.95)
    tree(axes)
    write(axes, 7.1, 3.3, "shares in the merged model", MEDIUM, weight="bold")
    x, width = 5.4, 3.4
    for row, (name, (share, product)) in enumerate(tree_shares().items()):
        style = {"facecolor": tint(COLOURS[name]), "edgecolor": COLOURS[name], "linewidth": 1.6}
        axes.add_patch(Rectangle((x, 2.15), width * share, 0.85, **style))
        write(axes, x + width * share / 2, 2.575, f"{name}\n{share:.2f}", MEDIUM)
        write(axes, 5.4, 1.65 - row * 0.42, f"{name}:", MEDIUM, ha="left")
        write(axes, 8.8, 1.65 - row * 0.42, f"{product} = {share:.2f}", MEDIUM, ha="right")
        x += width * share
    return figure


def skills():
    """Draw what the real model's merges can do: functions that work and recipes in style, over alpha."""
    rows = measured_smollm2()["rows"]
    figure = Figure(figsize=(9.6, 4.4), facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    found, base = averages(rows), rows[0]
    best = best_of_both(found, found[-1], found[0])
    skills_on(axes, found, best["clippy"], ("base, asked in its template", *pass_at_1(base, asked="chat sampled")))
    return figure


FIGURES = {
    "written.png": skills,
    "introduction.png": introduction,
    "average.png": average,
    "selection.png": selection,
    "tree.png": hierarchy,
    "map.png": series_map,
}


def main():
    """Draw the named figures, or every one, and save them without a version stamp: redrawing gives no diff."""
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name]().savefig(HERE / name, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
