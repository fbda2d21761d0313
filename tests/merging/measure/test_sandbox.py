"""Sampled functions: right ones count, wrong ones do not, and what tries to get out of its process does not count.

A table of cases, one a kind.
"""

import os
import subprocess
import sys
import tempfile
import threading

import pytest

from merging.measure.passes import sandbox
from merging.measure.passes.sandbox import TASKS, passes, run_code
from merging.measure.passes.tasks import same_number
from training.functions import HELDOUT_TASKS

PLENTY = 10  # CPU seconds for what is right, which needs some tenths
FACTORIAL = "return the factorial of a number"


def cases(blocks):
    """(task, code) pairs from blocks with an empty line between them: a task on one line and the code below it."""
    return [tuple(block.split("\n", 1)) for block in blocks.strip("\n").split("\n\n")]


RIGHT = dict(
    cases(r"""
greet the user by name
def greet(name):
    print(f"Hello, {name}!")

return the second largest number in a list
def second_largest(numbers):
    return sorted(numbers)[-2]

count the vowels in a word
def count_vowels(word):
    return sum(1 for char in word if char in "aeiou")

compute the average of a list of grades
def average(grades):
    return sum(grades) / len(grades)

check whether a year is a leap year
def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)

reverse the words in a sentence
def reverse_words(sentence):
    return " ".join(sentence.split()[::-1])

convert a distance from miles to kilometers
def convert(miles):
    return miles * 1.609

return the factorial of a number
def factorial(n):
    if n <= 1:
        return 1
    return n * factorial(n - 1)

compute the nth fibonacci number
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a

remove duplicates from a list
def unique(items):
    return list(dict.fromkeys(items))

check whether two words are anagrams
def are_anagrams(one, other):
    return sorted(one) == sorted(other)

count the lines in a text file
def count_lines(path):
    with open(path) as file:
        return len(file.readlines())

thank a customer for an order
def thank(customer, order):
    print("Thank you for ordering a", order + ",", customer)

print the multiplication table of a number
def table(number):
    for i in range(1, 11):
        print(number, "x", i, "=", number * i)

find the longest word in a sentence
def longest(sentence):
    return max(sentence.split(), key=len)

write a birthday message for a friend
def birthday(name):
    return "Happy birthday, " + name + "!"
""")
)


WRONG = dict(
    cases(r"""
greet the user by name
def greet(name):
    print("Hello, {name}!")

return the second largest number in a list
def second_largest(numbers):
    first = second = 0
    for number in numbers:
        if number > first:
            first, second = number, first
        elif number > second:
            second = number
    return second

count the vowels in a word
def count_vowels(word):
    return len(word)

compute the average of a list of grades
def average(grades):
    return sum(grades) // len(grades)

check whether a year is a leap year
def is_leap(year):
    return year % 4 == 0

reverse the words in a sentence
def reverse_words(sentence):
    return sentence[::-1]

convert a distance from miles to kilometers
def convert(miles):
    return miles / 1.609

return the factorial of a number
def factorial(n):
    result = 1
    for i in range(1, n):
        result *= i
    return result

compute the nth fibonacci number
def fibonacci(n):
    return n + fibonacci(n - 1) if n > 1 else n

remove duplicates from a list
def unique(items):
    return [x for x in items if items.count(x) == 1]

check whether two words are anagrams
def are_anagrams(one, other):
    return set(one) == set(other)

count the lines in a text file
def count_lines(path):
    with open(path) as file:
        return len(file.read().split())

thank a customer for an order
def thank(customer, order):
    print(f"{customer} ordered a {order}.")

print the multiplication table of a number
def table(number):
    for i in range(1, 11):
        print(number, "+", i, "=", number + i)

find the longest word in a sentence
def longest(sentence):
    return sentence.split()[-1]

write a birthday message for a friend
def birthday(name):
    return "Happy birthday, my friend!"
""")
)

# Other ways to get at what is given, to compute and to answer: one case a kind.
MANNERS = cases(r"""
greet the user by name
def greet():
    name = input("What is your name? ")
    print("Hi", name)

greet the user by name
def ask():
    return input()
def main():
    print("Good morning, {}!".format(ask()))

return the second largest number in a list
import heapq
def f(xs):
    return heapq.nlargest(2, xs)[1]

count the vowels in a word
VOWELS = set('aeiou')
def f(word: str) -> int:
    return len([c for c in word if c in VOWELS])

compute the average of a list of grades
from statistics import mean
def f(grades):
    print(f'The average of {grades} is {mean(grades):.2f}')

compute the average of a list of grades
def f():
    grades = list(map(float, input().split()))
    return sum(grades) / len(grades)

check whether a year is a leap year
def f(year):
    import calendar
    return 'Yes' if calendar.isleap(year) else 'No'

reverse the words in a sentence
def f(text):
    for word in reversed(text.split()):
        print(word, end=' ')

convert a distance from miles to kilometers
class Converter:
    rate = 1.6093
    def convert(self, miles):
        return miles * self.rate
def f(miles):
    return round(Converter().convert(miles), 1)

return the factorial of a number
import math
def f(n):
    return math.factorial(n)

return the factorial of a number
import os
from functools import lru_cache
@lru_cache
def f(n):
    if n < 0:
        raise ValueError('negative')
    return 1 if n == 0 else n * f(n - 1)
if __name__ == '__main__':
    print(f(int(os.environ['N'])))

return the factorial of a number
def f(n):
    return 1 if n == 0 else n * f(n - 1)
n = int(input('n? '))
print(f(n))
def g(n):
    return n +

compute the nth fibonacci number
def f(n):
    root = pow(5, 0.5)
    return round(pow((1 + root) / 2, n) / root)

remove duplicates from a list
def f(items):
    seen = set()
    return [x for x in items if x not in seen and not seen.add(x)]

remove duplicates from a list
def f(items):
    for x in set(items):
        yield x

check whether two words are anagrams
def f(one, other):
    return (a := sorted(one)) == sorted(other) and bool(a)

count the lines in a text file
def f(path):
    try:
        file = open(path, 'r', encoding='utf-8')
    except FileNotFoundError:
        return 0
    n = sum(1 for line in file)
    file.close()
    return n

print the multiplication table of a number
def f(number, limit=10):
    return [number * i for i in range(limit + 1)]

find the longest word in a sentence
def f(text):
    words = iter(text.split())
    best = next(words)
    for word in words:
        best = word if len(word) > len(best) else best
    return best
""")

CARELESS = cases(r"""
greet the user by name
def f(name):
    return name

greet the user by name
def f(name):
    return 'Hello', name

count the vowels in a word
def f(word):
    return True

check whether a year is a leap year
def f(year):
    pass

return the factorial of a number
def f(n):
    r = 1
    for i in range(1, n + 1):
        r *= i
        print(r)

return the factorial of a number
def f(n, *, m):
    return 24

return the factorial of a number
def f(n):
    return 1 if n < 2 else n * f(n - 1)
def g(n):
    return n

return the factorial of a number
n = 5

compute the nth fibonacci number
def f(n):
    return {1: 1, 2: 1, 7: 8, 10: 55}[n]

count the lines in a text file
def f(path):
    with open(path, 'w') as file:
        return 3
""")


def test_every_heldout_task_has_examples_and_each_example_the_same_readings():
    assert list(TASKS) == list(RIGHT) == list(WRONG)
    assert all(len({len(example) for example in examples}) == 1 and len(examples) > 1 for _, examples in TASKS.values())


@pytest.mark.parametrize("task, code", [*RIGHT.items(), *MANNERS])
def test_a_right_function_counts(task, code):
    assert passes(code, task, PLENTY)


@pytest.mark.parametrize("task", HELDOUT_TASKS)
def test_a_plausible_wrong_function_runs_and_does_not_count(task, monkeypatch):
    answers, read = [], sandbox.read_answers
    monkeypatch.setattr(sandbox, "read_answers", lambda *said: answers.append(read(*said)) or answers[-1])
    assert not passes(WRONG[task], task, PLENTY)
    assert len(answers[0]) == len(TASKS[task][1])


@pytest.mark.parametrize("task, code", CARELESS)
def test_lenient_is_not_careless(task, code):
    assert not passes(code, task, PLENTY)


def test_a_task_without_examples_is_refused():
    with pytest.raises(ValueError, match="no examples for 'dance'"):
        passes("def f():\n    return 1", "dance")


@pytest.mark.parametrize("argument, result", [(5, 120), (-3, 7), (4, 4), (0, -12)])
def test_a_number_in_words_is_the_number_and_no_other_is(argument, result):
    for text in (f"The result for {argument} is {result}.", f"{result}\n", result, float(result)):
        assert same_number(text, result, [argument])
        assert not same_number(text, result + 1, [argument])


@pytest.mark.parametrize("answer", [None, True, [24], {"24": 24}, 10**400, float("nan"), float("inf"), "", "odd"])
def test_no_judge_stumbles_over_an_odd_answer(answer):
    for judge, examples in TASKS.values():
        for arguments, *readings in examples:
            assert judge(answer, readings[0], arguments) in (False, readings[0] is True)


# Each would compute factorials if it were left to: a line that is put into a function, one a kind.
SOLVES = "\n    return 1 if n < 2 else n * f(n - 1)\n"
WALK = "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0].__init__.__globals__"
GLOBALS = "print.__globals__"
ACTS = {
    "a module": "import os; os.mkdir({made!r})",
    "a module by name": "__import__('shutil').copytree('.', {made!r})",
    "a file": WALK + "['sys'].modules['builtins'].open({made!r}, 'w')",
    "a folder": WALK + "['mkdir']({made!r})",
    "a pipe": GLOBALS + "['os'].mkfifo({made!r})",
    "a pipe by another module": GLOBALS + "['sys'].modules['posix'].mkfifo({made!r})",
    "a command": WALK + "['system']('touch ' + {made!r})",
    "a process": WALK + "['popen']('touch ' + {made!r}).read()",
    "code of its own": "exec('import os; os.mkdir({made!r})')",
    "the doors themselves": GLOBALS + "['os']._exit = print; " + GLOBALS + "['os'].mkdir({made!r})",
    "the frame above": "[0 for x in (1,) if (i for i in [1]).gi_frame.f_back]; " + WALK + "['mkdir']({made!r})",
    "no more than the rest": "1",
}
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other modules")


@posix
@pytest.mark.parametrize("body", ACTS.values(), ids=ACTS)
def test_an_act_ends_a_sample_and_makes_nothing(body, tmp_path):
    code = "def f(n):\n    " + body.format(made=str(tmp_path / "made")) + SOLVES
    assert passes(code, FACTORIAL, PLENTY) is (body == "1")
    assert not list(tmp_path.iterdir())


ENDLESS = {
    "time": "10 ** 10 ** 9",
    "time whatever is raised": "while True:\n        try:\n            1 / 0\n        except:\n            continue",
    "the clock": GLOBALS + "['sys'].modules['time'].sleep(1000)",
    "memory": "x = 'x' * 2 ** 30",
    "memory by doubling": "x = [1]\n    while len(x) < 2 ** 27:\n        x += x",
    "output": "[print('flood') for i in range(10 ** 4)]",
    "output by another door": GLOBALS + "['os'].write(1, b'x' * 10 ** 9)",
    "recursion": "f(n + 1)",
    "recursion in C": "max([n], key=f)",
    "an error": "1 / 0",
    "the end": "raise SystemExit",
    "a long answer": "return [0] * 10 ** 4",
    "a deep answer": "x = []\n    for i in range(10 ** 5):\n        x = [x]\n    return x",
    "an answer that holds itself": "x = []\n    x.append(x)\n    return x",
    "an answer with too many digits": "return 10 ** 5_000",
    "an answer that is no data": "return f",
    "input for more than is given": "input(), input()",
    "an answer made up": "print('[0, [24, 720, 1]]'); raise ValueError('[0, [24, 720, 1]]')",
    "an answer made up and sent": GLOBALS
    + "['os'].write(1, b'[\"guess\", [24, 720, 1]]'); "
    + GLOBALS
    + "['sys'].modules['posix']._exit(0)",
}


@posix
@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_limits_end_a_sample_only(body, monkeypatch):
    monkeypatch.setattr(sandbox, "PATIENCE", 3)
    assert not passes("def f(n):\n    " + body + SOLVES, FACTORIAL, timeout=1)


SOURCES = [
    "",
    "\0",
    "\ud800",
    "x = " + "(" * 3_000,
    "def f(n):\n" + "x" * 20_000,
    "def f(n):\n    return '\\d'",
    "9" * 9_000,
]


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
def test_any_text_gets_a_verdict_in_silence(source, recwarn, capfd):
    assert passes(source, FACTORIAL, PLENTY) is False
    assert not recwarn and capfd.readouterr() == ("", "")


def test_a_sample_changes_nothing_for_the_next_call_or_the_parent(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-the-parent")
    before = os.getcwd(), dict(os.environ), threading.active_count(), sys.getrecursionlimit()
    code = "print = len\n\ndef f(x):\n    x.append(len(x))\n    sorted = None\n    return x, print(x)"
    argument = [5]
    assert run_code(code, [[argument], [argument]], PLENTY) == [[[5, 1], 2]] * 2
    assert argument == [5]
    assert before == (os.getcwd(), dict(os.environ), threading.active_count(), sys.getrecursionlimit())
    assert "secret" not in str(run_code(f"def f():\n    return str({GLOBALS}['os'].environ)", [[]], PLENTY))


@posix
def test_what_a_child_started_ends_with_it():
    starter = "import subprocess; subprocess.run('echo started; sleep 3; echo not ended', shell=True)"
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout.readline() == b"started\n"
        sandbox.kill(child)
        assert child.stdout.read() == b""


def test_what_says_nothing_about_the_sample_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="temporary file .No such file or directory.. Set TMPDIR"):
        passes(RIGHT[FACTORIAL], FACTORIAL, PLENTY)
    monkeypatch.undo()
    (tmp_path / "child.py").write_text("raise SystemExit('no luck')")
    monkeypatch.setattr(sandbox, "CHILD", tmp_path / "child.py")
    with pytest.raises(RuntimeError, match="did not start.*no luck"):
        passes(RIGHT[FACTORIAL], FACTORIAL, PLENTY)


@pytest.mark.parametrize("said", ["t\n", "t\nnull", "t\n[]", 't\n["t"]', 't\n["u", [1]]', "t\n{}", "t\n" + "[" * 9_000])
def test_only_the_token_twice_brings_an_answer(said):
    assert sandbox.read_answers(said, "t") is None
    assert sandbox.read_answers('t\n["t", [1]]', "t") == [1]
    with pytest.raises(RuntimeError):
        sandbox.read_answers("u" + said, "t")
