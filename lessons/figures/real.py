"""The pictures of the notebook about a real language model: what its merges can do."""

from lessons.figures.base import HALO, new_figure, show_figure
from lessons.figures.palette import COLOURS, MARKERS
from lessons.measured import averages, pass_at_1, recipes, style

SKILLS = {"functions that work": ("clippy", pass_at_1), "checks of style held": ("beer", style)}


def draw_skills(rows, chosen=None, rival=None, recounted=()):
    """Two curves over alpha, the share of clippy: functions that work and checks of style held.

    Dashed are valid recipes. rows: of measured.json, see training/measure_smollm2.py; the bands are 95 % intervals.
    chosen: an alpha to mark; rival: (words, share) of a line to compare functions with, or (words, share, low, high).
    recounted: (alpha, share of functions, share of checks) counted just now, as open marks.
    """
    figure, ax = new_figure(9.6, 4.6)
    skills_on(ax, averages(rows), chosen, rival)
    for place, model in ((2, "beer"), (1, "clippy")):
        again = dict(color=COLOURS[model], marker=MARKERS[model], markersize=15, linestyle="", fillstyle="none")
        ax.plot([each[0] for each in recounted], [each[place] for each in recounted], **again)
    show_figure(figure, skills_in_words(averages(rows)))


def skills_on(ax, found, chosen=None, rival=None):
    """Draw both skills of averages over alpha on an axes."""
    alphas = [row["clippy"] for row in found]
    for at, (words, (model, count)) in enumerate(SKILLS.items()):
        values, lows, highs = zip(*map(count, found))
        ax.fill_between(alphas, lows, highs, color=COLOURS[model], alpha=0.2, linewidth=0)
        ax.plot(alphas, values, color=COLOURS[model], marker=MARKERS[model], markersize=8, linewidth=2)
        ax.text(1 - at, 1.09, words, ha="left" if at else "right", fontsize=12, color=COLOURS[model])
    valid, *ends = zip(*map(recipes, found))
    ax.fill_between(alphas, *ends, color=COLOURS["beer"], alpha=0.1, linewidth=0)
    ax.plot(alphas, valid, color=COLOURS["beer"], linestyle="--", linewidth=1.5)
    beside = dict(textcoords="offset points", fontsize=12, color=COLOURS["beer"])
    ax.annotate("valid recipes", (alphas[0], valid[0]), (4, -16), **beside)
    if rival:
        words, share, *ends = rival
        ax.axhline(share, color=COLOURS["base"], linewidth=1.5, linestyle=":")
        ax.annotate(words, (0, share), (4, 5), textcoords="offset points", fontsize=12, color=COLOURS["base"])
        if ends:
            ax.errorbar(-0.03, share, [[share - ends[0]], [ends[1] - share]], color=COLOURS["base"], fmt="none")
    if chosen is not None:
        ax.axvline(chosen, color=COLOURS["merged"], linewidth=2, linestyle="--")
    ax.set_ylim(-0.03, 1.16)
    ax.set_ylabel("share, with 95 % interval", fontsize=12)
    ax.set_xlabel("alpha: beer at 0, clippy at 1", fontsize=12)


def skills_in_words(rows):
    """What draw_skills draws, in words."""
    each = "; ".join(f"{row['clippy']}: {pass_at_1(row)[0]:.2f}, {style(row)[0]:.2f}" for row in rows)
    return f"Shares of functions that work and of checks of style held over alpha:\n{each}."


def draw_both(rows, chosen):
    """Every merge as a point: its share of functions that work against its share of checks of style held.

    rows: as in draw_skills; averages are joined by a line, sums of task vectors are diamonds. chosen: point -> its
    label, on its right for the first and on its left for the second; the first has its 95 % intervals.
    """
    figure, ax = both_figure(rows, chosen)
    words = "; ".join(f"{row['point']}: {pass_at_1(row)[0]:.2f} and {style(row)[0]:.2f}" for row in rows)
    show_figure(figure, f"Shares of functions that work and of checks of style held of each merge, {words}.")


def both_figure(rows, chosen):
    """The figure of draw_both, and its axes."""
    figure, ax = new_figure(8, 5.6)
    place = lambda row: (pass_at_1(row)[0], style(row)[0])
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
        (row,) = (row for row in rows if row["point"] == point)
        at = place(row)
        ax.plot(*at, color=COLOURS["merged"], marker=MARKERS["merged"], markersize=12, linestyle="")
        if not i:
            ends = [[[abs(end - share)] for end in ends] for share, *ends in (pass_at_1(row), style(row))]
            ax.errorbar(*at, xerr=ends[0], yerr=ends[1], color=COLOURS["merged"], linewidth=1, capsize=4)
        beside(at, words, i % 2, True)
    ax.set(xlim=(-0.04, 0.6), ylim=(-0.04, 0.7))
    ax.set_xlabel("share of functions that work", fontsize=12)
    ax.set_ylabel("share of checks of style that hold", fontsize=12)
    return figure, ax
