"""Pictures written by hand as SVG, quick enough for a slider: a matplotlib figure takes five times as long."""

import html

from lessons.figures.palette import COLOURS
from merging.errors import printable

FONT = "font-family='sans-serif' font-size='15'"
PAGE = 960  # pixels: what an exported page leaves for a picture in a window of 1,100


def svg(width, height, parts, words, cuts=()):
    """A picture drawn on width x height pixels and shown no wider than a page, its words as the accessible name.

    cuts: where its panels meet, in pixels from the left; a narrow page, or a slide, may show them apart.
    """
    scale = min(1, PAGE / width)  # exported pages hold an SVG as an image, whose size is not the style's but this
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"data-panels='{' '.join(map(str, (0, *cuts, width)))}' "
        f"width='{width * scale:.0f}' height='{height * scale:.0f}' "
        f"style='width:100%;max-width:{width}px;height:auto;background:white' role='img' "
        f"aria-label='{html.escape(printable(words), quote=True)}' {FONT}>" + "".join(parts) + "</svg>"
    )


def attributes(style):
    return "".join(f" {key.replace('_', '-')}='{value}'" for key, value in style.items())


def label(x, y, text, anchor="start", **style):
    words = html.escape(printable(text, 120))
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'{attributes(style)}>{words}</text>"


def line(points, colour, width=2, dash=""):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}' stroke-dasharray='{dash}'/>"


def box(x, y, width, height, colour, **style):
    size = f"width='{max(width, 0):.1f}' height='{height:.1f}'"
    return f"<rect x='{x:.1f}' y='{y:.1f}' {size} fill='{colour}'{attributes(style)}/>"


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
    drawn = values if base is None else [*values, base]
    low, high = min(drawn), max(drawn)
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
        line_at, left = place(0, base)[1], abs(values[0] - base) > abs(values[-1] - base)  # where the curve is far
        parts += [
            line([place(0, base), place(1, base)], COLOURS["base"], 1.5, "6 4"),
            label(
                x + (8 if left else width - 8),
                line_at + (-6 if line_at > y + 20 else 16),
                "base",
                "start" if left else "end",
            ),
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
    scale = (width - 160) / largest
    parts = [label(x, y - 10, "next token", font_weight="bold")]
    for i, (word, p, both) in enumerate(rows):
        top = y + 4 + i * 24
        parts += [
            label(x + 95, top + 14, word, "end"),
            box(x + 105, top, p * scale, 18, COLOURS["merged"], opacity=0.6),
        ]
        parts += [mark(x + 105 + q * scale, top + 9, model, 5) for model, q in both]
        parts += [label(x + width, top + 14, f"{p:.0%}", "end")]
    return parts


def grouped_bars(texts, scores):
    """Horizontal bars: for each text one bar for each model, with its number."""
    largest = max(value for row in scores.values() for value in row.values())
    parts = []
    for i, kind in enumerate(texts):
        x, width = 20 + i * 315, 170
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
    (xa, xb, xc), (x1, x2) = (50, 190, 340), (120, 230)
    parts = [
        line([(xa, 200), (x1, 130), (xb, 200)], "#555"),
        line([(x1, 130), (x2, 50), (xc, 200)], "#555"),
        mark(x1, 130, "merged"),
        mark(x2, 50, "merged", 9),
        label(x2 + 16, 46, "result"),
    ]
    for x, y, share in ((68, 160, inner), (172, 160, 1 - inner), (156, 84, outer), (306, 120, 1 - outer)):
        parts.append(label(x, y, f"{share:.2f}", "middle"))
    for name, x in zip(leaves, (xa, xb, xc)):
        parts += [
            mark(x, 206, name, 9),
            label(x, 236, name, "middle"),
            label(x, 258, f"{weights[name]:.2f}", "middle", font_weight="bold"),
        ]
    return parts + [label(4, 288, "flat weights: the shares multiplied along each path")]
