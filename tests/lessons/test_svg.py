"""Pictures written as SVG: numbers stand where they belong, and text stays text."""

import re
from xml.dom import minidom

import pytest

from lessons.views.svg import chart, grouped_bars, label, line, mark, ring, svg, token_bars, tree_drawing


def test_a_picture_is_xml_and_says_in_words_what_it_shows():
    page = minidom.parseString(svg(200, 100, [label(1, 2, "a < b & 'c'"), ring(5, 6)], "alpha <0.5> 'here'"))
    assert page.documentElement.getAttribute("aria-label") == "alpha <0.5> 'here'"
    assert page.getElementsByTagName("text")[0].firstChild.data == "a < b & 'c'"


def test_a_picture_says_where_its_panels_meet():
    page = lambda *cuts: minidom.parseString(svg(500, 100, [], "words", *cuts)).documentElement
    assert page([120, 310]).getAttribute("data-panels") == "0 120 310 500"
    assert page().getAttribute("data-panels") == "0 500"  # one panel


def test_tokens_in_the_picture_stay_text():
    parts = token_bars(0, 0, 200, [("<script>", 0.5, [("clippy", 0.1)])])
    assert "<script>" not in "".join(parts) and "&lt;script&gt;" in "".join(parts)


@pytest.mark.parametrize("base", [None, 1.6, 3.0])
def test_a_chart_places_its_values_between_the_ends_of_its_frame(base):
    alphas, values = [0.0, 0.5, 1.0], [1.5, 1.25, 1.0]
    parts, place = chart(60, 34, 165, 190, alphas, values, "bits", ("beer", "clippy"), base)
    points = [place(alpha, value) for alpha, value in zip(alphas, values)]
    assert [x for x, _ in points] == [60, 142.5, 225]
    assert 34 < min(y for _, y in points) and max(y for _, y in points) < 224
    assert points[1][1] - points[0][1] == pytest.approx(points[2][1] - points[1][1])  # equal steps down
    assert points[0][1] < points[2][1]  # larger values stand higher
    assert line(points, "#009E73", 2.5) in parts and mark(*points[0], "beer") in parts
    minidom.parseString(svg(400, 300, parts, "a curve"))


def test_a_chart_of_equal_values_has_a_frame_all_the_same():
    _, place = chart(0, 0, 100, 100, [0, 1], [2.0, 2.0], "flat", ("beer", "clippy"))
    assert place(0, 2.0) == pytest.approx((0, 50)) and place(1, 2.0) == pytest.approx((100, 50))


def test_bars_are_as_long_as_their_numbers():
    parts = grouped_bars(["code", "beer"], {"base": {"code": 2.0, "beer": 1.0}, "merged": {"code": 1.0, "beer": 0.5}})
    widths = [float(width) for width in re.findall(r"<rect [^>]*width='([\d.]+)'", "".join(parts))]
    assert [width / widths[0] for width in widths] == pytest.approx([1, 0.5, 0.5, 0.25], abs=0.01)


def test_a_tree_shows_the_shares_on_its_branches_and_the_flat_weights_under_its_leaves():
    weights = {"clippy": 0.45, "beer": 0.30, "base": 0.25}
    parts = tree_drawing(list(weights), 0.6, 0.75, weights)
    words = re.findall(r">([^<>]+)</text>", "".join(parts))
    assert [word for word in words if re.fullmatch(r"[\d.]+", word)] == [
        "0.60",
        "0.40",
        "0.75",
        "0.25",
        "0.45",
        "0.30",
        "0.25",
    ]
    assert [word for word in words if word in weights] == list(weights)


@pytest.mark.parametrize("model", ["base", "clippy", "beer", "merged", "first", "second"])
def test_every_model_has_a_marker(model):
    assert re.match(r"<(circle|polygon) ", mark(10, 10, model))
