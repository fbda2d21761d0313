"""The pictures of notebooks 08 and 09: where methods land in the plane of base, clippy and beer, and what they keep."""

import math
import statistics

from lessons.figures.base import HALO, beside, new_figure, plane_grid, show_figure
from lessons.figures.palette import COLOURS, HATCHES, MARKERS
from merging.measure.counts import count_in_words, wilson


def draw_map(ticks, worse, ways, landed, lams, kept):
    """Left: the plane of base, clippy and beer with the worse gain kept as contours. Right: the gains on its diagonal.

    worse: for each y of ticks (share of beer's way from base) and each x (of clippy's) the worse of the two gains kept.
    ways: clippy's way from base and beer's, all numbers of each as one vector. landed: method -> (x, y). lams, kept:
    points (lam, lam) of the diagonal, and (clippy's gain kept, beer's) at each.
    """
    figure, (plane, diagonal) = new_figure(13, 4.8, columns=2)
    together = joined(landed)
    draw_landings(plane, ticks, worse, ways, together)
    draw_diagonal(diagonal, lams, kept, together)
    words = ", ".join(f"{name} at ({x:.2f}, {y:.2f})" for name, (x, y) in landed.items())
    best = max(range(len(lams)), key=lambda i: min(kept[i]))
    show_figure(
        figure,
        f"In shares of clippy's and of beer's way from base, the methods land so:\n{words}. On the diagonal the worse "
        f"gain is largest at lambda {lams[best]}, where {min(kept[best]):.2f} is kept.",
    )


def draw_landings(plane, ticks, worse, ways, together):
    """The worse gain kept as contours, and base, clippy, beer and the methods as points; see draw_map."""
    dot = lambda one, other: (one * other).sum().item()  # exact enough for the numbers of a whole model, as @ is not
    lengths = [dot(way, way) ** 0.5 for way in ways]
    xs, ys, place = plane_grid(ticks, *lengths, dot(*ways))
    levels = [0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9]
    plane.contourf(xs, ys, worse, levels=levels, colors=[str(0.6 + i / 18) for i in range(7)], extend="both")
    plane.clabel(plane.contour(xs, ys, worse, levels=levels, colors="grey"), fontsize=9, fmt="%.1f", colors="black")
    corners = {"base": (0, 0), "clippy": (1, 0), "beer": (0, 1)}
    plane.plot(*zip(place(0, 0), place(ticks[-1], ticks[-1])), color="black", linewidth=1, linestyle=":")
    for name, point in (corners | together).items():
        mark = dict(color=COLOURS.get(name, COLOURS["merged"]), marker=MARKERS.get(name, "D"))
        plane.plot(*place(*point), **mark, markersize=9, linestyle="", zorder=5)
    put_names(plane, {name: place(*point) for name, point in (corners | together).items()})
    plane.set_title("worse of the two gains kept")
    plane.set_xlabel("along clippy's way from base", fontsize=12)
    plane.set_ylabel("across it", fontsize=12)


def draw_diagonal(diagonal, lams, kept, together):
    """Both gains kept over lambda, and a line where each method lands; see draw_map."""
    for model, gains in zip(("clippy", "beer"), zip(*kept)):
        diagonal.plot(lams, gains, color=COLOURS[model], marker=MARKERS[model], markersize=6, linewidth=2)
        last = max((i for i, gain in enumerate(gains) if gain > 0), default=0)
        beside(diagonal, f"{model}'s", (lams[last], gains[last]), (9, 3))
    for name, (x, y) in together.items():
        diagonal.axvline((x + y) / 2, color=COLOURS["merged"], linewidth=1.5, zorder=0)
        diagonal.text(
            (x + y) / 2, 0.02, f"{name} ", rotation=90, ha="right", va="bottom", fontsize=11, path_effects=HALO
        )
    diagonal.set_ylim(0, 1.05)
    diagonal.set_xlim(0, lams[-1] + 0.12)
    diagonal.set_title("along the dotted line")
    diagonal.set_xlabel("lambda of both task vectors", fontsize=12)
    diagonal.set_ylabel("gain kept", fontsize=12)


def spread(gains):
    """Each of the two gains kept as "lowest to highest" over the seeds; gains: (clippy's, beer's) of each seed."""
    ends = [(f"{min(each):.2f}", f"{max(each):.2f}") for each in zip(*gains)]
    return [low if low == high else f"{low} to {high}" for low, high in ends]


def joined(points, near=0.02):
    """Points that fall together get one name."""
    groups = {}
    for name, point in points.items():
        twin = next((other for other in groups if math.dist(groups[other], point) < near), None)
        groups[name if twin is None else f"{twin}, {name}"] = point if twin is None else groups.pop(twin)
    return groups


FAR = 0.4  # the left picture shows methods that keep at least this share of both gains
LEAST = 0.2  # and its axes span at least this much, so that what is nearly equal looks so


def draw_methods(measured, names=None):
    """What each method keeps of the two gains, and what share of its functions and recipes is valid.

    measured: of measured_methods, or a dict with its "table": method -> {"kept": [(clippy's gain, beer's), one for each
    seed], "valid": (functions, recipes)}, in which "clippy" and "beer" are the models themselves, on the right only;
    its "rivals", if there are any, in the same form; and its "samples": {"functions": how many for each seed, ...}.
    names: only these methods, and the two models. Grey dots are single seeds, whiskers 95 % intervals.
    """
    table = measured["table"] | measured.get("rivals", {})
    table = {name: row for name, row in table.items() if names is None or name in (*COLOURS, *names)}
    figure, (left, right) = new_figure(13, 0.42 * len(table) + 1.4, columns=2, width_ratios=(1.2, 1))
    means = {name: tuple(map(statistics.mean, zip(*row["kept"]))) for name, row in table.items() if name not in COLOURS}
    near = {name: point for name, point in means.items() if min(point) >= FAR}
    for name, point in near.items():
        left.plot(*point, color=COLOURS["merged"], marker="D", markersize=10, linestyle="", zorder=8)
        for seed in table[name]["kept"]:
            left.plot(*zip(point, seed), color="grey", marker=".", linewidth=1, zorder=2)
    left.margins(0.25, 0.1)
    for low, high, limit in ((*left.get_xlim(), left.set_xlim), (*left.get_ylim(), left.set_ylim)):
        margin = max(0, LEAST - (high - low)) / 2
        limit(low - margin, high + margin)
    put_names(left, near)
    left.set_xlabel("clippy's gain kept", fontsize=12)
    left.set_ylabel("beer's gain kept", fontsize=12)
    counts = {name: counted(row, measured["samples"]) for name, row in table.items()}
    draw_valid(right, counts)
    words = "; ".join(
        f"{name} keeps {code:.2f} and {beer:.2f}, writes {' and '.join(count_in_words(*each) for each in counts[name])}"
        for name, (code, beer) in means.items()
    )
    far = [name for name in means if name not in near]
    left_out = f" Not on the left, because they keep less: {', '.join(far)}." if far else ""
    show_figure(figure, f"Gains kept of clippy and beer, and valid functions and recipes: {words}.{left_out}")


def counted(row, samples):
    """((valid functions, of how many), (valid recipes, of how many)) of a method, over all of its seeds."""
    sizes = [len(row["kept"]) * samples[what] for what in ("functions", "recipes")]
    return tuple((round(share * n), n) for share, n in zip(row["valid"], sizes))


def all_drawn(measured):
    """A function of a method: (valid functions, of how many), the table's and those of the grid at the chosen knob.

    The grid's were drawn with another seed. Clippy and beer have no knob, and so only the table's.
    """

    def pooled(name):
        row, grid = measured["table"][name], measured["grid"].get(name)
        (passed, n), _ = counted(row, measured["samples"])
        if grid is None:
            return passed, n
        more = measured["samples"]["functions"]
        return passed + round(more * grid["valid"][grid["values"].index(row["value"])][0]), n + more

    return pooled


def method_rows(measured, names):
    """A row for each method: name, both gains kept, and counts of valid functions and recipes with their intervals."""
    rows = measured["table"] | measured.get("rivals", {})
    in_words = lambda row: [count_in_words(*count) for count in counted(row, measured["samples"])]
    return [[name, *spread(rows[name]["kept"]), *in_words(rows[name])] for name in names]


def draw_valid(ax, counts):
    """Two bars with whiskers for each name: its share of valid functions and of valid recipes; counts: of counted."""
    rows = range(len(counts))
    for i, (what, model) in enumerate((("functions", "clippy"), ("recipes", "beer"))):
        heights, pairs = [row + 0.4 * i for row in rows], [each[i] for each in counts.values()]
        bars, ends = [passed / n for passed, n in pairs], [wilson(*pair) for pair in pairs]
        ax.barh(heights, bars, 0.38, color=COLOURS[model], hatch=HATCHES[model], edgecolor="white")
        sides = [[bar - low for bar, (low, _) in zip(bars, ends)], [high - bar for bar, (_, high) in zip(bars, ends)]]
        ax.errorbar(bars, heights, xerr=sides, fmt="none", color="black", capsize=2, linewidth=1)
        for height, (passed, n), (_, high) in zip(heights, pairs, ends):
            beside(ax, f"{passed}/{n}", (high, height), (4, -4), 9)
        ax.plot([], [], "s", color=COLOURS[model], label=f"valid {what}")
    ax.set_yticks([row + 0.2 for row in rows], list(counts), fontsize=11)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12)
    ax.set_xlabel("share of samples, with 95 % interval", fontsize=12)
    ax.legend(fontsize=10, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, columnspacing=1)


# A name stands right of its mark, these elsewhere: there none covers another of the stored measurements.
ABOVE, BELOW, LEFT = ("Iso-C", "two lambdas"), ("average", "DARE"), ("SLERP",)


def put_names(ax, points):
    """Write its name beside each point."""
    for name, point in points.items():
        up, side = 11 * ((name in ABOVE) - (name in BELOW)), -1 if name in LEFT else 1
        aside = dict(ha="right" if name in LEFT else "left", va="center")
        anchor = dict(ha="center", va="bottom" if up > 0 else "top") if up else aside
        beside(ax, name, point, (0 if up else 10 * side, up), 11, **anchor, path_effects=HALO, zorder=6)
