"""The pictures of notebooks 01 to 05, which follow the article."""

from lessons.figures.base import bar_chart, beside, new_figure, show_figure
from lessons.figures.palette import COLOURS, MARKERS


def draw_change_strip(changes):
    """A heat strip: how far finetuning moved each block's attention and feed-forward weights.

    changes: model -> {(kind, block): size of the change / size of the weights}.
    """
    kinds = ("attention", "feed-forward")
    blocks = sorted({block for kind, block in next(iter(changes.values())) if kind in kinds})
    strips = {f"{m}, {kind}": [c[kind, block] for block in blocks] for m, c in changes.items() for kind in kinds}
    figure, ax = new_figure(9, 3)
    image = ax.imshow(list(strips.values()), cmap="viridis", aspect="auto", vmin=0)
    ax.set_yticks(range(len(strips)), list(strips), fontsize=12)
    shown = range(0, len(blocks), 1 + len(blocks) // 13)
    ax.set_xticks(shown, [blocks[i] + 1 for i in shown])
    ax.set_xlabel("block", fontsize=12)
    for row, values in enumerate(strips.values()):
        for column, value in enumerate(values):
            colour = "white" if value < image.norm.vmax / 2 else "black"
            if len(blocks) <= 12:  # else the numbers would not fit
                ax.text(column, row, f"{value:.0%}", ha="center", va="center", color=colour, fontsize=12)
    figure.colorbar(image, label="change / weights", format=lambda share, _: f"{share:.0%}")
    rows = "; ".join(f"{name} " + ", ".join(f"{value:.0%}" for value in values) for name, values in strips.items())
    show_figure(
        figure, f"Heat strip: size of the change relative to the weights, from the first block to the last. {rows}."
    )


def draw_bits(bits):
    """Grouped bars of bits per byte; bits: model -> {text: value}."""
    texts = list(next(iter(bits.values())))
    figure, ax = new_figure(9, 4)
    bar_chart(ax, texts, {m: list(row.values()) for m, row in bits.items()}, "bits per byte (lower is better)")
    numbers = "; ".join(f"{m}: " + ", ".join(f"{t} {v:.2f}" for t, v in row.items()) for m, row in bits.items())
    show_figure(figure, f"Grouped bars of bits per byte on {len(texts)} held-out texts. {numbers}.")


def draw_sweep(alphas, bits, base_bits):
    """Bits per byte over alpha, from beer at 0 to clippy at 1, a panel for each text."""
    figure, _ = new_figure(12, 3.8, columns=len(bits))
    for ax, (kind, values) in zip(figure.axes, bits.items()):
        base, far_left = base_bits[kind], abs(values[0] - base_bits[kind]) > abs(values[-1] - base_bits[kind])
        ax.plot(alphas, values, color=COLOURS["merged"], marker="D", markersize=4)
        ax.plot([0, 1], [values[0], values[-1]], color="grey", linestyle=":", linewidth=1)
        ax.axhline(base, color=COLOURS["base"], linestyle="--", linewidth=1)
        beside(ax, "base", (0.0 if far_left else 1.0, base), (0, 4), 11, ha="left" if far_left else "right")
        for alpha, value, model in zip((0, 1), (values[0], values[-1]), ("beer", "clippy")):
            ax.plot(alpha, value, color=COLOURS[model], marker=MARKERS[model], markersize=11)
        ax.set_title(kind)
        ax.set_xlabel("alpha: beer at 0, clippy at 1", fontsize=12)
    figure.axes[0].set_ylabel("bits per byte (lower is better)", fontsize=12)
    lows = ", ".join(f"{kind} {alphas[values.index(min(values))]}" for kind, values in bits.items())
    show_figure(
        figure,
        f"Bits per byte over alpha on {', '.join(bits)}; beer's marker at alpha 0, clippy's at 1, base as a "
        f"dashed line, the straight line between the parents dotted.\nLowest at alpha: {lows}.",
    )


def draw_parts(results):
    """The gains that each merged part keeps, a panel for each host and a row for each part.

    results: (host, part) -> (share of clippy's gain kept, share of beer's).
    """
    hosts, parts = (list(dict.fromkeys(place)) for place in zip(*results))
    figure, _ = new_figure(12, 4.6, columns=len(hosts), sharex=True, sharey=True)
    for ax, host in zip(figure.axes, hosts):
        for row, part in enumerate(parts):
            ax.plot(results[host, part], (row, row), color="lightgrey", linewidth=3, zorder=1)
        for model, gains in zip(("clippy", "beer"), zip(*(results[host, part] for part in parts))):
            style = dict(color=COLOURS[model], marker=MARKERS[model], markersize=10, linestyle="")
            ax.plot(gains, range(len(parts)), label=f"{model}'s gain", **style)
        for share in (0, 1):
            ax.axvline(share, color="grey", linestyle=":", linewidth=1, zorder=0)
        ax.set_title(f"host: {host}")
        ax.set_xlabel("gain kept (0: as good as base, 1: as the specialist)", fontsize=12)
        ax.set_ylim(len(parts) - 0.5, -0.5)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=12, frameon=False)
    figure.axes[0].set_yticks(range(len(parts)), parts, fontsize=12)
    figure.axes[0].set_ylabel("averaged in from the other model", fontsize=12)
    numbers = "; ".join(f"{host} + {part} {code:.2f}, {beer:.2f}" for (host, part), (code, beer) in results.items())
    show_figure(figure, f"Dots of clippy's and beer's gain kept, a row for each merged part, by host.\n{numbers}.")


def draw_reach(alphas, curves):
    """What merges at several alphas reach, a curve for each selection, up and to the right is better.

    curves: selection -> for each alpha (share of clippy's gain kept, share of beer's).
    """
    figure, ax = new_figure(9, 4.8)
    for (name, points), style, marker in zip(curves.items(), ("-", "--", ":"), ("D", "v", "P")):
        ax.plot(*zip(*points), linestyle=style, marker=marker, markersize=8, color=COLOURS["merged"])
        beside(ax, name, points[0], (-12, -4), ha="right")
    for alpha, point in zip(alphas, next(iter(curves.values()))):
        beside(ax, f"alpha = {alpha}", point, (8, 6), 11)
    ax.margins(x=0.3)
    ax.set_xlabel("clippy's gain kept (code)", fontsize=12)
    ax.set_ylabel("beer's gain kept (recipes)", fontsize=12)
    numbers = "; ".join(
        f"{name} " + ", ".join(f"({code:.2f}, {beer:.2f})" for code, beer in points) for name, points in curves.items()
    )
    show_figure(figure, f"Curves of clippy's and beer's gain kept over alpha = {alphas}, by selection. {numbers}.")
