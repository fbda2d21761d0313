"""The pictures of the notebook about a real language model: what its merges write."""

from lessons.figures.base import HALO, new_figure, show_figure
from lessons.figures.palette import COLOURS, MARKERS

KINDS = {"code": "clippy", "beer": "beer", "english": "base"}  # text -> the model whose colour and marker it has


def averages(rows):
    """The rows of measured.json that are averages of clippy and beer, from alpha = 0 to 1."""
    return sorted((row for row in rows if row["point"].startswith("alpha ")), key=lambda row: row["clippy"])


def draw_written(rows, samples, recounted=()):
    """Two panels over alpha, the share of clippy: bits per byte on three texts, and shares of valid text.

    rows: of measured.json, see training/measure_smollm2.py; samples: how many texts a share was counted on. The bands
    are one standard deviation of such a count. recounted: (alpha, share of valid functions, of valid recipes, ...)
    that were counted just now, drawn as open marks.
    """
    found = averages(rows)
    alphas = [row["clippy"] for row in found]
    figure, (left, right) = new_figure(12, 4.4, columns=2)
    for kind, model in KINDS.items():
        bits = [row["bits"][kind] for row in found]
        left.plot(alphas, bits, color=COLOURS[model], marker=MARKERS[model], markersize=8, linewidth=2)
        left.annotate(kind, (1, bits[-1]), (12, -4), textcoords="offset points", fontsize=12, color=COLOURS[model])
    draw_shares(right, found, samples)
    for place, model in ((2, "beer"), (1, "clippy")):
        again = dict(color=COLOURS[model], marker=MARKERS[model], markersize=15, linestyle="", fillstyle="none")
        right.plot([each[0] for each in recounted], [each[place] for each in recounted], **again)
    left.set_ylabel("bits per byte (lower is better)", fontsize=12)
    left.margins(x=0.14)
    left.set_xlabel("alpha: beer at 0, clippy at 1", fontsize=12)
    show_figure(figure, f"Left: bits per byte on code, beer and English over alpha. Right: {shares_in_words(found)}")


def draw_shares(ax, found, samples):
    """Draw the shares of valid functions and of valid recipes of averages over alpha, with their bands."""
    alphas = [row["clippy"] for row in found]
    for what, model, at in (("recipes", "beer", 0), ("functions", "clippy", 1)):
        values = [row["reported"][what] for row in found]
        spread = [(p * (1 - p) / samples) ** 0.5 for p in values]
        low, high = ([p + sign * s for p, s in zip(values, spread)] for sign in (-1, 1))
        ax.fill_between(alphas, low, high, color=COLOURS[model], alpha=0.2, linewidth=0)
        ax.plot(alphas, values, color=COLOURS[model], marker=MARKERS[model], markersize=8, linewidth=2)
        ax.text(at, 1.09, f"valid {what}", ha="right" if at else "left", fontsize=12, color=COLOURS[model])
    ax.set_ylim(-0.03, 1.16)
    ax.set_ylabel(f"share of {samples} samples", fontsize=12)
    ax.set_xlabel("alpha: beer at 0, clippy at 1", fontsize=12)


def shares_in_words(found):
    """What draw_shares draws, in words."""
    shares = "; ".join(
        f"{row['clippy']}: {row['reported']['functions']:.2f}, {row['reported']['recipes']:.2f}" for row in found
    )
    return f"shares of valid functions and of valid recipes over alpha:\n{shares}."


def draw_both(rows, samples, chosen):
    """Every merge as a point: its share of valid functions against its share of valid recipes; the corner has both.

    rows, samples: as in draw_written; averages are joined by a line, sums of task vectors are diamonds. chosen:
    point -> its label, on its right for the first and on its left for the second.
    """
    figure, ax = both_figure(rows, samples, chosen)
    words = "; ".join(
        f"{row['point']}: {row['reported']['functions']:.2f} and {row['reported']['recipes']:.2f}" for row in rows
    )
    show_figure(figure, f"Shares of valid functions and of valid recipes of each merge, {words}.")


def both_figure(rows, samples, chosen):
    """The figure of draw_both, and its axes."""
    figure, ax = new_figure(8, 5.6)
    place = lambda row: (row["reported"]["functions"], row["reported"]["recipes"])
    line = [place(row) for row in averages(rows)]
    ax.plot(*zip(*line), color=COLOURS["merged"], marker="o", markersize=6, linewidth=1.5)
    sums = [place(row) for row in rows if row["point"].startswith("task arithmetic")]
    ax.plot(
        *zip(*sums), color=COLOURS["merged"], marker=MARKERS["merged"], markersize=7, linestyle="", fillstyle="none"
    )
    beside = lambda place, words, left, low, **look: ax.annotate(
        words, place, (-14 if left else 14, -18 if low else 10), textcoords="offset points", fontsize=12,
        ha="right" if left else "left", path_effects=HALO, **look,
    )  # fmt: skip
    for label, at in {"beer": line[0], "clippy": line[-1]}.items():
        ax.plot(*at, color=COLOURS[label], marker=MARKERS[label], markersize=12, linestyle="")
        beside(at, label, label == "clippy", label == "beer", color=COLOURS[label])
    for i, (point, words) in enumerate(chosen.items()):
        (at,) = (place(row) for row in rows if row["point"] == point)
        ax.plot(*at, color=COLOURS["merged"], marker=MARKERS["merged"], markersize=12, linestyle="")
        beside(at, words, i % 2, True)
    ax.set(xlim=(-0.04, 1.2), ylim=(-0.04, 1.12))
    ax.set_xlabel(f"share of {samples} functions that are valid", fontsize=12)
    ax.set_ylabel(f"share of {samples} recipes that are valid", fontsize=12)
    return figure, ax
