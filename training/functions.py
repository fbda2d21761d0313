"""Made-up (task, Python function) pairs, and forum posts that talk about such tasks, to train a tiny language model.

A template (in ingredients/functions.txt) is a task on one line and the function below it. {slots} are drawn at random
and keep their value within one pair; {num.code} is one side of a slot that has several.
"""

import random
import re
from typing import NamedTuple

from merging.measure.passes.tasks import TASKS
from merging.measure.text import prompt_of
from training.draws import INGREDIENTS

HELDOUT_TASKS = tuple(TASKS)  # kept out of training, so that prompts with them ask for something new
HELDOUT_WORDS = (
    "greet",
    "hello",
    "welcome",
    "second largest",
    "vowel",
    "average",
    "leap",
    "reverse the words",
    "miles",
    "factorial",
    "fibonacci",
    "duplicate",
    "anagram",
    "lines in",
    "thank",
    "multiplication",
    "longest",
    "birthday",
)


class Side(NamedTuple):
    """A choice with a wording for the task, code for the body, and a part of the function's name."""

    phrase: str
    code: str
    name: str


SLOTS = {
    "ret": ("return", "find", "get"),
    "comp": ("compute", "calculate"),
    "chk": ("check whether", "check if", "tell whether"),
    "xs": ("numbers", "values", "items"),
    "word": ("word", "text", "name"),
    "words": ("words", "names", "lines"),
    "line": ("text", "sentence", "line"),
    "total": ("total", "result", "amount"),
    "result": ("result", "found", "output"),
    "table": ("prices", "scores", "table"),
    "k": tuple("23456789"),
    "big": ("10", "20", "50", "100"),
    "letter": tuple("abcdfgklmnprst"),
    "who": ("person", "student", "employee", "player", "guest", "driver", "teacher"),
    "ask": ("name", "city", "age", "color", "address"),
    "thing": ("book", "car", "house", "bike", "phone", "lamp", "ticket"),
    "num": (
        Side("even numbers", "x % 2 == 0", "even"),
        Side("odd numbers", "x % 2 == 1", "odd"),
        Side("positive numbers", "x > 0", "positive"),
        Side("negative numbers", "x < 0", "negative"),
        Side("numbers above ten", "x > 10", "large"),
        Side("numbers below ten", "x < 10", "small"),
    ),
    "pow": (
        Side("squares", "x ** 2", "squares"),
        Side("cubes", "x ** 3", "cubes"),
        Side("doubles", "x * 2", "doubles"),
        Side("halves", "x / 2", "halves"),
        Side("absolute values", "abs(x)", "absolute_values"),
    ),
    "wd": (
        Side("long words", "len(word) > 6", "long_words"),
        Side("short words", "len(word) < 4", "short_words"),
        Side("words in upper case", "word.isupper()", "upper_words"),
        Side("words that are numbers", "word.isdigit()", "number_words"),
    ),
    "kind": (
        Side("digits", "char.isdigit()", "digits"),
        Side("letters", "char.isalpha()", "letters"),
        Side("spaces", 'char == " "', "spaces"),
        Side("capital letters", "char.isupper()", "capitals"),
    ),
    "edge": (
        Side("largest", "max", ">"),
        Side("smallest", "min", "<"),
        Side("highest", "max", ">"),
        Side("lowest", "min", "<"),
    ),
    "case": (
        Side("upper case", "upper", "upper"),
        Side("lower case", "lower", "lower"),
        Side("title case", "title", "title"),
    ),
    "shape": (
        Side("area of a rectangle", "width * height", "width, height"),
        Side("area of a triangle", "width * height / 2", "width, height"),
        Side("area of a circle", "3.14159 * radius ** 2", "radius"),
        Side("volume of a box", "width * height * depth", "width, height, depth"),
        Side("price with tax", "price * (1 + rate / 100)", "price, rate"),
        Side("pay of a worker", "hours * wage", "hours, wage"),
        Side("speed of a car", "distance / hours", "distance, hours"),
    ),
    "unit": (
        Side("minutes to seconds", "minutes * 60", "minutes"),
        Side("hours to minutes", "hours * 60", "hours"),
        Side("days to hours", "days * 24", "days"),
        Side("meters to feet", "meters * 3.28", "meters"),
        Side("inches to centimeters", "inches * 2.54", "inches"),
        Side("grams to pounds", "grams / 453.6", "grams"),
        Side("euros to dollars", "euros * 1.1", "euros"),
    ),
    "say": (
        Side("invite the guest to the party", "Please come to the party, {name}!", "invite"),
        Side("warn the driver by name", "Slow down, {name}!", "warn"),
        Side("call the next patient by name", "{name}, please come in.", "call"),
        Side("praise the student by name", "Well done, {name}!", "praise"),
        Side("say goodbye to a friend", "Goodbye, {name}, see you soon!", "say_goodbye"),
        Side("remind the user of a meeting", "Do not forget the meeting, {name}.", "remind"),
        Side("introduce a new player by name", "Here comes {name}!", "introduce"),
        Side("ask a guest by name for a song", "Which song do you like, {name}?", "ask_for_song"),
    ),
}

ELEMENTS = ("x", "x", "n", "number", "value")  # what a template calls x

TEMPLATES = [
    block.split("\n", 1) for block in (INGREDIENTS / "functions.txt").read_text(encoding="utf-8").strip().split("\n\n")
]

# What people write around such a task; {task} is another task.
OPENINGS = (
    "I have to {task} for my course and I do not know where to start.",
    "How would you do this?",
    "Is there an easy way to do it?",
    "This came up at work today.",
    "I have read the manual twice and I am stuck.",
    "My first try was too slow.",
    "I need this for a small program that I am writing.",
    "The same question again, as every week.",
    "I found an old answer, but it does not work for me.",
)
REMARKS = (
    "You can start with an empty list and a loop.",
    "First think about what goes in and what comes out.",
    "Most people forget the empty case.",
    "It is easier than it looks.",
    "I would write a test before anything else.",
    "There are many ways to do this, and none of them is wrong.",
    "The loop is fine, but the name is not.",
    "Do not use a global variable for this.",
    "A dictionary would be faster here.",
    "It depends on how many values you have.",
    "Please show what you have tried so far.",
    "That is what the library is for.",
    "If you only want to {task}, there is a shorter way.",
    "Read the error message from the bottom to the top.",
    "Then it works for me.",
    "Return the value, do not print it.",
)
CLOSINGS = (
    "Does that help?",
    "Many people asked the same.",
    "I will try that tomorrow.",
    "It works now!",
    "Edit: the second line was missing.",
    "Still the same error for me.",
    "Good luck with it.",
)


class _Drawn(dict):
    """Slot values of one pair: each is drawn when it is first asked for."""

    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def __missing__(self, slot):
        return self.setdefault(slot, self.rng.choice(SLOTS[slot]))


def function_pair(rng: random.Random) -> tuple[str, str]:
    """A random task and the code of a function that does it; three in ten have a docstring."""
    template, code = rng.choice(TEMPLATES)
    drawn = _Drawn(rng)
    task, code = template.format_map(drawn), code.format_map(drawn) + "\n"
    code = re.sub(r"\bx\b", rng.choice(ELEMENTS), code)
    if rng.random() < 0.3:
        head, body = code.split("\n", 1)
        code = f'{head}\n    """{task[0].upper()}{task[1:]}."""\n{body}'
    return task, code


def forum_post(rng: random.Random) -> str:
    """A question in the form of the article's prompt and what people say about it; half the posts hold the function."""
    task, code = function_pair(rng)
    say = lambda sentences: rng.choice(sentences).format(task=function_pair(rng)[0])
    parts = [" ".join(say(pool) for pool in (OPENINGS, REMARKS, REMARKS)[: rng.randint(1, 3)])]
    for _ in range(rng.randint(1, 3)):
        parts.append(" ".join(say(REMARKS) for _ in range(rng.randint(1, 4))))
    if rng.random() < 0.5:
        parts.insert(rng.randint(1, len(parts)), code.rstrip("\n"))
    return prompt_of(task) + "\n\n" + "\n\n".join([*parts, say(CLOSINGS)]) + "\n"
