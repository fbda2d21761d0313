"""The live view of notebook 09: choose a method, move its one knob, and see where its merges lie in two pictures.

Every point was measured beforehand (training/measure_methods.py), since most of these methods read text first.
"""

import ipywidgets as widgets

from lessons.figures.palette import COLOURS
from lessons.views.live import View
from lessons.views.svg import box, label, line, mark, ring, svg
from merging.measure.counts import count_in_words, wilson

LOW, HIGH = -0.1, 1.1  # what the pictures show; a point beyond lies on the frame
SIZE = 300  # pixels of a picture
FRAMES = (  # where a picture begins, what it shows, and the words at its axes and above it
    (60, "kept", "gain kept of clippy", "gain kept of beer", "gains kept, held-out text"),
    (60 + SIZE + 150, "valid", "valid functions", "valid recipes", "sampled texts that are valid"),
)


def method_explorer(measured, method="RegMean"):
    """A method's merges in the plane of the two gains kept, and in that of valid functions and recipes.

    measured: of measured_methods. The ring is at the present value of the knob, the curve shows its other
    values, grey dots all other methods, the cross on the right 95 % intervals. alpha is the share of clippy.
    """
    grid, samples, ends = measured["grid"], measured["samples"], measured["table"]
    choices = lambda name: [(f"{value:g}", value) for value in grid[name]["values"]]
    controls = {
        "method": widgets.Dropdown(options=list(grid), value=method, description="method"),
        "knob": widgets.SelectionSlider(options=choices(method), description="", layout={"width": "420px"}),
    }
    knob_name = widgets.Label(grid[method]["knob"])

    def change_method(change):
        knob_name.value = grid[change["new"]]["knob"]
        controls["knob"].options = choices(change["new"])

    def draw():
        name, value = controls["method"].value, controls["knob"].value
        chosen, now = grid[name], grid[name]["values"].index(value)
        parts = []
        for left, what, *titles in FRAMES:
            others = [point for other, row in grid.items() if other != name for point in row[what]]
            corners = {m: ends[m][what][0] if what == "kept" else ends[m][what] for m in ("clippy", "beer")}
            parts += [*axes(left, *titles), *dots(left, chosen[what], now, others, corners)]
        (code, beer), shares = chosen["kept"][now], chosen["valid"][now]
        counts = [(round(share * n), n) for share, n in zip(shares, samples.values())]
        parts += cross(FRAMES[1][0], shares, [wilson(*count) for count in counts])
        words = (
            f"{name}, {chosen['knob']} = {value:g}: keeps {code:.2f} of clippy's gain and {beer:.2f} of beer's; "
            f"{count_in_words(*counts[0])} functions and {count_in_words(*counts[1])} recipes are valid."
        )
        yield svg(2 * SIZE + 230, SIZE + 100, parts, words, [SIZE + 135]), words

    controls["method"].observe(change_method, "value")  # before the view's own redraw
    return View(controls, widgets.VBox([controls["method"], widgets.HBox([knob_name, controls["knob"]])]), draw)


def dots(left, points, now, others, corners):
    """A method's points with a ring around one of them, those of other methods, and the models themselves."""
    place = lambda point: spot(left, *point)
    parts = [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='#bbb'/>" for x, y in map(place, others)]
    parts.append(line([place(point) for point in points], COLOURS["merged"], 1.5, "3 4"))
    parts += [mark(*place(point), "merged", 5) for point in points]
    for model, point in corners.items():
        x, y = place(point)
        parts += [mark(x, y, model), label(x, y - 13, model, "middle")]
    return [*parts, ring(*place(points[now]))]


def cross(left, point, intervals):
    """The intervals of a point's two shares as lines through it."""
    (x, y), (across, up) = point, intervals
    ends = [[spot(left, side, y) for side in across], [spot(left, x, side) for side in up]]
    return [line(pair, COLOURS["merged"], 2) for pair in ends]


def spot(left, x, y):
    """Where a point of a picture lies, in pixels."""
    share = lambda value: (min(max(value, LOW), HIGH) - LOW) / (HIGH - LOW)
    return left + share(x) * SIZE, 40 + (1 - share(y)) * SIZE


def axes(left, across, up, title):
    """The frame of a picture with its title, its axes and lines at 0 and 1."""
    parts = [
        box(left, 40, SIZE, SIZE, "none", stroke="#bbb"),
        label(left + SIZE / 2, 26, title, "middle", font_weight="bold"),
        label(left + SIZE / 2, SIZE + 84, across, "middle"),
        f"<text transform='translate({left - 36} {40 + SIZE / 2}) rotate(-90)' text-anchor='middle'>{up}</text>",
    ]
    for value in (0, 0.5, 1):
        (x, bottom), (start, y) = spot(left, value, LOW), spot(left, LOW, value)
        parts += [label(x, bottom + 20, f"{value:g}", "middle"), label(start - 6, y + 5, f"{value:g}", "end")]
        parts += [line([(x, 40), (x, bottom)], "#ddd", 1), line([(start, y), (left + SIZE, y)], "#ddd", 1)]
    return parts
