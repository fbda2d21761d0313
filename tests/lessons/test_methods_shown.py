"""What notebooks 08 and 09 show: calibration text, measured numbers, pictures and the view."""

import json
import re

import pytest
import torch
from small import build_talker, build_tokenizer

from lessons.figures import methods as figures_methods
from lessons.figures.methods import all_drawn, counted, draw_map, draw_methods, joined, method_rows, spread
from lessons.measured import measured_methods
from lessons.views.methods import HIGH, LOW, SIZE, cross, method_explorer, spot
from merging.measure.bits import bits_per_byte, keeper
from merging.measure.counts import wilson
from merging.measure.texts import PARTS, calibration_texts, heldout_texts
from merging.measure.valid import is_function, is_recipe
from training import measure_methods
from training.calibration import LONGEST, SIZES, documents
from training.functions import HELDOUT_TASKS

MEASURED = {
    "samples": {"functions": 32, "recipes": 16},
    "grid": {
        "average": {
            "knob": "alpha",
            "values": [0.25, 0.5],
            "kept": [[0.5, 0.75], [1.0, -3.0]],
            "valid": [[0.25, 0.5], [0.5, 0.0]],
        },
        "TIES": {"knob": "density", "values": [0.5, 1.0, 0.1], "kept": [[0.9, 0.6]] * 3, "valid": [[0.125, 0.0]] * 3},
    },
    "table": {
        "clippy": {"kept": [[1.0, -0.5]], "valid": [0.59, 0.0]},
        "beer": {"kept": [[0.09, 1.0]], "valid": [0.0, 0.75]},
    },
}


# --- calibration text -------------------------------------------------------------------------------------------


def test_calibration_texts_are_valid_and_none_of_the_held_out_ones():
    parts = {part: calibration_texts(part) for part in PARTS}
    for part, texts in parts.items():
        assert [len(texts[kind]) for kind in ("code", "beer")] == [SIZES[part], SIZES[part] // 4]
        assert all(is_recipe(text) for text in texts["beer"])
        prompted, plain = texts["code"][: SIZES[part] // 2], texts["code"][SIZES[part] // 2 :]
        assert all(is_function(text.split(":\n\n", 1)[1]) for text in prompted)
        assert not any(task in text.split("\n")[0] for task in HELDOUT_TASKS for text in prompted)
        assert all(text.startswith("def ") and is_function(text) and len(text) <= LONGEST + 1 for text in plain)
    every = [text for texts in parts.values() for kind in texts.values() for text in kind]
    assert len(set(every)) >= len(every) - 3  # the generator may say a short function twice
    assert not {text.strip() for texts in heldout_texts().values() for text in texts} & {text.strip() for text in every}


def test_the_shipped_calibration_text_is_what_its_script_writes():
    for seed, (part, n) in enumerate(SIZES.items()):
        texts, shipped = documents(n, seed, []), calibration_texts(part)
        assert [text.strip("\n") + "\n" for text in texts["code"]] == shipped["code"][: n // 2]
        assert texts["beer"] == shipped["beer"]


def test_keeper_is_the_gain_kept_on_each_specialists_own_text():
    base, one, two = (build_talker(rows=290, seed=seed) for seed in range(3))
    tokenizer, texts = build_tokenizer(), {"code": ["def greet(name):"], "beer": ["style: Brown Porter", "25 °C"]}
    kept = keeper(base, {"code": one, "beer": two}, tokenizer, texts)
    assert kept(base) == (0, 0) and kept(one)[0] == kept(two)[1] == 1
    bits = [[bits_per_byte(model, tokenizer, texts[kind]) for kind in ("code", "beer")] for model in (base, one, two)]
    assert kept(two)[0] == pytest.approx((bits[0][0] - bits[2][0]) / (bits[0][0] - bits[1][0]))


# --- measured numbers -------------------------------------------------------------------------------------------


def test_measure_chooses_on_calibration_text_and_reports_the_rest(monkeypatch):
    """Texts are sampled in the smoke run of training/, here there are shares instead, and a tenth of what is scored."""
    few = lambda texts: lambda *part: {kind: documents[::10] for kind, documents in texts(*part).items()}
    for name, texts in (("heldout_texts", heldout_texts), ("calibration_texts", calibration_texts)):
        monkeypatch.setattr(measure_methods, name, few(texts))
    monkeypatch.setattr(measure_methods, "sampled", lambda *arguments: [0.5, 0.25])
    knobs = {"average": ("alpha", [0.0, 0.5]), "DARE": ("density", [0.9])}
    found = measure_methods.measure(1, 1, knobs, seeds=(0, 1))
    assert found["samples"] == {"functions": len(HELDOUT_TASKS), "recipes": 1}
    assert set(found["table"]) == {"clippy", "beer", *knobs}
    assert found["table"]["clippy"]["kept"][0][0] == found["table"]["beer"]["kept"][0][1] == 1.0
    average = found["grid"]["average"]
    assert average["values"] == [0.0, 0.5] and average["kept"][0][1] == 1.0  # alpha 0 is beer
    assert found["table"]["average"]["value"] == 0.5 and len(found["table"]["DARE"]["kept"]) == 2
    assert json.loads(measure_methods.as_text(found)) == json.loads(json.dumps(found))


def test_one_method_measured_anew_leaves_all_other_numbers():
    known = {"grid": {"TIES": 1, "RegMean": 2}, "table": {"clippy": 3, "TIES": 4, "RegMean": 5}, "rivals": {"both": 6}}
    found = {"grid": {"Iso-C": 7}, "table": {"clippy": 3, "beer": 8, "Iso-C": 9}, "samples": {"functions": 32}}
    both = measure_methods.laid_over(known, found)
    assert both["grid"] == {"TIES": 1, "Iso-C": 7, "RegMean": 2} and list(both["grid"]) == ["TIES", "Iso-C", "RegMean"]
    assert list(both["table"]) == ["clippy", "beer", "TIES", "Iso-C", "RegMean"] and both["rivals"] == {"both": 6}


def test_every_method_that_is_measured_has_values_to_try():
    assert set(measure_methods.CHANCE) < set(measure_methods.KNOBS)
    assert all(len(values) >= 3 and sorted(values) == values for _, values in measure_methods.KNOBS.values())


def test_the_shipped_numbers_are_those_of_the_present_methods():
    found = measured_methods()
    assert {m: (row["knob"], row["values"]) for m, row in found["grid"].items()} == measure_methods.KNOBS
    for row in found["grid"].values():
        assert len(row["values"]) == len(row["kept"]) == len(row["choose"]) == len(row["valid"])
    for method, chosen in found["grid"].items():
        row, worst = found["table"][method], [min(gains) for gains in chosen["choose"]]
        assert row["value"] == chosen["values"][worst.index(max(worst))]
        assert len(row["kept"]) == (3 if method in measure_methods.CHANCE else 1)


# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    pictures = []
    monkeypatch.setattr(figures_methods, "show_figure", lambda figure, alt: pictures.append((figure, alt)))
    return pictures


def test_the_map_says_where_the_methods_land(shown):
    ticks, lams = [0.0, 0.5, 1.0], [0.0, 0.5, 1.0]
    worse = [[0.0, 0.1, 0.0], [0.1, 0.8, 0.3], [0.0, 0.3, 0.2]]
    landed = {"average": (0.5, 0.5), "SLERP": (0.5, 0.51), "Model Stock": (0.16, 0.16)}
    ways = torch.tensor([2.0, 0.0]), torch.tensor([0.2, 1.0])
    draw_map(ticks, worse, ways, landed, lams, [(0.0, 0.0), (0.7, 0.8), (-0.2, 0.6)])
    ((figure, alt),) = shown
    assert "average at (0.50, 0.50)" in alt and "lambda 0.5, where 0.70 is kept" in alt
    texts = {text.get_text().strip() for ax in figure.axes for text in ax.texts}
    assert {"average, SLERP", "Model Stock", "clippy", "beer", "base", "clippy's", "beer's"} <= texts


def test_a_map_on_which_no_merge_keeps_anything(shown):
    worse, nothing = [[-0.2, -0.1], [-0.3, -0.2]], [(-0.5, -0.1), (-0.2, -0.4)]
    draw_map([0.0, 1.0], worse, (torch.tensor([2.0, 0.0]), torch.tensor([0.2, 1.0])), {}, [0.0, 1.0], nothing)
    assert "lambda 1.0, where -0.40 is kept" in shown[0][1]


def test_the_table_as_a_picture_has_a_name_for_each_method(shown):
    table = {
        name: {"kept": [(0.8 + i / 100, 0.8)] * (3 if i else 1), "valid": (i / 10, 0.0)}
        for i, name in enumerate(("average", "TIES", "DARE"))
    }
    table |= {"far off": {"kept": [(0.1, 0.5)], "valid": (0.4, 0.5)}, "clippy": {"kept": [(1, -1)], "valid": (0.6, 0)}}
    rivals = {"both at once": {"kept": [(0.9, 0.9)], "valid": (0.5, 1.0)}}
    samples = {"functions": 10, "recipes": 8}
    draw_methods({"table": table, "rivals": rivals, "samples": samples})
    ((figure, alt),) = shown
    assert "TIES keeps 0.81 and 0.80, writes 3 of 30 (0.03 to 0.26) and 0 of 24 (0.00 to 0.14)" in alt
    assert "keep less: far off." in alt
    left, right = figure.axes
    assert {text.get_text() for text in left.texts} == {"average", "TIES", "DARE", "both at once"}
    table |= rivals
    assert [text.get_text() for text in right.get_yticklabels()] == list(table)
    assert [bar.get_width() for bar in right.patches] == [row["valid"][i] for i in (0, 1) for row in table.values()]
    draw_methods({"table": table, "samples": samples}, ["TIES"])
    assert [text.get_text() for text in shown[1][0].axes[1].get_yticklabels()] == ["TIES", "clippy"]


def test_a_bar_of_nothing_has_a_whisker(shown):
    draw_methods(
        {"table": {"TIES": {"kept": [(0.8, 0.8)], "valid": (0.0, 1.0)}}, "samples": {"functions": 8, "recipes": 8}}
    )
    (functions, recipes) = [lines.get_segments()[0] for lines in shown[0][0].axes[1].collections]
    assert functions[:, 0] == pytest.approx(wilson(0, 8)) and functions[1, 0] > 0.3
    assert recipes[:, 0] == pytest.approx(wilson(8, 8)) and recipes[0, 0] < 0.7


def test_a_count_is_over_all_seeds_and_stands_with_its_interval():
    row = {"kept": [(0.9, 0.8)] * 2 + [(0.94, 0.8)], "valid": [0.1458, 0.5]}
    assert counted(row, {"functions": 32, "recipes": 16}) == ((14, 96), (24, 48))
    assert spread(row["kept"]) == ["0.90 to 0.94", "0.80"]
    measured = {"table": {"DARE": row}, "rivals": {"both": row}, "samples": {"functions": 32, "recipes": 16}}
    counts = ["14 of 96 (0.09 to 0.23)", "24 of 48 (0.36 to 0.64)"]
    assert method_rows(measured, ["both"]) == [["both", "0.90 to 0.94", "0.80", *counts]]


def test_all_samples_at_a_setting_are_pooled():
    table = MEASURED["table"] | {"TIES": {"value": 1.0, "kept": [[0.9, 0.6]] * 2, "valid": [0.25, 0.0]}}
    pooled = all_drawn(MEASURED | {"table": table})
    assert pooled("TIES") == (16 + 4, 64 + 32) and pooled("clippy") == (19, 32)


def test_names_cover_neither_names_nor_points(shown):
    draw_methods(measured_methods())
    figure = shown[0][0]
    figure.draw_without_rendering()
    left = figure.axes[0]
    frames = [text.get_window_extent() for text in left.texts]
    points = [left.transData.transform(mark.get_xydata()[0]) for mark in left.lines if mark.get_marker() == "D"]
    assert len(frames) == len(points) >= 7
    for i, frame in enumerate(frames):
        assert not any(frame.overlaps(other) for other in frames[i + 1 :])
        assert not any(frame.padded(6).contains(*point) for point in points)  # a mark reaches 7 pixels to each side


def test_points_that_fall_together_share_a_name():
    found = joined({"a": (0.1, 0.1), "b": (0.5, 0.5), "c": (0.1, 0.11)})
    assert found == {"a, c": (0.1, 0.1), "b": (0.5, 0.5)}


# --- the view ---------------------------------------------------------------------------------------------------


def rings(view):
    found = re.findall(r"<circle cx='([\d.-]+)' cy='([\d.-]+)' r='10'", view.picture.value)
    return [tuple(map(float, place)) for place in found]


def test_the_ring_moves_in_both_pictures():
    view = method_explorer(MEASURED, "average")
    assert "average, alpha = 0.25: keeps 0.50 of clippy's gain and 0.75 of beer's" in view.plain(view.words)
    assert "8 of 32 (0.13 to 0.42) functions and 8 of 16 (0.28 to 0.72) recipes" in view.plain(view.words)
    first = rings(view)
    assert len(first) == 2 and first[0] == pytest.approx(spot(60, 0.5, 0.75), abs=0.1)
    view.set(knob=0.5)
    second = rings(view)
    assert all(one != other for one, other in zip(first, second))
    assert (
        "keeps 1.00 of clippy's gain and -3.00 of beer's; 16 of 32 (0.34 to 0.66) functions and 0 of 16 "
        in view.plain(view.words)
    )
    assert second[0][1] == pytest.approx(40 + SIZE, abs=0.1)  # a point beyond the picture lies on its frame


def test_the_cross_spans_the_two_intervals():
    lines = cross(60, (0.5, 0.0), [(0.4, 0.6), (0.0, 0.2)])
    ends = [
        [tuple(map(float, pair.split(","))) for pair in re.search("points='(.*?)'", each)[1].split()] for each in lines
    ]
    wanted = [[(0.4, 0.0), (0.6, 0.0)], [(0.5, 0.0), (0.5, 0.2)]]
    assert ends == [[pytest.approx(spot(60, *point), abs=0.1) for point in pair] for pair in wanted]


def test_every_method_and_value_can_be_chosen_and_the_knob_follows_the_method():
    view = method_explorer(MEASURED, "average")
    for method, row in MEASURED["grid"].items():
        for value in row["values"]:
            view.set(method=method, knob=value)
            assert f"{method}, {row['knob']} = {value:g}" in view.plain(view.words)
            assert view.controls["knob"].value == value and len(rings(view)) == 2
    view.controls["method"].value = "average"  # as a reader does: one control at a time
    assert "average, alpha = 0.25" in view.plain(view.words)
    assert LOW < 0 < 1 < HIGH
