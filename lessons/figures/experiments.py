"""The pictures of the experiments in notebooks 05 to 10: soups, swapped neurons, the plane of three models and the
paths between them, merges beside ensembles, what a merge costs, and averages between two gains. Each brings its alt
text.
"""

import math

from lessons.figures.base import HALO, bar_chart, beside, new_figure, plane_grid, show_figure
from lessons.figures.palette import COLOURS, MARKERS, WARM


def draw_gains(kept):
    """Bars of merges; kept: name -> (share of clippy's gain kept, share of beer's)."""
    figure, ax = new_figure(9, 4)
    clippy, beer = zip(*kept.values())
    bar_chart(ax, list(kept), {"clippy": clippy, "beer": beer}, "share of the specialist's gain kept")
    ax.axhline(1, color="grey", linestyle=":", linewidth=1)
    ax.set_ylim(0, 1.3)
    numbers = "; ".join(f"{name}: clippy's {code:.2f}, beer's {recipes:.2f}" for name, (code, recipes) in kept.items())
    show_figure(figure, f"Bars of the gains kept by {len(kept)} merges. {numbers}.")


# name -> (weights in, weight out, colour); averaged seat by seat, both become (3, 2) and 4
NEURONS = {"A": ((2, -4), 3, "#555555"), "B": ((4, 8), 5, WARM), "A, B": ((3, 2), 4, COLOURS["merged"])}


def draw_swap():
    """Two hidden neurons, the same two with their seats changed, and the average of both, seat by seat."""
    panels = {
        "a model": ("A", "B"),
        "seats changed: the same function": ("B", "A"),
        "their average, seat by seat: another function": ("A, B", "A, B"),
    }
    figure, axes = new_figure(13, 3.3, columns=3)
    words = []
    for ax, (title, seats) in zip(axes, panels.items()):
        terms = [f"{out} f({x}x + {y}y)" for (x, y), out, _ in map(NEURONS.get, seats)]
        formula = " + ".join(terms).replace("+ -", "- ")
        words.append(f"{title}: {formula}")
        ax.set_title(f"{title}\n{formula}", fontsize=12)
        draw_network(ax, seats)
    show_figure(figure, f"Two hidden neurons with their weights, three times. {'; '.join(words)}.")


def draw_network(ax, seats):
    """Inputs x and y, the two named neurons from top to bottom, one output, and the weight on each line."""
    for name, height in zip(seats, (1, 0)):
        into, out, colour = NEURONS[name]
        # start, end, weight, and how far along the line the weight stands: clear of where lines cross
        wires = ((0, 1, 1.5, height, into[0], 0.3), (0, 0, 1.5, height, into[1], 0.3), (1.5, height, 3, 0.5, out, 0.5))
        for x1, y1, x2, y2, weight, at in wires:
            ax.plot([x1, x2], [y1, y2], color=colour, linewidth=2.5, zorder=1)
            middle = x1 + at * (x2 - x1), y1 + at * (y2 - y1)
            ax.text(*middle, str(weight), fontsize=13, ha="center", va="center", color=colour, path_effects=HALO)
        ax.plot(1.5, height, "o", markersize=30, color=colour)
        ax.text(1.5, height, name, fontsize=12, ha="center", va="center", color="white")
    for name, place in {"x": (0, 1), "y": (0, 0), "out": (3, 0.5)}.items():
        ax.plot(*place, "o", markersize=30, color="white", markeredgecolor="black")
        ax.text(*place, name, fontsize=12, ha="center", va="center")
    ax.set(xlim=(-0.4, 3.4), ylim=(-0.3, 1.3))
    ax.axis("off")


def draw_plane(ticks, bits, to_clippy, to_beer):
    """Contours of the loss in the plane of base, clippy and beer, one panel a text, with true lengths and angles.

    bits: text -> bits per byte for each y of ticks (the share of beer's way from base) and each x (of clippy's).
    to_clippy, to_beer: the two ways, name -> tensor.
    """
    dot = lambda a, b: sum((a[name] * b[name]).sum().item() for name in a)
    lengths = (dot(way, way) ** 0.5 for way in (to_clippy, to_beer))
    xs, ys, place = plane_grid(ticks, *lengths, dot(to_clippy, to_beer))
    models = {"base": place(0, 0), "clippy": place(1, 0), "beer": place(0, 1), "merged": place(0.5, 0.5)}
    figure, axes = new_figure(13, 3.9, columns=3, sharey=True)
    lowest = []
    for ax, (kind, rows) in zip(axes, bits.items()):
        low, x, y = min((value, x, y) for y, row in zip(ticks, rows) for x, value in zip(ticks, row))
        lowest.append(f"{kind} {low:.2f} at {x:.2f} of clippy's way and {y:.2f} of beer's")
        levels = [low + rise for rise in (0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)]
        ax.contourf(xs, ys, rows, levels=levels, colors=[str(0.95 - i / 16) for i in range(9)], extend="max")
        lines = ax.contour(xs, ys, rows, levels=levels[1:], colors="grey")  # the lowest would be one point
        ax.clabel(lines, fontsize=9, fmt="%.2f", colors="black", manual=label_places(lines, ax, models.values()))
        for name, point in models.items():
            ax.plot(*point, color=COLOURS[name], marker=MARKERS[name], markersize=10, zorder=5)
            beside(ax, name, point, (8, 6), path_effects=HALO, zorder=6)
        ax.set(title=f"{kind}: bits per byte", xlabel="along clippy's way from base")
    axes[0].set_ylabel("across it", fontsize=12)
    show_figure(
        figure,
        "Contours of the loss in the plane of base, clippy, beer and their merge, one valley a text. The lowest "
        f"points of the grid: {'; '.join(lowest)}.",
    )


def label_places(contours, ax, taken):
    """One place on each contour, as far as can be from the taken points, whose names stand to their right."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    wide, high = right - left, top - bottom
    taken = [(x + shift * wide, y + 0.02 * high) for x, y in taken for shift in (0, 0.09, 0.18)]
    gap = lambda p, q: math.hypot((p[0] - q[0]) / wide, (p[1] - q[1]) / high)
    inside = lambda x, y: 0.05 < (x - left) / wide < 0.95 and 0.06 < (y - bottom) / high < 0.94
    places = []
    for segments in contours.allsegs:
        points = [tuple(point) for segment in segments for point in segment if inside(*point)]
        if points:
            places.append(max(points, key=lambda p: min(gap(p, q) for q in taken + places)))
    return places


def path_panels(lines, xlabel):
    """Panels of losses over alpha, one a text; lines: (name, style, colour, alphas, text -> losses) each."""
    figure, axes = new_figure(13, 3.6, columns=3)
    for name, style, colour, alphas, losses in lines:
        for ax, (kind, values) in zip(axes, losses.items()):
            ax.plot(alphas, values, style, color=colour, linewidth=3 if style == ":" else 2, label=name)
            ax.set(title=f"{kind}: bits per byte", xlabel=xlabel)
    names = dict(zip(*axes[0].get_legend_handles_labels()[::-1]))  # one entry for each name
    figure.legend(names.values(), names.keys(), loc="outside upper center", ncols=3, frameon=False, fontsize=12)
    return figure


LOOKS = (("-", COLOURS["merged"]), ("--", WARM), (":", COLOURS["base"]))


def draw_paths(curves):
    """Up to three paths from beer to clippy; curves: name -> (text -> losses at alphas that divide 0 to 1 evenly)."""
    n = len(next(iter(next(iter(curves.values())).values()))) - 1
    alphas = [i / n for i in range(n + 1)]
    lines = [(name, *look, alphas, losses) for (name, losses), look in zip(curves.items(), LOOKS)]
    middle = "; ".join(
        f"{name} " + ", ".join(f"{kind} {values[n // 2]:.2f}" for kind, values in losses.items())
        for name, losses in curves.items()
    )
    show_figure(
        path_panels(lines, "alpha: beer at 0, clippy at 1"),
        f"Bits per byte from beer to clippy, {len(curves)} curves a text. At alpha = 0.5: {middle}.",
    )


def draw_further(runs):
    """Paths from beers that were finetuned in other ways to clippy; runs: as in models/further.json."""
    looks = dict(zip(dict.fromkeys(run["run"] for run in runs), (LOOKS[1], LOOKS[0], LOOKS[2])))
    lines = [(run["run"], *looks[run["run"]], run["alphas"], run["bits"]) for run in runs]
    middle = "; ".join(
        ", ".join(
            [f"{run['run']} (seed {run['seed']})"]
            + [f"{kind} {losses[len(losses) // 2]:.2f}" for kind, losses in run["bits"].items()]
        )
        for run in runs
    )
    show_figure(
        path_panels(lines, "alpha: this beer at 0, clippy at 1"),
        f"Bits per byte from each finetuned beer to clippy, one panel a text. At alpha = 0.5: {middle}.",
    )


SPANS = {  # what merge_vs_ensemble finds -> what it is called, its colour and its marker
    "parents": ("between the two models", COLOURS["base"], "o"),
    "merge": ("of the merge from their ensemble", COLOURS["merged"], MARKERS["merged"]),
}


def draw_steps(families):
    """Divergences over the size of the step, one panel a text; families: name -> what merge_vs_ensemble found."""
    figure, axes = new_figure(13, 4, columns=3, sharey=True)
    words = []
    for (family, found), style in zip(families.items(), ("-", ":")):
        for ax, kind in zip(axes, found["merge"]):
            for what, (name, colour, marker) in SPANS.items():
                look = dict(color=colour, marker=marker, markersize=8, linewidth=2, label=f"{name}, {family}")
                ax.plot(found["steps"], found[what][kind], style, **look)
                numbers = ", ".join(f"{bits:.3f}" for bits in found[what][kind])
                words.append(f"{family}, {kind}, {name} {numbers}")
            ax.set(title=kind, yscale="log", xticks=found["steps"], xlabel="size of the step (1: as finetuned)")
    axes[0].set_ylabel("divergence, bits per token", fontsize=12)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False, fontsize=12)
    steps = ", ".join(map(str, next(iter(families.values()))["steps"]))
    show_figure(figure, f"Divergences in bits per token at steps of {steps}, one panel a text. {'; '.join(words)}.")


def draw_floor(times):
    """Bars of times as multiples of the first, the floor; ours begin with "merge". times: name -> seconds."""
    names = list(times)
    multiples = [times[name] / times[names[0]] for name in names]
    colours = [COLOURS["base"], *[COLOURS["merged"] if name.startswith("merge") else WARM for name in names[1:]]]
    figure, ax = new_figure(9, 3.4)
    ax.bar_label(ax.barh(names, multiples, color=colours), fmt="%.1f", padding=4, fontsize=11)
    ax.invert_yaxis()
    ax.margins(x=0.08)
    ax.set_xlabel("time, as multiples of the floor", fontsize=12)
    numbers = "; ".join(f"{name} {multiple:.1f}" for name, multiple in zip(names, multiples))
    show_figure(figure, f"Bars of times as multiples of the floor's. {numbers}.")


def draw_memory(curves):
    """Memory over time; curves: name -> (seconds, MB above the start) pairs, ours first."""
    figure, ax = new_figure(9, 3.6)
    for (name, samples), colour in zip(curves.items(), (COLOURS["merged"], WARM)):
        ax.plot(*zip(*samples), color=colour, linewidth=3)
        # beyond the end of its own line, which cannot cross it there
        beside(ax, name, samples[-1], (8, 0), color=colour, va="center")
    ax.margins(x=0.16, y=0.1)
    ax.set_xlim(left=0)
    ax.set_xlabel("seconds", fontsize=12)
    ax.set_ylabel("memory above the start (MB)", fontsize=12)
    peaks = "; ".join(
        f"{name} at most {max(mb for _, mb in samples):.0f} MB in {samples[-1][0]:.2f} s"
        for name, samples in curves.items()
    )
    show_figure(figure, f"Memory of this process over the time of two merges: {peaks}.")


def draw_tradeoff(points):
    """What averages keep of two gains; points: name of a model or a mix -> (clippy's gain kept, beer's)."""
    figure, ax = new_figure(9, 4.6)
    for name, (x, y) in points.items():
        ax.plot(x, y, color=COLOURS.get(name, COLOURS["merged"]), marker=MARKERS.get(name, "D"), markersize=9)
        beside(ax, name, (x, y), (9, 0), 10, va="center")
    ax.margins(x=0.1, y=0.08)
    ax.set_xlabel("clippy's gain kept (code)", fontsize=12)
    ax.set_ylabel("beer's gain kept (recipes)", fontsize=12)
    numbers = "; ".join(f"{name} {x:.2f} of clippy's and {y:.2f} of beer's" for name, (x, y) in points.items())
    show_figure(figure, f"What {len(points)} averages keep of the two gains: {numbers}.")
