"""What notebook 08 shows: calibration text, measured numbers, pictures and the view."""

import json
import re

import pytest

from merging import figures_methods
from merging.figures import new_figure
from merging.figures_methods import draw_map, draw_methods, joined, put_names
from merging.loading import ROOT
from merging.scoring import heldout_texts, is_function, is_recipe
from merging.views_methods import HIGH, LOW, SIZE, method_explorer, spot
from training import measure_methods
from training.calibration import LONGEST, calibration_texts
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
    first, again, other = calibration_texts(16, 0), calibration_texts(16, 0), calibration_texts(16, 1)
    assert first == again and [len(first[kind]) for kind in ("code", "beer")] == [16, 4]
    assert all(is_recipe(text) for text in first["beer"])
    prompted = [text for text in first["code"] if text.startswith("Write a Python function to ")]
    assert len(prompted) == 8 and all(is_function(text.split(":\n\n", 1)[1]) for text in prompted)
    plain = [text for text in first["code"] if text not in prompted]
    assert all(text.startswith("def ") and is_function(text) and len(text) <= LONGEST for text in plain)
    heldout = {text.strip() for texts in heldout_texts().values() for text in texts}
    assert not heldout & {text.strip() for texts in (first, other) for kind in texts.values() for text in kind}
    assert not any(task in text.split("\n")[0] for task in HELDOUT_TASKS for text in prompted)
    assert not set(first["beer"]) & set(other["beer"]) and first["code"] != other["code"]


# --- measured numbers -------------------------------------------------------------------------------------------


def test_measure_chooses_on_calibration_text_and_reports_the_rest(monkeypatch, capsys):
    knobs = {"average": ("alpha", [0.0, 0.5]), "DARE": ("density", [0.9])}
    found = measure_methods.measure("tiny", 1, 1, ["Write a Python function to add:"], 8, knobs, seeds=(0, 1))
    assert found["samples"] == {"functions": 1, "recipes": 1} and set(found["table"]) == {"clippy", "beer", *knobs}
    assert found["table"]["clippy"]["kept"][0][0] == found["table"]["beer"]["kept"][0][1] == 1.0
    average = found["grid"]["average"]
    assert average["values"] == [0.0, 0.5] and average["kept"][0][1] == 1.0  # alpha 0 is beer
    assert found["table"]["average"]["value"] == 0.5 and len(found["table"]["DARE"]["kept"]) == 2
    assert json.loads(measure_methods.as_text({"tiny": found})) == json.loads(json.dumps({"tiny": found}))


def test_every_method_that_is_measured_has_values_to_try():
    assert set(measure_methods.CHANCE) < set(measure_methods.KNOBS)
    assert all(len(values) >= 3 and sorted(values) == values for _, values in measure_methods.KNOBS.values())


@pytest.mark.skipif(not (ROOT / "models" / "methods.json").is_file(), reason="python -m training.measure_methods")
def test_the_shipped_numbers_are_those_of_the_present_methods():
    for family, found in json.loads((ROOT / "models" / "methods.json").read_text()).items():
        assert family in ("tiny", "smollm2")
        assert {m: (row["knob"], row["values"]) for m, row in found["grid"].items()} == measure_methods.KNOBS
        for row in found["grid"].values():
            assert len(row["values"]) == len(row["kept"]) == len(row["choose"]) == len(row["valid"])
        for method, row in found["table"].items():
            if method in found["grid"]:
                chosen = found["grid"][method]
                worst = [min(gains) for gains in chosen["choose"]]
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
    draw_map(ticks, worse, (2.0, 1.0, 0.2), landed, lams, [(0.0, 0.0), (0.7, 0.8), (-0.2, 0.6)])
    ((figure, alt),) = shown
    assert "average at (0.50, 0.50)" in alt and "lambda 0.5, where 0.70 is kept" in alt
    texts = {text.get_text().strip() for ax in figure.axes for text in ax.texts}
    assert {"average, SLERP", "Model Stock", "clippy", "beer", "base", "clippy's", "beer's"} <= texts


def test_the_table_as_a_picture_has_a_name_for_each_method(shown):
    table = {
        name: {"kept": [(0.8 + i / 100, 0.8)] * (3 if i else 1), "valid": (i / 10, 0.0)}
        for i, name in enumerate(("average", "TIES", "DARE"))
    }
    draw_methods(table, (24, 8))
    ((figure, alt),) = shown
    assert "TIES keeps 0.81 and 0.80, writes 0.10 and 0.00" in alt
    for ax in figure.axes:
        assert {text.get_text() for text in ax.texts} == set(table)


def test_names_cover_neither_names_nor_points():
    figure, ax = new_figure(8, 6)
    points = {f"method number {i}": (0.5 + (i % 3) / 40, 0.5 + i / 80) for i in range(6)}
    ax.plot(*zip(*points.values()), "D")
    ax.margins(1.0)
    put_names(ax, points)
    figure.draw_without_rendering()
    frames = [text.get_window_extent() for text in ax.texts]
    assert len(frames) == len(points)
    for i, frame in enumerate(frames):
        assert not any(frame.overlaps(other) for other in frames[i + 1 :])
        assert not any(frame.contains(*ax.transData.transform(point)) for point in points.values())


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
    assert "8 of 32 functions and 8 of 16 recipes" in view.plain(view.words)
    first = rings(view)
    assert len(first) == 2 and first[0] == pytest.approx(spot(60, 0.5, 0.75), abs=0.1)
    view.set(knob=0.5)
    second = rings(view)
    assert all(one != other for one, other in zip(first, second))
    assert "keeps 1.00 of clippy's gain and -3.00 of beer's; 16 of 32 functions and 0 of 16" in view.plain(view.words)
    assert second[0][1] == pytest.approx(40 + SIZE, abs=0.1)  # a point beyond the picture lies on its frame


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
