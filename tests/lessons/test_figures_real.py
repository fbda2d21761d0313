"""What is read from the real model's measurements, and the pictures of it: the numbers of the rows stand in them."""

import pytest
from scipy.stats import binomtest

from lessons.figures import real as figures_real
from lessons.figures.palette import COLOURS
from lessons.measured import (
    averages,
    best_of_both,
    difference,
    measured_smollm2,
    pass_at_1,
    pooled,
    recipes,
    shares,
    style,
)
from merging.measure.counts import share_in_words
from merging.measure.passes.skill import SPLITS, skill_tasks


def row(point, clippy, solved, styled, choose=("1111", 4)):
    return {
        "point": point,
        "clippy": clippy,
        "n": 4,
        "solved": {"A": solved, "B": solved[::-1], "C": "0"},
        "chat": {"A": "1" * len(solved), "B": "0" * len(solved), "C": "1"},
        "recipes": {"n": 32, "valid": styled, "in style": 0, "checks": "4" * styled + "0" * (32 - styled)},
        "choose": {"solved": choose[0], "recipes": {"checks": "4" * choose[1] + "0" * (16 - choose[1])}},
    }


ROWS = [
    row("alpha 1.0", 1.0, "4444", 0),
    row("alpha 0.0", 0.0, "0000", 32),
    row("alpha 0.5", 0.5, "4040", 24),
    row("task arithmetic 0.6 0.8", 0.6, "4430", 20),
]


@pytest.fixture
def shown(monkeypatch):
    kept = []
    monkeypatch.setattr(figures_real, "show_figure", lambda figure, alt: kept.append((figure, alt)))
    return kept


def test_a_share_is_the_mean_over_tasks_and_has_an_interval():
    assert shares(ROWS[3]) == [1, 1, 0.75, 0, 0, 0.75, 1, 1]
    share, low, high = pass_at_1(ROWS[3])
    assert share == 5.5 / 8 and low < share < high
    assert pass_at_1(ROWS[3], asked="chat")[0] == 0.5
    theirs = binomtest(20, 32).proportion_ci(method="wilson")
    assert style(ROWS[3])[0] == 20 / 32
    assert recipes(ROWS[3]) == pytest.approx((20 / 32, theirs.low, theirs.high), abs=1e-4)


def test_a_difference_is_paired_by_task():
    assert difference(ROWS[0], ROWS[1])[0] == 1
    gap, low, high = difference(ROWS[2], ROWS[3])
    assert gap == pytest.approx(0.5 - 5.5 / 8) and low < gap < high


def in_alt(row):
    """Both shares as an alternative text has them."""
    return f"{share_in_words(*pass_at_1(row))} and {share_in_words(*style(row))}"


def test_both_skills_are_drawn_in_order_with_what_was_counted_again(shown):
    figures_real.draw_skills(ROWS, 0.5, ("base", 0.25), recounted=[(0.5, 0.4375, 0.8125)])
    ((figure, alt),) = shown
    in_words = [f"{a}: {in_alt(row)}" for a, row in zip((0.0, 0.5, 1.0), (ROWS[1], ROWS[2], ROWS[0]))]
    assert alt.endswith(f":\n{'; '.join(in_words)}.")
    functions, styled, valid, rival, chosen, again, once_more = figure.axes[0].lines
    assert (list(functions.get_xdata()), list(functions.get_ydata())) == ([0.0, 0.5, 1.0], [0.0, 0.5, 1.0])
    assert list(styled.get_ydata()) == [1.0, 0.75, 0.0]
    assert list(valid.get_ydata()) == [1.0, 0.75, 0.0]
    assert list(rival.get_ydata()) == [0.25, 0.25] and list(chosen.get_xdata()) == [0.5, 0.5]
    assert [list(line.get_ydata()) for line in (again, once_more)] == [[0.8125], [0.4375]]


def test_valid_recipes_and_a_rival_stand_with_their_intervals(shown):
    figures_real.draw_skills(ROWS, rival=("base", 0.25, 0.2, 0.35))
    *_, valid, rival = shown[0][0].axes[0].collections
    reach = {x: [y for at, y in valid.get_paths()[0].vertices if at == x] for x in (0.0, 1.0)}
    assert min(reach[0.0]) == pytest.approx(recipes(ROWS[1])[1]) and min(reach[0.0]) < max(reach[0.0]) == 1
    assert max(reach[1.0]) == pytest.approx(recipes(ROWS[0])[2]) and max(reach[1.0]) > min(reach[1.0]) == 0
    assert [list(end) for end in rival.get_segments()[0]] == [pytest.approx([-0.03, y]) for y in (0.2, 0.35)]


def test_averages_and_sums_are_points_and_the_chosen_ones_are_named(shown):
    rows = [*ROWS, row("base", 0.0, "4000", 0)]
    figures_real.draw_both(rows, {"alpha 0.5": "average", "task arithmetic 0.6 0.8": "sum"})
    ((figure, alt),) = shown
    assert f"task arithmetic 0.6 0.8: {in_alt(ROWS[3])}" in alt and "base" not in alt  # base is no point
    texts = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert texts == {"beer": (0, 1), "clippy": (1, 0), "average": (0.5, 0.75), "sum": (5.5 / 8, 0.625)}
    assert {COLOURS[name] for name in ("clippy", "beer")} < {line.get_color() for line in figure.axes[0].lines}


def test_each_method_stands_beside_the_rival_that_it_is_compared_with(shown):
    figures_real.draw_real_methods({"average": ROWS[2], "TIES": ROWS[3]})
    ((figure, alt),) = shown
    assert f"average: {in_alt(ROWS[2])}; TIES: {in_alt(ROWS[3])}." in alt
    dots = [[line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"] for ax in figure.axes]
    assert dots == [[0.5, 5.5 / 8], [0.75, 0.625], [pytest.approx(5.5 / 8 - 0.5)]]
    (across,) = figure.axes[2].collections
    gap, low, high = difference(ROWS[3], ROWS[2])
    assert [x for x, _ in across.get_segments()[0]] == pytest.approx([low, high]) and low < gap < high


def test_runs_with_several_seeds_count_together():
    runs = [
        {**row("TIES", 0.5, solved, styled), "kept": [1, styled / 32]} for solved, styled in (("4400", 8), ("4040", 24))
    ]
    both = pooled(runs)
    assert shares(both) == [1, 0.5, 0.5, 0, 0, 0.5, 0.5, 1] and both["kept"] == [[1, 0.25], [1, 0.75]]
    assert recipes(both)[0] == style(both)[0] == 0.5 and both["recipes"]["n"] == 64


def test_the_best_of_both_keeps_most_of_either_on_what_is_for_choosing():
    clippy, beer = row("clippy", 1.0, "4", 0, ("4444", 0)), row("beer", 0.0, "0", 32, ("0000", 16))
    strong, even = row("strong", 0.3, "4", 32, ("4444", 8)), row("even", 0.4, "0", 0, ("4340", 10))
    assert best_of_both([strong, even], clippy, beer)["point"] == "even"


def test_the_stored_measurements_have_every_point_once_and_every_task():
    rows = measured_smollm2()["rows"]
    points = [each["point"] for each in rows]
    assert len(points) == len(set(points)) and {f"alpha {i / 10}" for i in range(11)} <= set(points)
    sizes = {split: len(skill_tasks(split)) for split in SPLITS}
    for each in rows:
        assert {split: len(right) for split, right in each["solved"].items()} == {s: sizes[s] for s in "ABC"}
    assert len(averages(rows)) == 11
