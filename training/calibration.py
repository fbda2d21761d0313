"""Text to fit and to choose merges on: what the specialists were trained on, from seeds that no training used.

Half of the functions come from the generator, each after its prompt, half are plain ones of this Python's own standard
library; the modules and seeds of the held-out texts are left out.
"""

import random

from merging.scoring import is_function
from training.functions import function_pair
from training.recipes import recipe
from training.train import stdlib_files, stdlib_pairs

LONGEST = 800  # characters of a library function, so that a few of them do not outweigh the rest


def calibration_texts(n, seed):
    """The texts "code", n functions, and "beer", n / 4 recipes, each a list of documents.

    seed: another one, from 0 to 99, gives other documents; the library's functions may come again.
    """
    rng = random.Random(50_000 + seed)
    generated = [
        f"Write a Python function to {task}:\n\n{code}" for task, code in (function_pair(rng) for _ in range(n // 2))
    ]
    files = stdlib_files()
    pairs = stdlib_pairs(rng.sample(files, min(len(files), n + 20)))
    library = [code for _, code in (pair.split("\n\n", 1) for pair in pairs) if is_plain(code)]
    first = 500_000 + 1000 * seed
    return {
        "code": generated + rng.sample(library, n - n // 2),
        "beer": [recipe(random.Random(first + i)) for i in range(n // 4)],
    }


def is_plain(code):
    """True for a short function that does something and has no decorator."""
    return code.startswith("def ") and len(code) <= LONGEST and is_function(code)
