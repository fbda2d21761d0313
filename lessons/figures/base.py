"""What all pictures and tables of the notebooks are made with."""

import base64
import html
import io

from IPython.display import Markdown, display
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lessons.figures.palette import COLOURS, HATCHES
from merging.errors import escaped
from merging.paths import ROOT


def new_figure(width=8, height=4, columns=1, **options):
    """A matplotlib figure and its axes, sized for a projector."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, **options)
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=11)
    return figure, axes


def figure_png(figure):
    """A figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def show_figure(figure, alt):
    """Show a figure as PNG with its alt text, which is also what a reader without pictures gets."""
    show_png(figure_png(figure), alt)


def show_picture(name, alt):
    """Show a drawn figure of images/, also where links to files lead nowhere, as in Colab."""
    show_png((ROOT / "images" / name).read_bytes(), alt, width=900)


def show_png(png, alt, **options):
    """Show the bytes of a PNG with its alt text; options: width in pixels."""
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt} | options})


def show_table(header, rows):
    """Show rows as a Markdown table: first column left, numbers (floats to three digits) right.

    Text is shown as it is, whoever wrote it: no tag, link or formula in it becomes one; <br> alone is a line break.
    """
    words = lambda value: "<br>".join(map(escaped, str(value).split("<br>")))
    cell = lambda value: f"{value:.3f}" if isinstance(value, float) else words(value)
    lines = [list(map(words, header)), [":--"] + ["--:"] * (len(header) - 1)] + [list(map(cell, row)) for row in rows]
    display(Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines)))


def show_text(prompt, text, title=""):
    """Show a text that a model wrote: a title, the prompt in bold (behind > where there is no bold), and the rest."""
    text = text.rstrip("\n")
    head = f"<i>{html.escape(title)}</i>\n" if title else ""
    style = (
        "font-family: monospace; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; margin: 0 0 1em"
    )
    page = f"<pre style='{style}'>{head}{marked(prompt, text)}</pre>"
    lines = [f"--- {title} ---"] if title else []
    lines += [f"> {line}" for line in prompt.split("\n")] + [text.removeprefix(prompt)]
    display({"text/html": page, "text/plain": "\n".join(lines)}, raw=True)


def marked(prompt, text):
    """A text as HTML, its prompt in bold if it begins with it."""
    bold = prompt if text.startswith(prompt) else ""
    return f"<b>{html.escape(bold)}</b>{html.escape(text[len(bold) :])}"


def beside(ax, words, place, shift, fontsize=12, **look):
    """Write words some points to the right of a place and above it; shift: how many of each."""
    ax.annotate(words, place, shift, textcoords="offset points", fontsize=fontsize, **look)


def plane_grid(ticks, length1, length2, product):
    """(xs, ys of a grid, a function that gives the place of (x, y)): a plane of two ways, true in lengths and angles.

    x is the share of the first way, y of the second; the grid has a row for each y of ticks and a column for each x.
    length1, length2: of the ways; product: their dot product.
    """
    along = product / length1
    across = (length2**2 - along**2) ** 0.5
    place = lambda x, y: (x * length1 + y * along, y * across)
    xs, ys = zip(*[zip(*[place(x, y) for x in ticks]) for y in ticks])
    return xs, ys, place


def bar_chart(ax, groups, series, label):
    """Grouped bars: groups of names on the x axis, series of name -> one value per group, each with its number."""
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        at = [g - 0.4 + (i + 0.5) * width for g in range(len(groups))]
        colour = COLOURS.get(name, COLOURS["merged"])
        bars = ax.bar(
            at, values, width * 0.92, color=colour, label=name, hatch=HATCHES.get(name, "xx"), edgecolor="white"
        )
        ax.bar_label(bars, fmt="%.2f", fontsize=10, padding=2)
    ax.set_xticks(range(len(groups)), groups, fontsize=12)
    ax.set_ylabel(label, fontsize=12)
    ax.legend(frameon=False, fontsize=11, ncols=len(series), loc="upper center", bbox_to_anchor=(0.5, 1.14))


HALO = [withStroke(linewidth=3, foreground="white")]  # keeps a word readable on a line
