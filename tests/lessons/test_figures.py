"""Tables, texts and pictures of the notebooks: what is shown, and that its words hold the same numbers."""

import base64

import pytest

from lessons.figures import article, base, experiments
from lessons.figures.base import bar_chart, figure_png, new_figure, show_figure, show_picture, show_table, show_text
from lessons.figures.palette import COLOURS, HATCHES, MARKERS


@pytest.fixture
def shown(monkeypatch):
    """The (data, options) of every display."""
    calls = []
    monkeypatch.setattr(base, "display", lambda data, **options: calls.append((data, options)))
    return calls


def alt_of(shown):
    """The alt text of the one picture that was shown, which a reader without pictures gets as text."""
    [(data, options)] = shown
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert options["raw"] and options["metadata"]["image/png"]["alt"] == data["text/plain"]
    return data["text/plain"]


def test_a_table_has_floats_of_three_digits_and_numbers_on_the_right(shown):
    show_table(["model", "bits", 0.5], [["base", 1.23456, 7], ["beer", 2.0, "many"]])
    [(data, _)] = shown
    assert data.data.splitlines() == [
        "| model | bits | 0.5 |",
        "| :-- | --: | --: |",
        "| base | 1.235 | 7 |",
        "| beer | 2.000 | many |",
    ]


@pytest.mark.parametrize(
    "text, page",
    [("<b>x</b> & y\n", "<b>&lt;b&gt;</b>x&lt;/b&gt; &amp; y</pre>"), ("other", "<b></b>other</pre>")],
)
def test_a_text_stays_text_and_marks_its_prompt(shown, text, page):
    show_text("<b>", text, "merged & kept")
    [(data, options)] = shown
    assert data["text/html"].endswith(page) and "<i>merged &amp; kept</i>" in data["text/html"] and options["raw"]
    assert data["text/plain"] == "--- merged & kept ---\n> <b>\n" + text.removeprefix("<b>").rstrip("\n")


def test_a_figure_is_the_same_bytes_each_time_and_brings_its_alt_text(shown):
    figure, _ = new_figure(2, 1)
    show_figure(figure, "two axes and nothing else")
    assert alt_of(shown) == "two axes and nothing else"
    assert figure_png(figure) == figure_png(new_figure(2, 1)[0])


def test_a_drawn_picture_comes_from_its_folder(shown):
    show_picture("tree.png", "A tree of two merges.")
    assert alt_of(shown) == "A tree of two merges."


def test_bars_have_the_height_of_their_numbers():
    figure, ax = new_figure()
    bar_chart(ax, ["code", "beer"], {"clippy": [1.5, 2.5], "beer": [3.5, 0.5]}, "bits per byte")
    assert [[bar.get_height() for bar in bars] for bars in ax.containers] == [[1.5, 2.5], [3.5, 0.5]]
    assert [text.get_text() for text in ax.texts] == ["1.50", "2.50", "3.50", "0.50"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["code", "beer"]


def test_each_model_has_a_colour_and_a_second_cue_of_its_own():
    trio = ("base", "clippy", "beer", "merged")
    for cue in (COLOURS, MARKERS, HATCHES):
        assert len({cue[model] for model in trio}) == len(trio)


@pytest.mark.parametrize(
    "draw, arguments, words",
    [
        (article.draw_bits, [{"base": {"code": 2.111, "beer": 1.2}}], ["base: code 2.11, beer 1.20"]),
        (
            article.draw_sweep,
            [[0.0, 0.5, 1.0], {"code": [2.0, 1.5, 1.75], "beer": [0.25, 0.5, 1.0]}, {"code": 2.1, "beer": 1.2}],
            ["code 0.5", "beer 0.0"],
        ),
        (
            article.draw_parts,
            [{("beer", "nothing"): (0.01, 0.99), ("beer", "attention"): (0.25, 0.5)}],
            ["beer + nothing 0.01, 0.99", "beer + attention 0.25, 0.50"],
        ),
        (article.draw_reach, [[0.2, 0.4], {"all": [(0.1, 0.9), (0.3, 0.75)]}], ["all (0.10, 0.90), (0.30, 0.75)"]),
        (
            experiments.draw_steps,
            [{"tiny": {"steps": [1, 2], "merge": {"code": [0.25, 0.5]}, "parents": {"code": [1, 2]}}}],
            ["at steps of 1, 2", "tiny, code, of the merge from their ensemble 0.250, 0.500"],
        ),
        (experiments.draw_gains, [{"tree": (0.5, 0.25)}], ["tree: clippy's 0.50, beer's 0.25"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_words_of_a_picture_hold_its_numbers(shown, draw, arguments, words):
    draw(*arguments)
    alt = alt_of(shown)
    assert all(word in alt for word in words), alt
