"""The pictures of what the real model's merges write: the numbers of the rows stand in them and in their words."""

import pytest

from lessons.figures import real as figures_real
from lessons.figures.palette import COLOURS
from lessons.measured import best_of_both, measured_smollm2

BITS = {"code": 0.7, "beer": 0.2, "english": 1.3}


def row(point, clippy, functions, recipes, chosen=None):
    share = {"functions": functions, "correct": 0.0, "recipes": recipes}
    return {"point": point, "clippy": clippy, "bits": BITS, "reported": share, "chosen on": chosen or share}


ROWS = [
    row("alpha 1.0", 1.0, 1.0, 0.0),
    row("alpha 0.0", 0.0, 0.0, 1.0),
    row("alpha 0.5", 0.5, 0.5, 0.75),
    row("task arithmetic 0.6 0.8", 0.6, 0.875, 0.625),
]


@pytest.fixture
def shown(monkeypatch):
    kept = []
    monkeypatch.setattr(figures_real, "show_figure", lambda figure, alt: kept.append((figure, alt)))
    return kept


def test_shares_over_alpha_are_drawn_in_order_with_what_was_counted_again(shown):
    figures_real.draw_written(ROWS, 32, recounted=[(0.5, 0.4375, 0.8125)])
    ((figure, alt),) = shown
    assert "0.0: 0.00, 1.00; 0.5: 0.50, 0.75; 1.0: 1.00, 0.00." in alt
    recipes, functions, again, once_more = figure.axes[1].lines
    assert (list(recipes.get_xdata()), list(recipes.get_ydata())) == ([0.0, 0.5, 1.0], [1.0, 0.75, 0.0])
    assert list(functions.get_ydata()) == [0.0, 0.5, 1.0]
    assert [list(line.get_ydata()) for line in (again, once_more)] == [[0.8125], [0.4375]]


def test_every_merge_is_a_point_and_the_chosen_ones_are_named(shown):
    figures_real.draw_both(ROWS, 32, {"alpha 0.5": "average", "task arithmetic 0.6 0.8": "sum"})
    ((figure, alt),) = shown
    assert "task arithmetic 0.6 0.8: 0.88 and 0.62" in alt
    texts = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert texts == {"beer": (0, 1), "clippy": (1, 0), "average": (0.5, 0.75), "sum": (0.875, 0.625)}
    assert {line.get_color() for line in figure.axes[0].lines} == {COLOURS[n] for n in ("merged", "clippy", "beer")}


def test_the_best_of_both_is_chosen_by_the_lower_share_and_not_by_what_is_reported():
    strong, even = {"functions": 1.0, "recipes": 0.5}, {"functions": 0.75, "recipes": 0.625}
    rows = [row("a", 0.3, 1.0, 1.0, strong), row("b", 0.4, 0.0, 0.0, even)]
    assert best_of_both(rows)["point"] == "b"


def test_the_stored_measurements_have_every_point_once():
    points = [each["point"] for each in measured_smollm2()["rows"]]
    assert len(points) == len(set(points)) and {f"alpha {i / 10}" for i in range(11)} <= set(points)
