"""Families of tasks: every solution was run, what is held out is not trained, and mistakes are found."""

import json

import pytest

from merging.measure.passes.skill import TASKS_FILE, solves
from training.families import Task, alike, defined, mistakes, neighbour, read_families, split

FAMILIES = read_families()


@pytest.fixture(scope="module")
def parts():
    return split(FAMILIES)


def test_there_are_enough_and_all_of_their_solutions_agree():
    tasks = [task for each in FAMILIES.values() for task in each]
    assert len(FAMILIES) >= 200
    assert [sentence for task in tasks for sentence in mistakes(task)] == []


def test_nothing_in_training_means_what_is_held_out(parts):
    training, held_out = parts
    outside = [task for tasks in held_out.values() for task in tasks]
    whole = {task.family for task in held_out["B"]}
    assert not whole & {task.family for task in training}
    assert not {wording for task in outside for wording in task.wordings} & {
        wording for task in training for wording in task.wordings
    }
    for task in outside[::20]:
        assert alike(task, defined(task.solutions[-1]), len(task.inputs))
        assert not alike(task, lambda arguments: "nothing", len(task.inputs))


def test_the_stored_tasks_are_those_of_the_split_and_the_reference_solves_them(parts):
    stored = json.loads(TASKS_FILE.read_text(encoding="utf-8"))
    for part, tasks in parts[1].items():
        assert [task.wordings[0] for task in tasks] == [task["task"] for task in stored[part]]
        for task, known in list(zip(tasks, stored[part]))[::20]:
            assert solves(task.solutions[-1], known)


def broken(**changes):
    fine = Task("double", (), ("double a number",), ("def double(n):\n    return 2 * n\n",), ("int",))
    return fine._replace(**changes)


@pytest.mark.parametrize(
    "task, sentence",
    [
        (broken(inputs=("thing",)), "no kind of input"),
        (broken(wordings=("find the average of a list",)), "average"),
        (broken(wordings=("double a {what}",)), "slot"),
        (broken(solutions=("def f(n):\n    return n + m\n",)), "NameError"),
        (broken(solutions=("def f(n):\n    return 1\n",)), "every answer is 1"),
        (broken(solutions=("def f(n):\n    return 2 * n\n", "def f(n):\n    return 3 * n\n")), "solution 2 answers"),
        (broken(solutions=("def f(n):\n    return n\n\ndef g(n):\n    return n\n",)), "2 functions"),
    ],
)
def test_mistakes_are_found(task, sentence):
    assert mistakes(broken()) == []
    assert any(sentence in found for found in mistakes(task))


def test_the_neighbour_shares_most_words():
    assert neighbour("count the digits in a text", ["sort a list", "count the spaces in a text"]).startswith("count")
