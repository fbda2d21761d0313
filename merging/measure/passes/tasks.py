"""What a correct function is: the held-out tasks, a few inputs for each, and who judges the answers."""

import math
import re


def same_number(answer, expected, arguments, tolerance=1e-6):
    """True for the expected number, or a text that ends with it and holds no others but the arguments."""
    close = lambda number: abs(number) < 1e15 and math.isclose(number, expected, rel_tol=tolerance)
    if isinstance(answer, str):
        numbers, given = _numbers(answer), _numbers(str(arguments))
        return bool(numbers) and close(numbers[-1]) and all(close(n) or n in given for n in numbers)
    return type(answer) in (int, float) and close(answer)


def is_about(answer, expected, arguments):
    """Like same_number, within 1 %: a mile is 1.6, 1.609 or 1.60934 km, and the result may be rounded."""
    return same_number(answer, expected, arguments, tolerance=0.01)


def is_verdict(answer, expected, arguments):
    """True for the expected True or False (1 or 0), or a text that says so: without a no, not or false it is a yes."""
    if isinstance(answer, str):
        words = re.findall(r"[a-z]+(?:n't)?", answer.lower())
        no = any(word in ("no", "non", "not", "false") or word.endswith("n't") for word in words)
        return bool(words) and no is not expected
    return answer in (True, False) and answer == expected


def is_text(answer, expected, arguments):
    """True for the expected words, as one line that ends with them or as a list; case and punctuation do not count."""
    wanted = _words(expected)
    if isinstance(answer, list):
        return _words(" ".join(map(str, answer))) == wanted
    return isinstance(answer, str) and "\n" not in answer.strip() and _words(answer)[-len(wanted) :] == wanted


def is_collection(answer, expected, arguments):
    """True for a list or a set of the expected numbers, or a text with just them; in any order, each as often."""
    items = _numbers(answer) if isinstance(answer, str) else answer
    return isinstance(items, list) and len(items) == len(expected) and all(item in items for item in expected)


def is_table(answer, expected, arguments):
    """True if the multiples 1 to 9 (or more) of a number stand in one line, or end lines (or items) that follow."""
    lines = [_numbers(str(line)) for line in (answer if isinstance(answer, list) else str(answer).splitlines())]
    wanted = [expected * factor for factor in range(1, 10)]
    runs = [[line[-1] for line in lines if line], *lines]
    return any(run[i : i + 9] == wanted for run in runs for i in range(len(run)))


def says(answer, expected, arguments):
    """True for a text in which the pattern is found, and the first argument: the name of whom it speaks to."""
    found = isinstance(answer, str) and re.search(rf"\b(?:{expected})", answer, re.IGNORECASE)
    return bool(found) and arguments[0].lower() in answer.lower()


def _numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def _words(text):
    return re.findall(r"\w+", text.lower())


HELLO = r"hello|hi\b|hey\b|welcome|greetings|good (?:day|morning|afternoon|evening)|nice to (?:meet|see)|how are you"

# The one task that needs open() gets one that finds these texts and no file.
FILE_TASK = "count the lines in a text file"
FILES = {"notes.txt": "first line\n\nthe third\n", "list.txt": "a\nb\nc\nd\ne\n"}

# task -> (judge, examples); an example is the arguments and what is expected. Two expected values are two readings of
# the task, one of which has to fit all its examples. The examples are plain: no empty list, no tie, no upper case.
# The last argument of the cards and of the table (an order, an age, a limit) is for functions that ask for it.
TASKS = {
    "greet the user by name": (says, [(["Anna"], HELLO), (["Omar"], HELLO)]),
    "return the second largest number in a list": (
        same_number,
        [([[4, 9, 1, 7]], 7), ([[3, 5, 8]], 5), ([[2, 1]], 1), ([[-1, -5, -3]], -3)],
    ),
    "count the vowels in a word": (same_number, [(["banana"], 3), (["education"], 5), (["rhythm"], 0)]),
    "compute the average of a list of grades": (same_number, [([[90, 80, 100, 70]], 85), ([[2, 3]], 2.5)]),
    "check whether a year is a leap year": (
        is_verdict,
        [([2024], True), ([2023], False), ([1900], False), ([2000], True)],
    ),
    "reverse the words in a sentence": (  # their order, or the letters of each
        is_text,
        [(["the quick fox"], "fox quick the", "eht kciuq xof"), (["we like tea"], "tea like we", "ew ekil aet")],
    ),
    "convert a distance from miles to kilometers": (is_about, [([10], 16.0934), ([3], 4.82803)]),
    "return the factorial of a number": (same_number, [([4], 24), ([6], 720), ([1], 1)]),
    "compute the nth fibonacci number": (  # of 1, 1, 2, ... or of 0, 1, 1, 2, ..., the first of which is number 1
        same_number,
        [([1], 1, 0), ([2], 1, 1), ([7], 13, 8), ([10], 55, 34)],
    ),
    "remove duplicates from a list": (
        is_collection,
        [([[1, 2, 2, 3, 1]], [1, 2, 3]), ([[7, 7, 7]], [7]), ([[5, 4]], [5, 4])],
    ),
    "check whether two words are anagrams": (
        is_verdict,
        [(["listen", "silent"], True), (["apple", "plea"], False), (["night", "thing"], True), (["dog", "cat"], False)],
    ),
    FILE_TASK: (same_number, [(["notes.txt"], 3), (["list.txt"], 5)]),
    "thank a customer for an order": (says, [(["Anna", "lamp"], "thank"), (["Omar", "bike"], "thank")]),
    "print the multiplication table of a number": (is_table, [([7, 10], 7), ([4, 12], 4)]),
    "find the longest word in a sentence": (
        is_text,
        [
            (["a butterfly sat on the leaf"], "butterfly"),
            (["elephants eat grass"], "elephants"),
            (["we like strawberry cake"], "strawberry"),
        ],
    ),
    "write a birthday message for a friend": (says, [(["Anna", 30], "birthday"), (["Omar", 41], "birthday")]),
}
