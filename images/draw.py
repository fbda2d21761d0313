"""Draw the figures of the tutorial: `python -m images.draw` writes the PNGs beside this file.

All but sweep.png are hand-made; that one measures the shipped models while it draws.
"""

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

import helpers
from merging.palette import COLOURS

HERE = Path(__file__).resolve().parent
DPI = 150
INK = "#1a1a1a"
LARGE, MEDIUM, SMALL = 17, 15, 13

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

STEPS = (
    ("01", "Load\nmodels", "what is in\na checkpoint"),
    ("02", "Baseline\ngeneration", "what each\ncan write"),
    ("03", "Merge all\nlayers", "one alpha for\neverything"),
    ("04", "Merge selected\nlayers", "attention or\nfeed-forward"),
    ("05", "Hierarchical\nmerging", "more than\ntwo"),
    ("06", "Why merging\nworks", "and when\nit fails"),
    ("07", "Scaling\nup", "speed, disk,\na cluster"),
    ("08", "Your own\nmodels", "check, merge,\npublish"),
)


def tint(colour, strength=0.22):
    """Mix a colour with white, so that dark text stays readable on it."""
    if not any(to_rgb(colour)):
        strength /= 2  # black mixes to a far darker tint than the others
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def number(value):
    """Write a weight with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def canvas(width, height):
    """Return a figure and its axes, which cover it and count in inches."""
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def write(axes, x, y, text, size=MEDIUM, **style):
    """Put dark text, centred unless told otherwise, at a point."""
    axes.text(x, y, text, **{"fontsize": size, "color": INK, "ha": "center", "va": "center", **style})


def box(axes, x, y, width, height, colour, text="", size=MEDIUM, strength=0.22, **style):
    """Draw a rounded box with its lower left corner at (x, y) and its text in the middle."""
    shape = FancyBboxPatch(
        (x, y),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=tint(colour, strength),
        edgecolor=colour,
        linewidth=1.6,
    )
    axes.add_patch(shape)
    write(axes, x + width / 2, y + height / 2, text, size, **style)


def arrow(axes, start, end):
    """Draw an arrow from start to end."""
    style = {"arrowstyle": "-|>", "mutation_scale": 20, "linewidth": 2, "color": INK, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def stack(axes, x, y, width, height, colours, gap=0.05):
    """Draw a model as a stack of layers, one for each colour, from bottom to top."""
    layer = (height + gap) / len(colours) - gap
    for row, colour in enumerate(colours):
        place = (x, y + row * (layer + gap))
        axes.add_patch(Rectangle(place, width, layer, facecolor=tint(colour, 0.4), edgecolor=colour, linewidth=1.4))


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
            number(weight),
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
    first, second, result = (number(weights[0, 0]) for weights in (CLIPPY, BEER, merged))
    sum_of_cell = f"marked cell:  {ALPHA} × {first} + {1 - ALPHA} × {second} = {result}"
    write(axes, 4.7, 1.15, sum_of_cell, MEDIUM, weight="bold")
    write(axes, 4.7, 0.7, r"$\theta = \alpha \cdot \theta_1 + (1 - \alpha) \cdot \theta_2$", 20)
    write(axes, 4.7, 0.26, r"$\alpha$ is the share of the first model", MEDIUM)
    return figure


def part(axes, x, y, name, averaged):
    """Draw one part of a model, marked as averaged or as the first model's."""
    width, height = 2.2, 0.55 if "\n" in name else 0.33
    colour = COLOURS["merged" if averaged else "clippy"]
    box(axes, x, y, width, height, colour)
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
        box(axes, x, 0.1, 0.55, 0.33, COLOURS[name], mark, SMALL, weight="bold")
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
        box(axes, x - 0.6, 3.25, 1.2, 0.5, COLOURS[name], name, LARGE)
    box(axes, 0.65, 1.75, 1.75, 0.5, COLOURS["merged"], "clippy + beer", MEDIUM)
    box(axes, 2.0, 0.2, 1.7, 0.5, COLOURS["merged"], "merged", LARGE, weight="bold")
    edge(axes, (0.8, 3.25), (1.25, 2.27), rf"$\alpha$ = {FIRST_ALPHA}", -1)
    edge(axes, (2.25, 3.25), (1.8, 2.27), rf"1 − $\alpha$ = {1 - FIRST_ALPHA:.1f}", 1)
    edge(axes, (1.6, 1.75), (2.5, 0.72), rf"$\alpha$ = {SECOND_ALPHA}", -1)
    edge(axes, (3.95, 3.25), (3.2, 0.72), rf"1 − $\alpha$ = {1 - SECOND_ALPHA:.2f}", 1)


def shares():
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
    for row, (name, (share, product)) in enumerate(shares().items()):
        style = {"facecolor": tint(COLOURS[name]), "edgecolor": COLOURS[name], "linewidth": 1.6}
        axes.add_patch(Rectangle((x, 2.15), width * share, 0.85, **style))
        write(axes, x + width * share / 2, 2.575, f"{name}\n{share:.2f}", MEDIUM)
        write(axes, 5.4, 1.65 - row * 0.42, f"{name}:", MEDIUM, ha="left")
        write(axes, 8.8, 1.65 - row * 0.42, f"{product} = {share:.2f}", MEDIUM, ha="right")
        x += width * share
    return figure


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


def bars_picture(axes, x, y):
    """Draw the time of a merge as a short bar under the long ones of naive code, centred on x."""
    for row, (width, colour) in enumerate(((0.16, COLOURS["merged"]), (0.8, "#D55E00"), (1.2, "#D55E00"))):
        axes.add_patch(Rectangle((x - 0.6, y + 0.2 * row), width, 0.13, facecolor=colour))


def own_picture(axes, x, y):
    """Draw two models of the reader's and a merge of both, centred on x."""
    stacks_picture(axes, x - 0.32, y, ["first"] * 3, ["second"] * 3)
    arrow(axes, (x + 0.14, y + 0.24), (x + 0.34, y + 0.24))
    stacks_picture(axes, x + 0.6, y, ["merged"] * 3)


def series_map():
    """Draw the map of the series: two rows of boxes, one for each notebook, with what is learned there."""
    figure, axes = canvas(7.9, 5.5)
    corners = [(0.96 + 1.97 * (place % 4), 0.1 if place > 3 else 2.9) for place in range(len(STEPS))]
    for place, ((middle, bottom), (label, title, lesson)) in enumerate(zip(corners, STEPS)):
        colour = COLOURS["base" if place < 2 else "merged"]
        box(axes, middle - 0.86, bottom, 1.72, 2.5, colour, strength=0.1)
        write(axes, middle, bottom + 2.26, label, LARGE, weight="bold")
        write(axes, middle, bottom + 1.8, title, SMALL, weight="bold")
        write(axes, middle, bottom + 0.32, lesson, SMALL)
        if place % 4:
            arrow(axes, (middle - 1.11, bottom + 1.25), (middle - 0.86, bottom + 1.25))
    pictures = (
        lambda x, y: stacks_picture(axes, x, y, ["base"] * 3, ["clippy"] * 3, ["beer"] * 3),
        lambda x, y: text_picture(axes, x, y),
        lambda x, y: stacks_picture(axes, x, y, ["merged"] * 4),
        lambda x, y: stacks_picture(axes, x, y, ["merged", "clippy"] * 2, ["clippy", "merged"] * 2),
        lambda x, y: tree_picture(axes, x, y),
        lambda x, y: barrier_picture(axes, x, y),
        lambda x, y: bars_picture(axes, x, y),
        lambda x, y: own_picture(axes, x, y),
    )
    for picture, (middle, bottom) in zip(pictures, corners):
        picture(middle, bottom + 0.87)
    return figure


def measured_sweep():
    """Gain kept of each specialist in 21 merges of the shipped clippy and beer, measured while drawing."""
    models, texts = helpers.load_models("tiny"), helpers.heldout_texts()
    (base, tokenizer), (clippy, _), (beer, _) = models.values()
    alphas = [i / 20 for i in range(21)]
    bits = lambda model, kind: helpers.bits_per_byte(model, tokenizer, texts[kind])
    kept = {"code": [], "beer": []}
    ends = {"code": (bits(base, "code"), bits(clippy, "code")), "beer": (bits(base, "beer"), bits(beer, "beer"))}
    merged = helpers.merge_models(clippy, beer, 0.5)
    for alpha in alphas:
        helpers.merge_models(clippy, beer, alpha, out=merged)
        for kind in kept:
            kept[kind].append(helpers.gain_kept(*ends[kind], bits(merged, kind)))
    return alphas, kept


def sweep():
    """Draw what the series arrives at: how much of both skills every merge of clippy and beer keeps."""
    alphas, kept = measured_sweep()
    figure = Figure(figsize=(9.6, 4.4), facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(1, color="grey", linewidth=1, linestyle=":")
    axes.axhline(0, color="grey", linewidth=1, linestyle=":")
    for kind, label, at in (("code", "clippy's skill: Python", 12), ("beer", "beer's skill: recipes", 4)):
        colour = COLOURS["clippy" if kind == "code" else "beer"]
        axes.plot(alphas, kept[kind], color=colour, linewidth=3, marker="s" if kind == "code" else "^", markersize=7)
        axes.annotate(
            label,
            (alphas[at], kept[kind][at]),
            xytext=(0, -26 if kind == "code" else 14),
            color=INK,
            textcoords="offset points",
            fontsize=SMALL,
            ha="left",
        )
    worse = [min(pair) for pair in zip(*kept.values())]
    best = worse.index(max(worse))
    axes.axvline(alphas[best], color=COLOURS["merged"], linewidth=2, linestyle="--")
    axes.annotate(
        f"alpha = {alphas[best]:.2f} keeps {kept['code'][best]:.0%} and {kept['beer'][best]:.0%}",
        (alphas[best], -0.5),
        xytext=(-8, 0),
        textcoords="offset points",
        fontsize=SMALL,
        ha="right",
    )
    axes.set_ylim(top=1.25)
    axes.set_xlabel("alpha: 0 is all beer, 1 is all clippy", fontsize=SMALL)
    axes.set_ylabel("share of the specialist's gain", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    return figure


FIGURES = {
    "sweep.png": sweep,
    "introduction.png": introduction,
    "average.png": average,
    "selection.png": selection,
    "tree.png": hierarchy,
    "map.png": series_map,
}


def main():
    """Draw every figure and save it without a version stamp, so that redrawing gives no diff."""
    for name, draw in FIGURES.items():
        draw().savefig(HERE / name, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
