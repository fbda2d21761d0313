"""Families of small programming tasks with oracles: what the real code specialist learns from, and is judged by.

    python -m training.families FILE...     look for mistakes in files of families
    python -m training.families             write models/heldout/tasks.json, the tasks that no training sees

A family (ingredients/families/*.yml) is a task with slots, solutions in several styles, and what its inputs look like.
A pair is a task and a solution; all solutions of a task were run, and give the same answers to the same inputs.
"""

import copy
import functools
import itertools
import json
import random
import re
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from merging.measure.passes.skill import TASKS_FILE, same_answer
from training.draws import INGREDIENTS
from training.functions import HELDOUT_WORDS

CANDIDATES, EXAMPLES = 60, 5
WORDS = (
    "apple river stone window Garden yellow market Monday coffee bread little music table animal noon summer paper "
    "level Lemon winter train bottle forest radar kitchen number tiny Ocean mirror banana eve blue candle rabbit Sugar"
).split()
NAMES = ("Anna", "Omar", "Lucy", "Ben", "Maria", "Jonas", "Aisha", "Peter", "Noah", "Kim", "Bob", "Hannah")


def word(rng, *_):
    chosen = rng.choice(WORDS)
    return chosen if rng.random() < 0.8 else chosen.capitalize()


def text(rng, *_):
    words = [rng.choice((*WORDS, *NAMES, "the", "a", "is", "and", "on", "my")) for _ in range(rng.randint(3, 7))]
    words = [str(rng.randint(1, 99)) if rng.random() < 0.12 else each for each in words]
    words = [each.upper() if rng.random() < 0.06 else each for each in words]
    line = (", " if rng.random() < 0.15 else " ").join(words)
    return (line[0].upper() + line[1:] if rng.random() < 0.5 else line) + rng.choice(("", "", ".", "!", "?"))


def listed(draw, low, high):
    return lambda rng, *given: [draw(rng) for _ in range(rng.randint(low, high))]


def last(given, kinds, default):
    return next((value for value in reversed(given) if isinstance(value, kinds) and len(value)), default)


def letter(rng, *given):
    letters = [c for c in "".join(map(str, last(given, (str, list), "abc"))).lower() if c.isalpha() and c.isascii()]
    return rng.choice(letters) if letters and rng.random() < 0.6 else rng.choice("abcdefghijklmnopqrstuvwxyz")


def sub(rng, *given):
    whole = last(given, str, "banana")
    if rng.random() < 0.6:
        start = rng.choice((0, rng.randrange(len(whole)), max(len(whole) - 2, 0)))
        return whole[start : start + rng.randint(1, 3)]
    return rng.choice(("an", "on", "er", "st", "Ma", "in", "le"))


def item(rng, *given):
    items = last(given, (list, dict), [3, 5])
    inside = rng.choice(list(items))
    outside = rng.randint(-9, 20) if isinstance(inside, (int, float)) else word(rng)
    return inside if rng.random() < 0.55 else outside


one_decimal = lambda rng, *_: rng.randint(5, 995) / 10
number = lambda rng, *_: rng.choice((0, rng.randint(-50, -1), rng.randint(1, 50), rng.randint(1, 50)))
GENERATORS = {
    "int": lambda rng, *_: rng.randint(-20, 50),
    "positive": lambda rng, *_: rng.randint(1, 60),
    "small": lambda rng, *_: rng.randint(1, 9),
    "big": lambda rng, *_: rng.randint(100, 9999),
    "percent": lambda rng, *_: rng.randint(1, 100),
    "price": one_decimal,
    "year": lambda rng, *_: rng.randint(1900, 2100),
    "number": number,
    "text": text,
    "word": word,
    "letter": letter,
    "phrase": lambda rng, *_: " ".join(rng.choice(WORDS).lower() for _ in range(rng.randint(2, 4))),
    "name": lambda rng, *_: rng.choice(NAMES),
    "digits": lambda rng, *_: "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 6))),
    "binary": lambda rng, *_: "1" + "".join(rng.choice("01") for _ in range(rng.randint(1, 6))),
    "date": lambda rng, *_: f"{rng.randint(1950, 2040)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    "time": lambda rng, *_: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
    "flag": lambda rng, *_: rng.random() < 0.5,
    "words": listed(word, 3, 6),
    "names": lambda rng, *_: rng.sample(NAMES, rng.randint(3, 5)),
    "ints": lambda rng, *_: [rng.choice((rng.randint(-9, 20), rng.randint(0, 5))) for _ in range(rng.randint(4, 7))],
    "positives": lambda rng, *_: [rng.randint(1, 30) for _ in range(rng.randint(4, 7))],
    "bools": lambda rng, *_: [rng.random() < rng.choice((0.2, 0.5, 0.9)) for _ in range(rng.randint(3, 5))],
    "prices": listed(one_decimal, 3, 6),
    "scores": lambda rng, *_: {
        name: rng.randint(0, 100) for name in rng.sample([*NAMES, *map(str.lower, WORDS)], rng.randint(3, 5))
    },
    "pairs": lambda rng, *_: [[w.lower(), rng.randint(1, 20)] for w in rng.sample(WORDS, rng.randint(3, 5))],
    "matrix": lambda rng, *_: [[rng.randint(-5, 9) for _ in range(3)] for _ in range(3)],
    "lists": lambda rng, *_: [[rng.randint(-5, 9) for _ in range(rng.randint(1, 4))] for _ in range(rng.randint(2, 4))],
    "mixed": lambda rng, *_: [rng.choice((rng.randint(1, 30), word(rng))) for _ in range(rng.randint(4, 6))],
    "index": lambda rng, *given: rng.randrange(len(last(given, (str, list), "abc"))),
    "part": lambda rng, *given: rng.randint(1, len(last(given, (str, list), "abc"))),
    "item": item,
    "sub": sub,
}


class Task(NamedTuple):
    """A family with a value in each slot: wordings, solutions, the kinds of its inputs, and where it comes from."""

    family: str
    slots: tuple
    wordings: tuple
    solutions: tuple
    inputs: tuple


def read_families(paths=None):
    """name -> list of Task, one for each combination of slots, of YAML files."""
    families = {}
    for path in paths or sorted((INGREDIENTS / "families").glob("*.yml")):
        for name, family in yaml.safe_load(Path(path).read_text(encoding="utf-8")).items():
            if name in families:
                raise ValueError(f"{path}: there are two families called {name}.")
            families[name] = combinations(name, family)
    return families


def combinations(name, family):
    """The tasks of a family, as read from YAML."""
    slots = {
        slot: {str(k): str(v) for k, v in (values.items() if isinstance(values, dict) else zip(values, values))}
        for slot, values in (family.get("slots") or {}).items()
    }
    tasks = []
    for chosen in itertools.product(*(values.items() for values in slots.values())):
        drawn = dict(zip(slots, chosen))
        tasks.append(
            Task(
                name,
                tuple(phrase for phrase, _ in chosen),
                tuple(filled(wording, drawn, False) for wording in family["tasks"]),
                tuple(filled(code, drawn, True).strip("\n") + "\n" for code in family["code"]),
                tuple(family["inputs"]),
            )
        )
    return tasks


def filled(template, drawn, is_code):
    """A template with the value of each slot: its phrase, its code, or in code its phrase as a part of a name."""

    def value(match):
        phrase, code = drawn[match[1]]
        if match[2]:
            return code
        return re.sub(r"\W+", "_", phrase).strip("_").lower() if is_code else phrase

    return re.sub(rf"\{{({'|'.join(drawn)})(\.code)?\}}", value, template) if drawn else template


def defined(solution):
    """The function that a solution defines; what it is given is copied, so that it may change it."""
    names = re.findall(r"^def (\w+)", solution, re.MULTILINE)
    if len(names) != 1:
        raise ValueError(f"has {len(names)} functions at its top level instead of one")
    namespace = {}
    exec(compile(solution, names[0], "exec"), namespace)
    return lambda arguments: json.loads(json.dumps(namespace[names[0]](*copy.deepcopy(arguments))))


@functools.cache
def candidates(task, n=CANDIDATES):
    """n lists of random arguments; the same for the same task."""
    rng, calls = random.Random(f"{task.family} {task.slots}"), []
    for _ in range(n):
        arguments = []
        for kind in task.inputs:
            arguments.append(GENERATORS[kind](rng, *arguments))
        calls.append(arguments)
    return calls


def examples(task):
    """EXAMPLES pairs of arguments and answer: as many different answers as there are, each as often as another."""
    answer = defined(task.solutions[0])
    groups = {}
    for arguments in candidates(task):
        expected = answer(arguments)
        groups.setdefault(json.dumps(expected), []).append([arguments, expected])
    rounds = itertools.zip_longest(*sorted(groups.values(), key=len, reverse=True))
    return [pair for pair in itertools.chain(*rounds) if pair][:EXAMPLES]


def mistakes(task):
    """What is wrong with a task, as sentences."""
    found = [f"{kind!r} is no kind of input" for kind in task.inputs if kind not in GENERATORS]
    if found:
        return found
    for wording in task.wordings:
        held_out = [each for each in HELDOUT_WORDS if each in wording.lower()]
        if held_out or "{" in wording or wording.endswith(".") or len(wording) > 95:
            found.append(f"wording {wording!r}: {held_out or 'a slot without a value, a full stop, or too long'}")
    calls, expected = candidates(task), None
    for i, solution in enumerate(task.solutions):
        try:
            answers = list(map(defined(solution), calls))
        except Exception as error:
            found.append(f"solution {i + 1}: {type(error).__name__}: {error}")
            continue
        if expected is None:
            expected = answers
        different = [at for at, pair in enumerate(zip(answers, expected)) if not same_answer(*pair)]
        if different:
            at = different[0]
            found.append(f"solution {i + 1} answers {answers[at]!r} to {calls[at]}, not {expected[at]!r}")
    if expected is not None and len({json.dumps(answer) for answer in expected}) < 2:
        found.append(f"every answer is {expected[0]!r}")
    if expected is not None and any(answer is None for answer in expected):
        found.append("an answer is None")
    return found


@functools.cache
def answers(task):
    """What the reference of a task answers to each of its candidates."""
    return list(map(defined(task.solutions[0]), candidates(task)))


def alike(task, reference, inputs):
    """True if a reference for so many inputs gives a task's answers to the task's inputs, in either order."""
    if len(task.inputs) != inputs:
        return False
    for turn in (1, -1) if inputs == 2 else (1,):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)  # on inputs of another kind a loop may have no end
            if all(same_answer(reference(call[::turn]), own) for call, own in zip(candidates(task), answers(task))):
                return True
        except Exception:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def stop(*_):
    raise TimeoutError


def split(families, seed=25):
    """(training tasks, {"A": tasks, "B": tasks, "choose": tasks}), where nothing in training means what is held out.

    B are 80 whole families with one task each, and A are 60 tasks of families whose other tasks are trained; choose has
    30 of either kind. A training task that means the same as one of these is left out.
    """
    signal.signal(signal.SIGALRM, stop)
    rng = random.Random(seed)
    names = sorted(families)
    rng.shuffle(names)
    whole = [rng.choice(families[name]) for name in names[:110]]
    parts = [rng.choice(families[name]) for name in names[110:] if len(families[name]) > 2][:90]
    held_out = {"A": parts[:60], "B": whole[:80], "choose": parts[60:] + whole[80:]}
    rest = [task for name in names[110:] for task in families[name] if task not in parts]
    references = ((task, defined(task.solutions[0]), len(task.inputs)) for task in rest)
    return [task for task, *how in references if not any(alike(other, *how) for other in whole + parts)], held_out


def neighbour(wording, wordings):
    """The training wording that shares the largest part of its words with a held-out one."""
    mine = set(wording.split())
    return max(wordings, key=lambda other: len(mine & set(other.split())) / len(mine | set(other.split())))


def write_tasks():
    """Write the held-out tasks with their inputs and answers, and the training task that each is most like."""
    training, held_out = split(read_families())
    known = sorted({wording for task in training for wording in task.wordings})
    lines = {
        part: [
            json.dumps(
                {
                    "task": task.wordings[0],
                    "family": task.family,
                    "neighbour": neighbour(task.wordings[0], known),
                    "examples": examples(task),
                }
            )
            for task in tasks
        ]
        for part, tasks in held_out.items()
    }
    rows = (f'"{part}": [\n' + ",\n".join(tasks) + "\n]" for part, tasks in lines.items())
    TASKS_FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
    print(f"{len(training)} tasks to learn from, " + ", ".join(f"{part} {len(rows)}" for part, rows in lines.items()))


def main():
    if not sys.argv[1:]:
        return write_tasks()
    paths = sys.argv[1:]
    families, wrong = read_families(paths), 0
    for name, tasks in families.items():
        for task in tasks:
            for sentence in mistakes(task):
                wrong += 1
                print(f"{name} {task.slots}: {sentence}")
    print(f"{len(families)} families, {sum(map(len, families.values()))} combinations, {wrong} mistakes")


if __name__ == "__main__":
    main()
