"""The methods on the real model: chosen on tasks that are for choosing, counted on others, and stored as the pictures
need them.
"""

import torch

from lessons.measured import averages, best_of_both, measured_smollm2, real_methods, stored
from merging.measure.passes.skill import skill_tasks
from training import measure_real_methods
from training.measure_methods import CHANCE, KNOBS, SEEDS


def counted(solved, checks, **other):
    return {"solved": solved, "recipes": {"n": len(checks), "valid": 1, "in style": 0, "checks": checks}} | other


def test_a_knob_is_chosen_by_the_worse_of_two_skills_and_each_seed_is_counted(monkeypatch):
    ends = measured_smollm2()["rows"]
    clippy, beer = averages(ends)[-1]["choose"]["solved"], averages(ends)[0]["choose"]["recipes"]["checks"]
    few = {0.3: (clippy, "0" * 16), 0.5: (clippy, beer), 0.7: ("0" * 60, beer)}
    monkeypatch.setattr(measure_real_methods, "chosen_by", lambda value, *_: {"choose": counted(*few[value[0]])})
    monkeypatch.setattr(measure_real_methods, "reported", lambda merge, *_: {"merge": merge})
    monkeypatch.setattr(measure_real_methods, "quick", lambda merge: merge)
    found = measure_real_methods.measure(lambda *at: at, "density", list(few), None, None, seeds=(0, 1))
    assert found["value"] == 0.5 and found["runs"] == [{"merge": (0.5, 0)}, {"merge": (0.5, 1)}]


def test_an_answer_is_asked_for_the_parts_that_are_for_it(monkeypatch):
    asked = []
    monkeypatch.setattr(measure_real_methods, "passes_of", lambda model, tokenizer, tasks, n: asked.append((tasks, n)))
    monkeypatch.setattr(measure_real_methods, "recipes_of", lambda *arguments: asked.append(arguments[2:]))
    measure_real_methods.chosen_by(torch.nn.Linear(1, 1), None, 1)
    measure_real_methods.reported(torch.nn.Linear(1, 1), None, lambda model: [1, 1], 1)
    (choose, twice), (styles, *_), (a, four), (b, _), (others, _) = asked
    assert (choose, a, b) == tuple(skill_tasks(part) for part in ("choose", "A", "B")) and (twice, four) == (2, 4)
    assert len(styles) == len(others) == 16 and not set(styles) & set(others)


def test_the_stored_methods_are_those_that_were_chosen_and_count_every_task():
    rows = averages(measured_smollm2()["rows"])
    for name, found in stored("smollm2/methods.json").items():
        assert (found["knob"], [row["value"] for row in found["grid"]]) == measure_real_methods.METHODS[name]
        assert found["knob"] == KNOBS[name][0] and set(dict(found["grid"][0])) == {"value", "choose"}
        assert found["value"] == best_of_both(found["grid"], rows[-1], rows[0])["value"]
        assert len(found["runs"]) == (len(SEEDS) if name in CHANCE else 1)
    for row in real_methods().values():
        assert {part: len(row["solved"][part]) for part in "AB"} == {part: len(skill_tasks(part)) for part in "AB"}
        assert row["n"] == 4 * len(row["kept"])
        assert len(row["recipes"]["checks"]) == row["recipes"]["n"] == 8 * row["n"]
