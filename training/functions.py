"""Made-up (task, Python function) pairs, and forum posts that talk about such tasks, to train a tiny language model.

A template is a task on one line and the function below it. {slots} are drawn at random and keep their value within
one pair; {num.code} is one side of a slot that has several.
"""

import random
import re
from typing import NamedTuple

# Kept out of training, so that prompts with them ask for something new.
HELDOUT_TASKS = (
    "greet the user by name",
    "return the second largest number in a list",
    "count the vowels in a word",
    "compute the average of a list of grades",
    "check whether a year is a leap year",
    "reverse the words in a sentence",
    "convert a distance from miles to kilometers",
    "return the factorial of a number",
    "compute the nth fibonacci number",
    "remove duplicates from a list",
    "check whether two words are anagrams",
    "count the lines in a text file",
    "thank a customer for an order",
    "print the multiplication table of a number",
    "find the longest word in a sentence",
    "write a birthday message for a friend",
)
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
    block.strip("\n").split("\n", 1)
    for block in r"""
{ret} the {num.phrase} in a list
def {num.name}_numbers({xs}):
    return [x for x in {xs} if {num.code}]

{ret} the {num.phrase} in a list
def get_{num.name}({xs}):
    {result} = []
    for x in {xs}:
        if {num.code}:
            {result}.append(x)
    return {result}

count the {num.phrase} in a list
def count_{num.name}({xs}):
    count = 0
    for x in {xs}:
        if {num.code}:
            count += 1
    return count

{comp} the sum of the {num.phrase} in a list
def sum_of_{num.name}({xs}):
    return sum(x for x in {xs} if {num.code})

{comp} the sum of a list of {xs}
def add_up({xs}):
    {total} = 0
    for x in {xs}:
        {total} += x
    return {total}

{chk} there are any {num.phrase} in a list
def has_{num.name}({xs}):
    for x in {xs}:
        if {num.code}:
            return True
    return False

{chk} a list holds only {num.phrase}
def only_{num.name}({xs}):
    return all({num.code} for x in {xs})

return the {pow.phrase} of a list of numbers
def {pow.name}({xs}):
    return [{pow.code} for x in {xs}]

{comp} the {pow.phrase} of the numbers up to a limit
def {pow.name}_up_to(limit):
    {result} = []
    for x in range(1, limit + 1):
        {result}.append({pow.code})
    return {result}

{ret} the {edge.phrase} number in a list
def {edge.phrase}({xs}):
    best = {xs}[0]
    for x in {xs}:
        if x {edge.name} best:
            best = x
    return best

{ret} the {edge.phrase} value in a dictionary
def {edge.phrase}_value({table}):
    return {edge.code}({table}.values())

{ret} the key with the {edge.phrase} value
def {edge.phrase}_key({table}):
    return {edge.code}({table}, key={table}.get)

sort a list of {words} by length
def sort_by_length({words}):
    return sorted({words}, key=len)

{ret} the {wd.phrase} in a sentence
def {wd.name}({line}):
    return [word for word in {line}.split() if {wd.code}]

count the {wd.phrase} in a sentence
def count_{wd.name}({line}):
    count = 0
    for word in {line}.split():
        if {wd.code}:
            count += 1
    return count

count the {kind.phrase} in a {word}
def count_{kind.name}({word}):
    return sum(1 for char in {word} if {kind.code})

remove the {kind.phrase} from a {word}
def remove_{kind.name}({word}):
    {result} = ""
    for char in {word}:
        if not {kind.code}:
            {result} += char
    return {result}

count how often the letter {letter} is in a {word}
def count_{letter}({word}):
    return {word}.count("{letter}")

{chk} a {word} starts with the letter {letter}
def starts_with_{letter}({word}):
    return {word}.startswith("{letter}")

{chk} a {word} is empty
def is_empty({word}):
    return len({word}) == 0

write a {word} in {case.phrase}
def to_{case.name}({word}):
    return {word}.{case.code}()

write every {word} of a list in {case.phrase}
def all_{case.name}({words}):
    return [word.{case.code}() for word in {words}]

join a list of {words} with commas
def join_{words}({words}):
    return ", ".join({words})

{comp} the {shape.phrase}
def compute({shape.name}):
    return {shape.code}

{comp} the {shape.phrase}
def calculate({shape.name}):
    {total} = {shape.code}
    return {total}

convert {unit.phrase}
def convert({unit.name}):
    return {unit.code}

{chk} a number is divisible by {k}
def is_divisible(number):
    return number % {k} == 0

{chk} a number is between {k} and {big}
def in_range(number):
    return {k} <= number <= {big}

multiply a number by {k}
def multiply(number):
    return number * {k}

print the numbers from 1 to {big}
def print_numbers():
    for x in range(1, {big} + 1):
        print(x)

print every {thing} in a list
def print_all(items):
    for {thing} in items:
        print({thing})

print the name and price of a {thing}
def show_price({thing}, price):
    print(f"The {thing} {{{thing}}} costs {{price}} dollars.")

{say.phrase}
def {say.name}(name):
    print(f"{say.code}")

{say.phrase}
def {say.name}(name):
    return f"{say.code}"

{say.phrase}
def {say.name}(name):
    message = "{say.code}".format(name=name)
    print(message)

print the {ask} of a {who}
def print_{ask}({ask}):
    print("The {ask} is", {ask})

print the {ask} of a {who}
def show_{ask}({who}):
    print(f"{ask}: {{{who}.{ask}}}")

ask the {who} for the {ask}
def ask_{ask}():
    {ask} = input("What is your {ask}? ")
    return {ask}

{ret} the {ask} of every {who} in a list
def all_values(items):
    return [{who}["{ask}"] for {who} in items]

add a {thing} to a list
def add_{thing}(items, {thing}):
    items.append({thing})
    return items

{comp} the price of every {thing} in a list
def total_price(items):
    {total} = 0
    for {thing} in items:
        {total} += {thing}["price"]
    return {total}

count how many {thing}s cost more than {big}
def count_expensive({table}):
    count = 0
    for price in {table}.values():
        if price > {big}:
            count += 1
    return count

read the {words} of a file
def read_{words}(path):
    with open(path) as file:
        return file.read().split()

write a {word} to a file
def write_{word}(path, {word}):
    with open(path, "w") as file:
        file.write({word})

{ret} the first {k} {words} of a list
def first_{words}({words}):
    return {words}[:{k}]

swap the keys and values of a dictionary
def swap({table}):
    return {{value: key for key, value in {table}.items()}}

divide two numbers and round the result
def divide(a, b):
    if b == 0:
        return None
    return round(a / b, 2)
""".strip().split("\n\n")
]

# What people write around such a task. {name} and {list} are words of the function; {task} is another task.
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
    """A question in the form of the article's prompt, and what people say about it, with the function in half of them."""
    task, code = function_pair(rng)
    say = lambda sentences: rng.choice(sentences).format(task=function_pair(rng)[0])
    parts = [" ".join(say(pool) for pool in (OPENINGS, REMARKS, REMARKS)[: rng.randint(1, 3)])]
    for _ in range(rng.randint(1, 3)):
        parts.append(" ".join(say(REMARKS) for _ in range(rng.randint(1, 4))))
    if rng.random() < 0.5:
        parts.insert(rng.randint(1, len(parts)), code.rstrip("\n"))
    return f"Write a Python function to {task}:\n\n" + "\n\n".join([*parts, say(CLOSINGS)]) + "\n"
