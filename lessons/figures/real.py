"""The pictures of a real language model: what its merges can do, and how many specialists an average holds."""

from statistics import fmean, linear_regression

from lessons.figures.base import HALO, beside, new_figure, show_figure
from lessons.figures.palette import COLOURS, MARKERS
from lessons.measured import averages, difference, pass_at_1, recipes, style
from merging.measure.bits import gain_kept
from merging.measure.counts import share_in_words

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
        ax.text(1 - at, 1.12, words, ha="left" if at else "right", fontsize=12, color=COLOURS[model])
    valid, *ends = zip(*map(recipes, found))
    ax.fill_between(alphas, *ends, color=COLOURS["beer"], alpha=0.1, linewidth=0)
    ax.plot(alphas, valid, color=COLOURS["beer"], linestyle="--", linewidth=1.5)
    beside(ax, "valid recipes", (alphas[0], valid[0]), (4, -16), color=COLOURS["beer"])
    if rival:
        words, share, *ends = rival
        ax.axhline(share, color=COLOURS["base"], linewidth=1.5, linestyle=":")
        beside(ax, words, (0, share), (4, 5), color=COLOURS["base"])
        if ends:
            ax.errorbar(-0.03, share, [[share - ends[0]], [ends[1] - share]], color=COLOURS["base"], fmt="none")
    if chosen is not None:
        ax.axvline(chosen, color=COLOURS["merged"], linewidth=2, linestyle="--")
    ax.set(ylim=(-0.03, 1.22), yticks=[i / 5 for i in range(6)])
    ax.set_ylabel("share, with 95 % interval", fontsize=12)
    ax.set_xlabel("alpha: beer at 0, clippy at 1", fontsize=12)


def skills_in_words(rows):
    """What draw_skills draws, in words."""
    return f"Shares of functions that work and of checks of style held over alpha:\n{both_in_words(rows, 'clippy')}."


def both_in_words(rows, name):
    """Both shares of each row with their intervals, behind what stands in the row under this name."""
    both = lambda row: " and ".join(share_in_words(*count(row)) for _, count in SKILLS.values())
    return "; ".join(f"{row[name]}: {both(row)}" for row in rows)


def draw_both(rows, chosen):
    """Averages and sums of task vectors as points: functions that work against checks of style held.

    rows: as in draw_skills; averages are joined by a line, sums of task vectors are diamonds. chosen: point -> its
    label, on its right for the first and on its left for the second; the first has its 95 % intervals.
    """
    figure, ax = both_figure(rows, chosen)
    words = both_in_words(averages(rows) + sums_of_steps(rows), "point")
    show_figure(figure, f"Shares of functions that work and of checks of style held of each merge, {words}.")


def sums_of_steps(rows):
    """The rows that are sums of task vectors."""
    return [row for row in rows if row["point"].startswith("task arithmetic")]


def both_figure(rows, chosen):
    """The figure of draw_both, and its axes."""
    figure, ax = new_figure(8, 5.6)
    place = lambda row: (pass_at_1(row)[0], style(row)[0])
    line = [place(row) for row in averages(rows)]
    ax.plot(*zip(*line), color=COLOURS["merged"], marker="o", markersize=6, linewidth=1.5)
    sums = [place(row) for row in sums_of_steps(rows)]
    ax.plot(
        *zip(*sums), color=COLOURS["merged"], marker=MARKERS["merged"], markersize=7, linestyle="", fillstyle="none"
    )
    name = lambda at, words, left, low, **look: beside(
        ax, words, at, (-14 if left else 14, -18 if low else 10), ha="right" if left else "left", **look
    )
    for label, at in {"beer": line[0], "clippy": line[-1]}.items():
        ax.plot(*at, color=COLOURS[label], marker=MARKERS[label], markersize=12, linestyle="")
        name(at, label, label == "clippy", label == "beer", path_effects=HALO, color=COLOURS[label])
    for i, (point, words) in enumerate(chosen.items()):
        (row,) = (row for row in rows if row["point"] == point)
        at = place(row)
        ax.plot(*at, color=COLOURS["merged"], marker=MARKERS["merged"], markersize=12, linestyle="")
        if not i:
            ends = [[[abs(end - share)] for end in ends] for share, *ends in (pass_at_1(row), style(row))]
            ax.errorbar(*at, xerr=ends[0], yerr=ends[1], color=COLOURS["merged"], linewidth=1, capsize=4)
        name(at, words, i % 2, True, path_effects=HALO)
    ax.set(xlim=(-0.04, 0.6), ylim=(-0.04, 0.7))
    ax.set_xlabel("share of functions that work", fontsize=12)
    ax.set_ylabel("share of checks of style that hold", fontsize=12)
    return figure, ax


def draw_real_methods(rows, rival="average"):
    """What the merges of each method do, with 95 % intervals: functions that work, checks of style held, and how many
    functions more or fewer than a rival's, task by task.

    rows: name -> row, as in draw_skills. The two specialists have their colours; dotted is the rival.
    """
    figure, axes = new_figure(13, 0.42 * len(rows) + 1.2, columns=3)
    more = lambda row: difference(row, rows[rival])
    counts = (pass_at_1, style, more)
    for ax, title, count in zip(axes, (*SKILLS, f"functions, minus the {rival}'s"), counts):
        for at, (name, row) in enumerate(rows.items()):
            if not (name == rival and count is more):
                share, low, high = count(row)
                look = dict(color=COLOURS.get(name, COLOURS["merged"]), marker=MARKERS.get(name, MARKERS["merged"]))
                ax.errorbar(share, at, xerr=[[share - low], [high - share]], **look, markersize=8, capsize=3)
        ax.axvline(count(rows[rival])[0], color="grey", linewidth=1, linestyle=":", zorder=0)
        ax.set_title(title, fontsize=12)
        ax.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-0.3, 0.3) if count is more else (-0.03, 0.63))
        ax.set_yticks(range(len(rows)), list(rows) if ax is axes[0] else [""] * len(rows), fontsize=12)
    words = both_in_words([{**row, "method": name} for name, row in rows.items()], "method")
    show_figure(figure, f"Shares of functions that work and of checks of style held: {words}.")


def draw_number(rows):
    """What averages keep over k, the number of specialists in them: each one's own gain, and the mean of all bits.

    rows: of models/smollm2/three.json, see training/measure_three.py. Small marks are the sets of specialists, lines
    their means; dotted is 1/k on the left, and on the right the line floor + A / k that fits the means best.
    """
    figure, (left, right) = new_figure(12, 4.4, columns=2)
    words = f"{gains_on(left, rows)}; mean bits {bits_on(right, rows)}"
    for ax in (left, right):
        ax.set(xlim=(0.8, 3.7), ylim=(0, None), xticks=(1, 2, 3))
        ax.set_xlabel("k, the number of specialists in the average", fontsize=12)
    show_figure(figure, f"For averages of 1, 2 and 3 specialists: {words}.")


def gains_on(ax, rows):
    """Draw each specialist's gain kept over k, and say it in words."""
    alone = {row["members"][0]: row["bits"] for row in rows if len(row["members"]) == 1}
    base, means = rows[0]["bits"], {}
    for i, name in enumerate(alone):
        keeps = lambda row: gain_kept(base[name], alone[name][name], row["bits"][name])
        means[name] = means_over([row for row in rows if name in row["members"]], keeps, ax, name, 0.04 * (i - 1))
    for i, name in enumerate(sorted(means, key=lambda name: means[name][-1])):
        label_right(ax, name, (3, means[name][-1]), COLOURS[name], 6 * (i - 1))
    ax.plot((1, 2, 3), (1, 1 / 2, 1 / 3), color="grey", linestyle=":")
    label_right(ax, "1/k", (3, 1 / 3), "grey")
    ax.set_ylabel("gain kept on its own text", fontsize=12)
    words = lambda name: f"{name}'s gain kept {', '.join(f'{mean:.2f}' for mean in means[name])}"
    return "; ".join(map(words, means))


def bits_on(ax, rows):
    """Draw the mean bits of the three texts over k with the line floor + A / k, and say them in words."""
    base = fmean(rows[0]["bits"].values())
    means = means_over(rows, lambda row: fmean(row["bits"].values()), ax, "merged")
    slope, floor = linear_regression((1, 1 / 2, 1 / 3), means)
    ax.plot((1, 2, 3), [floor + slope / k for k in (1, 2, 3)], color="grey", linestyle=":")
    ax.axhline(base, color=COLOURS["base"], linewidth=1)
    beside(ax, "base", (1, base), (0, 5))
    ax.set_ylabel("bits per byte, mean of the three texts", fontsize=12)
    return f"{', '.join(f'{mean:.3f}' for mean in means)} (base {base:.3f})"


def means_over(rows, value, ax, name, aside=0):
    """The mean of a value over the averages of 1, 2 and 3, drawn as a line, with a small mark for each average."""
    by_size = {
        k: [value(row) for row in rows if row["way"] == "average" and len(row["members"]) == k] for k in (1, 2, 3)
    }
    look = dict(color=COLOURS[name], marker=MARKERS[name])
    means = [fmean(values) for values in by_size.values()]
    ax.plot([k + aside for k in by_size], means, **look, markersize=9, linewidth=2)
    dots = [(k + aside, value) for k, values in by_size.items() for value in values]
    ax.plot(*zip(*dots), **look, markersize=5, linestyle="", alpha=0.5)
    return means


def label_right(ax, words, place, color, up=0):
    """Write words right of a place, and some points above it."""
    beside(ax, words, place, (12, up - 4), color=color, path_effects=HALO)
