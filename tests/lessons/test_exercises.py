"""Every check says right to right answers, and what in particular is wrong to others: answers/ has a table."""

import re
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import learner
import nbformat
import numpy as np
import pytest
import torch

from lessons.exercises.form import OPEN
from merging.paths import ROOT

CHECKS = {
    name.removeprefix("check_").lstrip("0"): check
    for file in sorted((ROOT / "lessons" / "exercises").glob("notebook_*.py"))
    for name, check in vars(import_module(f"lessons.exercises.{file.stem}")).items()
    if name.startswith("check_") and hasattr(check, "tries")
}
VERDICTS = {"right": True, "wrong": False, "open": None}
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
Answer = namedtuple("Answer", "exercise rest verdict listed given piece")  # listed: its number in the solution's list


def read_answers(path):
    """The answers of a table; its form stands at the top of answers/01.txt."""
    exercise, rest = None, ""
    for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
        if section := re.fullmatch(r"\[(\d+[a-e])\] ?(.*)", line):
            exercise, rest = section.groups()
        elif not line.startswith("#"):
            verdict, listed, given, piece = re.fullmatch(r"(\w+) (\d)? *(.+?) +=>(?: (.+))?", line).groups()
            yield Answer(exercise, rest, VERDICTS[verdict], int(listed or 0), given, piece or "")


ANSWERS = [each for path in sorted(Path(__file__).with_name("answers").glob("*.txt")) for each in read_answers(path)]


@pytest.fixture(scope="module")
def world(tiny):
    return learner.world(tiny)


def values(expression, world):
    return eval(f"({expression},)" if expression else "()", dict(world))


def ask(exercise, answers, rest, capsys):
    """(verdict, the sentence) of a check that has seen no answer before."""
    CHECKS[exercise].tries.clear()
    verdict = CHECKS[exercise](*answers, *rest)
    line = capsys.readouterr().out.splitlines()[-1]  # before it stands what the answer prints
    said = {True: "right", False: "not yet", None: "open"}[verdict]
    assert line.startswith(f"{exercise} {said}: ") and len(line) < 420, (answers, line)
    return verdict, line.partition(": ")[2]


@pytest.mark.parametrize("exercise", CHECKS)
def test_each_answer_gets_its_verdict_and_its_sentence(exercise, world, capsys):
    amiss = []
    for answer in ANSWERS:
        if answer.exercise == exercise:
            given, rest = values(answer.given, world), values(answer.rest, world)
            verdict, sentence = ask(exercise, given, rest, capsys)
            said = answer.piece in sentence if answer.piece else sentence == OPEN
            if verdict is not answer.verdict or not said or "the check cannot read" in sentence:
                amiss.append(f"{answer.given} => {verdict}: {sentence}")
    assert not amiss, "\n".join(amiss)


def test_every_exercise_has_answers_of_each_verdict():
    for exercise in CHECKS:
        verdicts = [answer.verdict for answer in ANSWERS if answer.exercise == exercise]
        assert verdicts.count(True) >= 2 and verdicts.count(False) >= 5 and verdicts.count(None) >= 1
    assert len(ANSWERS) >= 400 and {answer.exercise for answer in ANSWERS} == set(CHECKS)


FORMS = [Fraction, Decimal, np.float64, np.array, torch.tensor, lambda n: np.array([n]), lambda n: torch.tensor([n])]


def in_form(answer, form):
    """An answer with each of its numbers in another form."""
    if type(answer) is dict:
        return {key: in_form(value, form) for key, value in answer.items()}
    if type(answer) in (list, tuple):
        return type(answer)(in_form(part, form) for part in answer)
    return form(answer) if type(answer) in (int, float) else answer


NUMBERS = "1a 1c 2c 3c 3d 5a 5b 6b 6c 7a 7c 8a 8b 8c 9a 9b 10a 10c 11a".split()


@pytest.mark.parametrize("exercise", NUMBERS)
def test_a_number_is_a_number_in_any_form(exercise, world, capsys):
    answer = next(each for each in ANSWERS if each.exercise == exercise and each.verdict)
    rest = values(answer.rest, world)
    for form in FORMS:
        assert ask(exercise, in_form(values(answer.given, world), form), rest, capsys)[0] is True, form


JUNK = ["x", 3, -1.5, float("nan"), True, None, [], [1], {}, {"a": 1}, (1, 2), object(), object, torch.zeros(3), {1}]
JUNK += [b"x", range(3), np.zeros((2, 2)), torch.nn.Linear(1, 1), lambda *args: 1 / 0, lambda *args: "x", lambda: {}]


@pytest.mark.parametrize("exercise", CHECKS)
def test_garbage_gets_a_sentence_of_ours_and_never_raises(exercise, world, capsys):
    answer = next(each for each in ANSWERS if each.exercise == exercise and each.verdict)
    right, rest = values(answer.given, world), values(answer.rest, world)
    for junk in JUNK:
        for place in range(len(right)):
            verdict, sentence = ask(exercise, (*right[:place], junk, *right[place + 1 :]), rest, capsys)
            assert verdict is False and "the check cannot read" not in sentence, junk


@pytest.mark.parametrize("exercise", CHECKS)
def test_a_call_that_has_lost_something_says_what(exercise, capsys):
    CHECKS[exercise]()
    assert " not yet: the call of the check has lost " in capsys.readouterr().out


@pytest.mark.parametrize(
    "exercise, wrong, way",
    [
        ("1a", (1, 3, 4), "0 differ"),
        ("6a", (0.3, 0.7, 0.9), "1/4 B1 A1"),
        ("10a", (8, 1, 10), "write target: 5."),
        ("10c", (1, 2, 3), "38 s"),
    ],
)
def test_the_third_different_wrong_number_gets_the_way(exercise, wrong, way, world, capsys):
    answer = next(each for each in ANSWERS if each.exercise == exercise and each.verdict)
    (_, *others), rest, check = values(answer.given, world), values(answer.rest, world), CHECKS[exercise]
    check.tries.clear()

    def say(number):
        check(number, *others, *rest)
        return capsys.readouterr().out

    first, second, third = map(say, wrong)
    assert way not in first and way not in second and way in third
    assert [say(each) for each in wrong] == [first, second, third]  # a cell that is run again says the same again
    say(values(answer.given, world)[0])
    assert say(wrong[2]) != third  # a right answer forgets the wrong ones


def test_what_a_learner_breaks_is_mended(world, capsys):
    """The parents of 10b are the notebook's own; the fixture `tiny` watches over the trio."""
    before = {name: tensor.clone() for name, tensor in learner.named_weights(world["one"]).items()}
    ruins = values("loop(lambda a, b, out: out.copy_(a.lerp_(b, 0.7)))", world)
    assert ask("10b", ruins, values("one, other, out", world), capsys)[0] is False
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.named_weights(world["one"]).items())


def text(path):
    return "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


def code(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


NOT_TYPED = {  # listed in a solution, and no answer that a check could see: exercise, number in the list
    ("1a", 3): "about two other models",
    ("1b", 3): "gives the same name",
    ("9c", 2): "about what to do next",
}


OTHER_NUMBERS = {("3b", 2), ("4a", 1)}  # measured on more text, numbers of blocks


def listed_mistakes(exercise):
    """number, text of every common wrong answer of an exercise."""
    path = next(path for path in SOLUTIONS if int(path.name[:2]) == int(exercise[:-1]))
    part = text(path).partition(f"## {exercise} · ")[2].partition("\n## ")[0]
    bullets = re.findall(r"^- (.+)$", part.partition("*Common wrong answers.*\n\n")[2], flags=re.MULTILINE)
    return [(number, bullet) for number, bullet in enumerate(bullets, 1) if (exercise, number) not in NOT_TYPED]


def flat_numbers(answer):
    """All numbers in an answer."""
    if isinstance(answer, dict | list | tuple):
        parts = answer.values() if isinstance(answer, dict) else answer
        return [number for part in parts for number in flat_numbers(part)]
    if isinstance(answer, str):
        return [float(n) for n in re.findall(r"-?\d+\.?\d*", answer)]
    return [float(answer)] if isinstance(answer, int | float) else []


@pytest.mark.parametrize("exercise", CHECKS)
def test_a_common_wrong_answer_has_a_sentence_of_its_own(exercise, world, capsys):
    mistakes = listed_mistakes(exercise)
    assert mistakes
    for number, bullet in mistakes:
        typed = [each for each in ANSWERS if (each.exercise, each.listed) == (exercise, number)]
        assert typed, f"no answer in the table for: {bullet}"
        for answer in typed:
            verdict, sentence = ask(exercise, values(answer.given, world), values(answer.rest, world), capsys)
            assert verdict is False and not re.search(r"is too (large|small)\. ", sentence), bullet
        given = flat_numbers([values(each.given, world) for each in typed])
        said = " ".join(re.findall(r"(?<!\*)\*([^*]+)\*", bullet.replace(",", "")))
        compared = given and (exercise, number) not in OTHER_NUMBERS
        for wanted in re.findall(r"-?\d+(?:\.\d+)?(?:/\d+)?", said) if compared else []:
            size, places = float(Fraction(wanted)), 3 if "/" in wanted else len(wanted.partition(".")[2])
            there = any(round(scale * n, places) == size for n in given for scale in (1, 100))
            assert there, f"{wanted} is not among the answers for: {bullet}"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_solution_is_executed_and_its_checks_say_right(path):
    cells = code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    printed = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    asserted = re.findall(r"^assert check_0?(\d+[a-e])\(", "\n".join(cell.source for cell in cells), flags=re.MULTILINE)
    assert asserted == [name for name in CHECKS if int(name[:-1]) == int(path.name[:2])]
    for name in asserted:
        assert re.search(rf"^{name} right: ", printed, flags=re.MULTILINE)
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr" for c in cells for output in c.outputs
    )


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_solution_is_one_for_each_exercise_of_its_notebook(path):
    [notebook] = (ROOT / "notebooks").glob(f"{path.name[:2]}_*.ipynb")
    wanted = re.findall(r"^### (\d+[a-e] · .+)$", text(notebook), flags=re.MULTILINE)
    assert re.findall(r"^## (\d+[a-e] · .+)$", text(path), flags=re.MULTILINE) == wanted
    assert text(path).count("*Common wrong answers.*\n\n- ") == len(wanted)
    assert f"(../{notebook.name})" in text(path)


def test_there_is_a_solution_for_each_notebook():
    numbers = lambda paths: [path.name[:2] for path in paths]
    assert numbers(SOLUTIONS) == numbers(sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
