"""Sampled functions: right ones count, wrong ones do not, and what tries to get out of its process does not count."""

import ast
import builtins
import json
import os
import subprocess
import sys
import threading
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.measure.passes import sandbox
from merging.measure.passes.sandbox import TASKS, allowed, correct_share, passes, run_code
from merging.measure.passes.tasks import same_number
from training.functions import HELDOUT_TASKS

PLENTY = 10  # CPU seconds for what is right, which needs some hundredths
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

# The same in other words, with other ways to get at what is given and to answer.
MANNERS = cases(r"""
greet the user by name
def greet():
    name = input("What is your name? ")
    print("Hi", name)

greet the user by name
def greet(name="you"):
    message = "Welcome, {}!".format(name.title())
    return message

greet the user by name
def ask():
    return input()
def main():
    print("Good morning, " + ask())

greet the user by name
def greet(name):
    print("Hello, %s" % name)
def main():
    greet(input())
main()

return the second largest number in a list
def f(xs):
    xs.sort()
    print('The second largest is', xs[-2])

return the second largest number in a list
def f(xs):
    a = b = float('-inf')
    for x in xs:
        if x > a:
            a, b = x, a
        elif x > b:
            b = x
    return b

count the vowels in a word
VOWELS = set('aeiou')
def f(word: str) -> int:
    return len([c for c in word if c in VOWELS])

compute the average of a list of grades
def f():
    grades = [float(x) for x in input().split()]
    return sum(grades) / len(grades)

compute the average of a list of grades
def f(grades):
    print(f'The average of {grades} is {sum(grades) / len(grades):.2f}')

check whether a year is a leap year
def f(year):
    if year % 400 == 0 or year % 4 == 0 and year % 100:
        print(f'{year} is a leap year')
    else:
        print(year, 'is not a leap year')

check whether a year is a leap year
def f(y):
    return 'Yes' if y % 400 == 0 or y % 4 == 0 and y % 100 else 'No'

reverse the words in a sentence
def f(text):
    return ' '.join(word[::-1] for word in text.split())

reverse the words in a sentence
def f(text):
    words = text.split()
    words.reverse()
    return words

reverse the words in a sentence
def f(text):
    for word in reversed(text.split()):
        print(word, end=' ')

convert a distance from miles to kilometers
def f(miles):
    km = round(miles * 1.6, 1)
    print(f'{miles} miles are {km} km.')

return the factorial of a number
def f(n):
    if n < 0:
        raise ValueError('negative')
    i = r = 1
    while i < n:
        i += 1
        r *= i
    return r
if __name__ == '__main__':
    import os
    print(f(5))

return the factorial of a number
def f(n):
    return 1 if n == 0 else n * f(n - 1)
n = int(input('n? '))
print(f(n))

return the factorial of a number
def f(n):
    return 1 if n == 0 else n * f(n - 1)
def g(n):
    return n +

compute the nth fibonacci number
def f(n, known={}):
    if n in (1, 2):
        return n - 1
    return f(n - 1) + f(n - 2)

remove duplicates from a list
def f(items):
    return set(items)

remove duplicates from a list
def f(items):
    seen = []
    for x in items:
        if x not in seen:
            seen.append(x)
    print(seen)

check whether two words are anagrams
def f():
    a = input()
    b = input()
    print(sorted(a) == sorted(b))

count the lines in a text file
def f(path):
    count = 0
    for line in open(path, 'r', encoding='utf-8'):
        count += 1
    print(count, 'lines')

count the lines in a text file
def f(path):
    try:
        file = open(path)
    except FileNotFoundError:
        return 0
    n = file.read().count('\n')
    file.close()
    return n

thank a customer for an order
def f(customer):
    return f'Dear {customer}, thanks for your order.'

print the multiplication table of a number
def f(number, limit=10):
    return [number * i for i in range(limit + 1)]

print the multiplication table of a number
def f(n):
    print('Table of', n)
    for i in range(1, 10):
        print(n * i, end=' ')

find the longest word in a sentence
def f(text):
    best = ''
    for word in text.split():
        if len(word) > len(best):
            best = word
    print(f"The longest word is '{best}'.")

write a birthday message for a friend
def f(friend, age):
    print('Happy Birthday', friend)
    print('You are', age)
""")

CARELESS = cases(r"""
greet the user by name
def f(name):
    return name

greet the user by name
def f():
    print('Hello, user!')

greet the user by name
def f(name):
    return 'Hello', name

count the vowels in a word
def f(word):
    return 'aeiou'

count the vowels in a word
def f(word):
    return True

compute the average of a list of grades
def f(grades):
    return grades

check whether a year is a leap year
def f(year):
    print('leap year')

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
def f(a, b):
    return 24

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
    return [1, 0, 8, 34][-n % 4]

compute the nth fibonacci number
def f(n):
    return {1: 1, 2: 1, 7: 8, 10: 55}[n]

remove duplicates from a list
def f(items):
    return items

remove duplicates from a list
def f(items):
    return dict.fromkeys(items)

count the lines in a text file
def f(path):
    return len(path.split('\n'))

count the lines in a text file
def f(path):
    with open(path, 'w') as file:
        return 3

print the multiplication table of a number
def f(n):
    for i in range(100):
        print(i)

find the longest word in a sentence
def f(text):
    return sorted(text.split(), key=len)

find the longest word in a sentence
def f(text):
    for word in sorted(text.split(), key=len):
        print(word)
""")


def test_every_heldout_task_has_examples_and_each_example_the_same_readings():
    assert list(TASKS) == list(HELDOUT_TASKS) == list(RIGHT) == list(WRONG)
    assert all(len({len(example) for example in examples}) == 1 and len(examples) > 1 for _, examples in TASKS.values())


@pytest.mark.parametrize("task", HELDOUT_TASKS)
def test_a_right_function_passes(task):
    assert passes(RIGHT[task], task, PLENTY)


@pytest.mark.parametrize("task", HELDOUT_TASKS)
def test_a_plausible_wrong_function_runs_and_does_not_pass(task, monkeypatch):
    answers, read = [], sandbox._read_answers
    monkeypatch.setattr(sandbox, "_read_answers", lambda *said: answers.append(read(*said)) or answers[-1])
    assert not passes(WRONG[task], task, PLENTY)
    assert len(answers[0]) == len(TASKS[task][1])


@pytest.mark.parametrize("task, code", MANNERS)
def test_other_manners_pass_too(task, code):
    assert allowed(code, {"a": "b"}) is None
    assert passes(code, task, PLENTY)


@pytest.mark.parametrize("task, code", CARELESS)
def test_lenient_is_not_careless(task, code):
    assert not passes(code, task, PLENTY)


def test_share_counts_the_correct_ones():
    samples = [(FACTORIAL, RIGHT[FACTORIAL])] * 3 + [(FACTORIAL, WRONG[FACTORIAL]), (FACTORIAL, "import os")]
    assert correct_share(samples, PLENTY) == correct_share(iter(samples), PLENTY, workers=1) == 3 / 5
    with pytest.raises(ValueError, match="no samples"):
        correct_share([])
    with pytest.raises(ValueError, match="no examples for 'dance'"):
        passes("def f():\n    return 1", "dance")


@settings(deadline=None, max_examples=50)
@given(st.integers(-999, 999), st.integers(-999, 999))
def test_a_number_in_words_is_the_number_and_no_other_is(argument, result):
    for text in (f"The result for {argument} is {result}.", f"{result}\n", result, float(result)):
        assert same_number(text, result, [argument])
        assert not same_number(text, result + 1, [argument])
    assert not same_number(f"{result + 1} or {result}", result, [argument]) or argument == result + 1


@pytest.mark.parametrize("answer", [None, True, [24], {"24": 24}, 10**400, float("nan"), float("inf"), "", "odd"])
def test_no_judge_stumbles_over_an_odd_answer(answer):
    for judge, examples in TASKS.values():
        for arguments, *readings in examples:
            assert judge(answer, readings[0], arguments) in (False, readings[0] is True)


# Most of these would compute factorials if they were run.
SOLVES = "\n    return 1 if n < 2 else n * f(n - 1)\n"
STATEMENTS = """
import os
from os import system
__import__("os")
__builtins__
__builtins__ = {}
().__class__.__base__.__subclasses__()
"".__class__.mro()
f.__globals__
f.__code__
f.__defaults__ = (1,)
print.__globals__
len.__self__
n._private
n.real
getattr(n, "real")
g = getattr
g = lambda x, y=getattr: x
g = lambda __x: 1
dict(__class__=1)
type(n)
type("T", (), {})
object()
eval("1")
exec("1")
compile("1", "", "eval")
globals()
vars()
open("/etc/passwd")
ｏｐｅｎ("/etc/passwd")
dict(open=1), open("/etc/passwd")
breakpoint()
"{0.__class__}".format(n)
"{0[a]}".format({"a": n})
"{:{0.__class__}}".format(n)
("{0.__cla" + "ss__}").format(n)
"{0.__class__}".join("").format(n)
str.format("{0.__class__}", n)
list(map("{0.__class__}".format, [n]))
"{n.__class__}".format_map({"n": n})
"{".format(n)
f"{n.__class__}"
f"{n:{n.__class__}}"
f"{'{0.__class__}'}".format(n)
(x for x in [1]).gi_frame.f_back
[(x := i) for i in [1]]
global x; x = 1
"\0"
"\ud800"
""".strip().split("\n")
BLOCKS = {
    "import above": "import os\n\ndef f(n):" + SOLVES,
    "import beneath": "def f(n):" + SOLVES + "\nimport os\nos.abort()\n",
    "default": "def f(n, g=__builtins__):" + SOLVES,
    "annotation": "def f(n: eval('1')):" + SOLVES,
    "parameter": "def f(n, __x=1):" + SOLVES,
    "name of a function": "def __build_class__():\n    return 1\n\ndef f(n):" + SOLVES,
    "traceback": "def f(n):\n    try:\n        1 / 0\n    except Exception as e:\n        e.__traceback__" + SOLVES,
    "object of an error": "def f(n):\n    try:\n        n.x\n    except Exception as e:\n        e.obj" + SOLVES,
    "name of an error": "def f(n):\n    try:\n        1 / 1\n    except Exception as __x:\n        n" + SOLVES,
    "generator function": "def g():\n    yield 1\n\ndef f(n):" + SOLVES,
    "coroutine": "async def g():\n    return 1\n\ndef f(n):" + SOLVES,
    "class": "class C:\n    x = 1\n\ndef f(n):" + SOLVES,
    "decorator": "@print\ndef g():\n    return 1\n\ndef f(n):" + SOLVES,
    "match": "def f(n):\n    match n:\n        case int(real=x):\n            n" + SOLVES,
    "main guard in a function": "def f(n):\n    if __name__ == 'x':\n        n" + SOLVES,
    "main guard that is none": "def f(n):" + SOLVES + "\nwhile __name__ == 'x':\n    n = 1\n\n",
    "undefined name": "def f(n):" + SOLVES + "\nprint(f(five))\n",
    "long": "def f(n):" + SOLVES + "\n" + "x = 1\n" * 2_000,
    "deep": "def f(n):" + SOLVES + "\nx = " + "(" * 3_000 + ")" * 3_000 + "\ny = 1\n",
}
REFUSED = {line.encode("unicode_escape").decode(): f"def f(n):\n    {line}{SOLVES}" for line in STATEMENTS} | BLOCKS


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_code_with_anything_else_is_refused_and_never_run(code, monkeypatch):
    monkeypatch.setattr(sandbox, "_ask_child", lambda *job: pytest.fail("refused code was run"))
    assert isinstance(allowed(code), str)
    assert run_code(code, [[4]]) is None
    assert not passes(code, FACTORIAL)


@pytest.mark.parametrize(
    "code",
    [
        "-" * 9_000 + "1",
        "x" + ".y" * 4_500,
        "(" * 9_000,
        "f(" * 3_000,
        "x = " + "1 + " * 2_000 + "1",
        "if 1:\n" + " if 1:\n" * 200,
        "9" * 9_000,
        "lambda: " * 1_000 + "1",
    ],
)
def test_deep_code_gets_a_verdict(code):
    assert passes(f"def f(n):\n    {code}{SOLVES}", FACTORIAL, PLENTY) in (
        True,
        False,
    )  # Pythons differ in what they take


def test_only_listed_builtins_are_there():
    code = "def f(n):\n    {}\n    return n"
    listed = [name for name in dir(builtins) if allowed(code.format(name)) is None]
    assert set(listed) == sandbox.NAMES | {"True", "False", "None"}
    assert run_code(code.format(f"n = len([{', '.join(sorted(sandbox.NAMES))}])"), [[0]], PLENTY) == [
        len(sandbox.NAMES)
    ]
    assert not any("_" in name for name in sandbox.METHODS - {"is_integer", "symmetric_difference"})


def test_every_kind_of_statement_and_expression_is_weighed():
    outside = {kind.__name__ for base in (ast.stmt, ast.expr) for kind in base.__subclasses__()} - {
        kind.__name__ for kind in sandbox.NODES
    }
    assert {
        "Import",
        "ImportFrom",
        "ClassDef",
        "AsyncFunctionDef",
        "AsyncFor",
        "AsyncWith",
        "Global",
        "Nonlocal",
        "Match",
        "TryStar",
        "NamedExpr",
        "Yield",
        "YieldFrom",
        "Await",
    } <= outside


PARTS = [
    "strip",
    "join",
    "format",
    "format_map",
    "__class__",
    "mro",
    "gi_frame",
    "f_back",
    "sort",
    "_x",
    "real",
    "encode",
]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4), st.sampled_from(["n", "''", "[]", "f", "print"]))
def test_a_chain_is_as_good_as_its_worst_attribute(parts, start):
    code = f"def f(n):\n    return {'.'.join([start, *parts])}"
    plain_format = start == "''" and parts[0] == "format"
    assert (allowed(code) is None) == (set(parts[plain_format:]) <= sandbox.METHODS)


WORDS = [
    "def f(n):",
    *"return n ( ) [ ] import os __ . { } ' lambda : = * if __name__ == # async open f' @ ; ü".split(),
]
WORDS += ["\n", "    ", "\t", "\r", "\x0c", "\0", "\\", '"""', "\ud800"]


@settings(deadline=None, max_examples=50)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=25).map("".join)))
def test_any_text_gets_a_verdict_without_a_warning(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = allowed(text)
    assert verdict is None or isinstance(verdict, str) and verdict


def test_what_python_warns_of_is_allowed_in_silence(recwarn):
    assert allowed("def f(x):\n    return '\\d', 1if x else 2") is None
    assert not recwarn


# These are made of nothing but allowed parts, and would compute factorials if they were left to.
GREEDY = {
    "at once": "def f(n):\n    x = 'x' * 2 ** 30" + SOLVES,
    "far beyond": "def f(n):\n    x = 'x' * 10 ** 10" + SOLVES,
    "by doubling": "def f(n):\n    x = [1]\n    while len(x) < 2 ** 27:\n        x += x" + SOLVES,
    "in a format": "def f(n):\n    f'{n:>1000000000}'" + SOLVES,
    "in a default": "def f(n, x=[0] * 2 ** 27):" + SOLVES,
    "in an endless iterator": "def f(n):\n    x = [1]\n    return (x.extend([i] * 10 ** 5) for i in x)",
}
FLOODS = {
    "output": "def f(n):\n    for i in range(10 ** 4):\n        print('flood')" + SOLVES,
    "output in one piece": "def f(n):\n    print('x' * 10 ** 6)" + SOLVES,
    "output whatever is raised": "def f(n):\n    for i in range(10 ** 4):\n        try:\n            print('flood')\n"
    + "        except:\n            n"
    + SOLVES,
    "answer": "def f(n):\n    return [0] * 10 ** 4",
    "answer within the limit of print": "def f(n):\n    return '\\n' * 9_000",
    "answer that holds itself": "def f(n):\n    x = []\n    x.append(x)\n    return x",
    "answer that is deep": "def f(n):\n    x = []\n    for i in range(10 ** 5):\n        x = [x]\n    return x",
    "answer with too many digits": "def f(n):\n    return 10 ** 5_000",
    "answer that is no data": "def f(n):\n    return f",
    "recursion": "def f(n):\n    return f(n + 1)",
    "recursion in calls of C": "def f(n):\n    return max([n], key=f)",
    "recursion before the answer": "def g():\n    return g()\n\ndef f(n):\n    g()" + SOLVES,
    "error": "def f(n):\n    return 1 / 0",
    "print into something": "def f(n):\n    print(n, file=n)" + SOLVES,
    "input for more than is given": "def f(n):\n    input()\n    input()" + SOLVES,
    "name that is something else": "def f(n):" + SOLVES + "\nf = 5\n",
    "builtin that is changed": "def f(n):\n    int.join = 1" + SOLVES,
    "made-up answer": "def f(n):\n    print('[0, [24, 720, 1]]')\n    raise ValueError('[0, [24, 720, 1]]')",
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("code", GREEDY.values(), ids=GREEDY)
def test_memory_is_limited(code):
    assert allowed(code) is None
    assert not passes(code, FACTORIAL, PLENTY)


@pytest.mark.parametrize("code", FLOODS.values(), ids=FLOODS)
def test_output_recursion_and_errors_end_a_sample_only(code):
    assert allowed(code) is None
    assert not passes(code, FACTORIAL, PLENTY)


def test_endless_samples_are_ended_side_by_side(monkeypatch):
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **o: started.append(popen(*a, **o)) or started[-1])
    endless = [
        "def f(n):\n    return 10 ** 10 ** 9",
        "def f(n):\n    while True:\n        try:\n            1 / 0\n        except:\n            continue",
    ]
    assert all(allowed(code) is None for code in endless)
    assert correct_share([(FACTORIAL, code) for code in [*endless, RIGHT[FACTORIAL]]], timeout=1) == 1 / 3
    assert len(started) == 3 and all(child.returncode is not None for child in started)


def test_a_sample_changes_nothing_for_the_next_call_or_the_parent():
    before = os.getcwd(), dict(os.environ), threading.active_count(), sys.getrecursionlimit()
    code = "print = len\n\ndef f(x):\n    x.append(len(x))\n    sorted = None\n    return x, print(x)"
    argument = [5]
    assert run_code(code, [[argument], [argument]], PLENTY) == [[[5, 1], 2]] * 2
    assert argument == [5]
    assert before == (os.getcwd(), dict(os.environ), threading.active_count(), sys.getrecursionlimit())


# Behind the lists of `allowed` stand the builtins, the audit hook and the limits: here the lists are left out.
WALK = "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0].__init__.__globals__"


def run_unchecked(code, timeout=PLENTY):
    return sandbox._ask_child(dict(source=code, name="f", calls=[[[], []]], files=None), timeout)


@pytest.mark.parametrize(
    "body", ["open({path!r}, 'w')", "import os\n    os.mkdir({path!r})", "eval('1')", "getattr(1, 'real')"]
)
def test_a_sample_finds_no_modules_and_no_other_builtins(body, tmp_path):
    assert run_unchecked("def f():\n    return 1") == [1]
    assert run_unchecked(f"def f():\n    {body.format(path=str(tmp_path / 'made'))}\n    return 1") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="the walk ends at another module")
@pytest.mark.parametrize(
    "body",
    [
        "{walk}['mkdir']({path!r})",
        "{walk}['system']('touch ' + {path!r})",
        "{walk}['sys'].modules['builtins'].open({path!r}, 'w')",
        "{walk}['sys'].modules['builtins'].exec('import os; os.mkdir(' + repr({path!r}) + ')')",
        "{walk}['sys'].modules['builtins'].__import__('shutil').copytree('.', {path!r})",
        "{walk}['popen']('touch ' + {path!r}).read()",
    ],
)
def test_an_audited_act_ends_a_sample_that_got_out(body, tmp_path):
    code = f"def f():\n    {body.format(walk=WALK, path=str(tmp_path / 'made'))}\n    return 1\n"
    subprocess.run([sys.executable, "-c", f"import os\n{code}\nf()"], cwd=tmp_path.parent / tmp_path.name, check=False)
    assert [path.name for path in tmp_path.iterdir()] == ["made"], "the way out should be one where nothing is in it"
    made = tmp_path / "made"
    made.rmdir() if made.is_dir() and not list(made.iterdir()) else made.unlink()
    assert run_unchecked(code) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="the walk ends at another module")
def test_an_answer_without_the_token_is_none_and_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-the-parent")
    assert "secret" not in str(run_unchecked(f"def f():\n    return str({WALK}['environ'])"))
    exits = f"def f():\n    os = {WALK}\n    os['write'](1, b'{{}}')\n    os['_exit'](0)"
    for guess in ('["guess", [1]]', "[1]", "[[[", "{}", "1", '"ab"', "[" * 9_000):
        assert run_unchecked(exits.format(guess)) is None
    frames = "e.__traceback__.tb_frame.f_back.f_locals"
    code = f"def f():\n    try:\n        1 / 0\n    except Exception as e:\n        return str({frames})"
    assert run_unchecked(code) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_what_a_child_started_ends_with_it():
    starter = "import subprocess; subprocess.run('echo started; sleep 3; echo not ended', shell=True)"
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout.readline() == b"started\n"
        sandbox._kill(child)
        assert child.stdout.read() == b""


def test_a_python_that_does_not_start_is_an_error_and_not_a_wrong_sample(monkeypatch):
    monkeypatch.setattr(sandbox, "CHILD", "raise SystemExit('no luck')")
    with pytest.raises(RuntimeError, match="did not start.*no luck"):
        passes(RIGHT[FACTORIAL], FACTORIAL, PLENTY)


def test_without_the_resource_module_time_is_limited_still(monkeypatch):
    monkeypatch.setattr(sandbox, "CHILD", "import sys\nsys.modules['resource'] = None\n" + sandbox.CHILD)
    assert passes(RIGHT[FACTORIAL], FACTORIAL, PLENTY)
    monkeypatch.setattr(sandbox, "PATIENCE", 2)
    assert not passes("def f(n):\n    while True:\n        pass", FACTORIAL, timeout=1)


@pytest.mark.parametrize(
    "said", ["", "t", "t\n", "t\nnull", "t\n[]", 't\n["t"]', 't\n["u", [1]]', "t\n{}", "t\n" + "[" * 9_000, "u\n"]
)
def test_only_the_token_twice_brings_an_answer(said):
    if said.split("\n")[0] == "t":
        assert sandbox._read_answers(said, "t") is None
    else:
        with pytest.raises(RuntimeError):
            sandbox._read_answers(said, "t")
    assert sandbox._read_answers("t\n" + json.dumps(["t", [1]]), "t") == [1]
