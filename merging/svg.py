"""Pictures written by hand as SVG, quick enough for a slider: a matplotlib figure takes five times as long."""

import html

from merging.palette import COLOURS

FONT = "font-family='sans-serif' font-size='15'"


def svg(width, height, parts, words):
    """A picture of the given size (pixels) with its words as the accessible name."""
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        f"style='max-width:100%;height:auto;background:white' role='img' "
        f"aria-label='{html.escape(words, quote=True)}' {FONT}>" + "".join(parts) + "</svg>"
    )


def label(x, y, text, anchor="start", **style):
    more = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in style.items())
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'{more}>{html.escape(str(text))}</text>"


def line(points, colour, width=2, dash=""):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}' stroke-dasharray='{dash}'/>"


def box(x, y, width, height, colour, **style):
    more = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in style.items())
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 0):.1f}' height='{height:.1f}' fill='{colour}'{more}/>"


def mark(x, y, model, size=7):
    """A model's marker in its colour: a disc, a square, a triangle, or a diamond for a merge."""
    colour = COLOURS.get(model, COLOURS["merged"])
    if model == "base":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size}' fill='{colour}'/>"
    square, triangle = ((-1, -1), (1, -1), (1, 1), (-1, 1)), ((0, -1.2), (1.1, 1), (-1.1, 1))
    shapes = {"clippy": square, "first": square, "beer": triangle, "second": triangle}
    shape = shapes.get(model, ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)))
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in shape)
    return f"<polygon points='{points}' fill='{colour}'/>"


def ring(x, y):
    """Where we are: a red ring that hides nothing."""
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='10' fill='none' stroke='#D55E00' stroke-width='4'/>"


def chart(x, y, width, height, alphas, values, title, ends, base=None):
    """A curve over alpha in a frame, both ends marked as the models they are; gives (parts, place of a point)."""
    low, high = (
        min([*values, *([base] if base is not None else [])]),
        max([*values, *([base] if base is not None else [])]),
    )
    margin = 0.08 * (high - low or 1)
    low, high = low - margin, high + margin
    place = lambda alpha, value: (x + alpha * width, y + height - (value - low) / (high - low) * height)
    parts = [
        box(x, y, width, height, "none", stroke="#bbb"),
        label(x + width / 2, y - 10, title, "middle", font_weight="bold"),
        label(x, y + height + 20, f"0: {ends[0]}"),
        label(x + width, y + height + 20, f"1: {ends[1]}", "end"),
        label(x - 14, y + 12, f"{high - margin:.2f}", "end"),
        label(x - 14, y + height, f"{low + margin:.2f}", "end"),
    ]
    if base is not None:
        parts += [
            line([place(0, base), place(1, base)], COLOURS["base"], 1.5, "6 4"),
            label(x + width - 4, place(1, base)[1] - 5, "base", "end"),
        ]
    parts += [
        line([place(0, values[0]), place(1, values[-1])], "#888", 1.5, "2 4"),
        line([place(a, v) for a, v in zip(alphas, values)], COLOURS["merged"], 2.5),
        mark(*place(0, values[0]), ends[0]),
        mark(*place(1, values[-1]), ends[1]),
    ]
    return parts, place


def token_bars(x, y, width, rows):
    """Bars of (token, probability, [(parent, its probability)]), the parents' as markers."""
    largest = max([p for _, p, both in rows for p in (p, *(q for _, q in both))])
    scale = (width - 110) / largest
    parts = [label(x, y - 10, "next token", font_weight="bold")]
    for i, (word, p, both) in enumerate(rows):
        top = y + 6 + i * 26
        parts += [label(x + 60, top + 15, word, "end"), box(x + 70, top, p * scale, 20, COLOURS["merged"], opacity=0.6)]
        parts += [mark(x + 70 + q * scale, top + 10, model, 5) for model, q in both]
        parts += [label(x + width - 30, top + 15, f"{p:.0%}")]
    return parts


def grouped_bars(texts, scores):
    """Horizontal bars: for each text one bar for each model, with its number."""
    largest = max(value for row in scores.values() for value in row.values())
    parts = []
    for i, kind in enumerate(texts):
        x, width = 20 + i * 330, 170
        parts.append(label(x, 24, f"{kind}: bits per byte", font_weight="bold"))
        for j, (model, row) in enumerate(scores.items()):
            y, colour, length = 40 + j * 32, COLOURS.get(model, COLOURS["merged"]), row[kind] / largest * width
            parts += [
                mark(x, y + 10, model, 6),
                label(x + 14, y + 15, model),
                box(x + 84, y, length, 20, colour),
                label(x + 90 + length, y + 15, f"{row[kind]:.2f}"),
            ]
    return parts


def tree_drawing(leaves, inner, outer, weights):
    """Two merges as a drawn tree: the shares on its branches, the flat weights under its leaves."""
    (xa, xb, xc), (x1, x2) = (90, 250, 430), (170, 300)
    parts = [
        line([(xa, 200), (x1, 130), (xb, 200)], "#555"),
        line([(x1, 130), (x2, 50), (xc, 200)], "#555"),
        mark(x1, 130, "merged"),
        mark(x2, 50, "merged", 9),
        label(x2 + 16, 46, "result"),
    ]
    for x, y, share in ((120, 160, inner), (222, 160, 1 - inner), (222, 84, outer), (384, 120, 1 - outer)):
        parts.append(label(x, y, f"{share:.2f}", "middle"))
    for name, x in zip(leaves, (xa, xb, xc)):
        parts += [
            mark(x, 206, name, 9),
            label(x, 236, name, "middle"),
            label(x, 258, f"{weights[name]:.2f}", "middle", font_weight="bold"),
        ]
    return parts + [label(20, 284, "flat weights: the shares multiplied along each path")]
