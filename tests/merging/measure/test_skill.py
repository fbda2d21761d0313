"""The judge of small tasks: which function of a text is run, which answers are right, and the held-out tasks."""

import pytest
from small import build_talker, build_tokenizer

from merging.measure.passes.skill import (
    SPLITS,
    ask,
    has_ended,
    same_answer,
    skill_tasks,
    solves,
)

SUM = {"task": "add two numbers", "examples": [[[1, 2], 3], [[5, 5], 10]]}
MINUS = {"task": "subtract the second number from the first", "examples": [[[5, 2], 3], [[1, 4], -3]]}
CODE = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        f"\n\n\n{CODE}\nprint(add(1, 2))",
        f"Here it is:\n\n```python\n{CODE}```\n\nIt adds def x.",
        f"```\n{CODE}",
        f"\n\n  ```py\n{''.join('  ' + line for line in CODE.splitlines(True))}  ```",
        "import math\n\n\ndef add(\n    a,\n    b,\n):\n    # first\n    return math.fsum([a, b])\n\n\nThat is all",
        "def plus(a, b):\n    print(a + b)\n",
        "def add(a, b):\n    return a + b\n\n\ndef add(a, b):\n    return 0\n",
        "You could use:\ndef add(x, y): return x + y",
    ],
)
def test_the_first_function_counts_and_what_stands_around_it_does_not(text):
    assert solves(text, SUM)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def",
        "Use a + b.",
        "def add(a, b):\nreturn a + b",
        "def add(a, b):\n    return a - b",
        "def add(a):\n    return a + a",
        "def add(a, b):\n    return str(a + b) + '!'",
        "def helper(a, b):\n    return 0\n\ndef add(a, b):\n    return a + b",
        "def add(a, b):\n    import os\n    return a + b",
    ],
)
def test_anything_else_does_not(text):
    assert not solves(text, SUM)


def test_arguments_may_come_in_either_order_but_in_the_same_for_all_examples():
    assert solves("def minus(a, b):\n    return a - b", MINUS)
    assert solves("def minus(b, a):\n    return a - b", MINUS)
    assert not solves("def minus(a, b):\n    return abs(a - b)", MINUS)


def test_the_sixteen_tasks_have_examples_of_their_own():
    factorial = next(task for task in skill_tasks("C") if "factorial" in task["task"])
    assert solves("def f(n):\n    return 1 if n < 2 else n * f(n - 1)", factorial)
    assert not solves("def f(n):\n    return n", factorial)


@pytest.mark.parametrize(
    "answer, expected, same",
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (1, True, False),
        (True, 1, False),
        ("True", True, True),
        ("3", 3, True),
        ("33", 3, False),
        ("a", "a", True),
        ("a\n", "a", True),
        ("A", "a", False),
        ([1, [2]], [1, [2]], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"b": 1}, False),
        (None, 3, False),
        (None, [], False),
    ],
)
def test_answers(answer, expected, same):
    assert same_answer(answer, expected) is same


@pytest.mark.parametrize("text", [f"{CODE}\nprint(1)", f"```python\n{CODE}```", f"{CODE}\n\n\nThis adds"])
def test_a_text_may_end_when_its_function_is_complete(text):
    assert has_ended(text) and solves(text, SUM)
    assert not has_ended(CODE) and not has_ended("```python\n" + CODE) and not has_ended("def add(\n    a,\n)")


def test_answers_come_in_the_order_of_the_tasks_and_without_the_prompt():
    tokenizer = build_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    model = build_talker(len(tokenizer))
    tasks = [{"task": "do so much"}, {"task": "do"}, {"task": "do this"}]
    answers = ask(model, tokenizer, tasks, n=2)
    assert list(map(len, answers)) == [2, 2, 2]
    assert list(map(len, ask(model, tokenizer, tasks, n=2, temperature=0.0))) == [1, 1, 1]
    assert not any("Write" in text for texts in answers for text in texts)


def test_the_splits_have_the_sizes_that_are_told_and_share_no_task():
    tasks = {split: [task["task"] for task in skill_tasks(split)] for split in SPLITS}
    assert {split: len(each) for split, each in tasks.items()} == {"A": 60, "B": 80, "C": 16, "choose": 60}
    assert len(set().union(*tasks.values())) == 216
    families = [{task["family"] for task in skill_tasks(split)} for split in ("A", "B", "choose")]
    assert all(len(task["examples"]) == 5 for split in ("A", "B", "choose") for task in skill_tasks(split))
    assert not families[1] & (families[0] | families[2]) and not families[0] & families[2]
