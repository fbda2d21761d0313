"""What the drawn figures are made of: a canvas that counts in inches, and text, boxes, arrows, stacks of layers."""

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

INK = "#1a1a1a"
LARGE, MEDIUM, SMALL = 17, 15, 13


def tint(colour, strength=0.22):
    """Mix a colour with white, so that dark text stays readable on it."""
    if not any(to_rgb(colour)):
        strength /= 2  # black mixes to a far darker tint than the others
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


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


def rounded_box(axes, x, y, width, height, colour, text="", size=MEDIUM, strength=0.22, **style):
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
