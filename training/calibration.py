"""Write models/calibration: text to fit and to choose merges on, of the kinds that the specialists were trained on.

    python -m training.calibration

Half of the functions come from the generator, each after its prompt, half are plain ones of this Python's own standard
library (PSF licence). Recipes and generated functions come from seeds that neither training nor the held-out texts use;
the library's functions were in clippy's training text, those of the held-out modules are left out.
"""

import random

from merging.measure.text import prompt_of
from merging.measure.texts import PARTS
from merging.measure.valid import is_function
from merging.paths import ROOT
from training.functions import function_pair
from training.recipes import recipe
from training.train import stdlib_files, stdlib_pairs

SIZES = dict(zip(PARTS, (40, 24, 40)))  # functions; a quarter as many recipes
LONGEST = 800  # characters of a library function, so that a few of them do not outweigh the rest


def documents(n, seed, library):
    """The texts "code", n functions, and "beer", n / 4 recipes; half of the functions are taken from library."""
    rng, first = random.Random(50_000 + seed), 500_000 + 1000 * seed
    pairs = [function_pair(rng) for _ in range(n // 2)]
    return {
        "code": [f"{prompt_of(task)}\n\n{code}" for task, code in pairs] + library[: n - n // 2],
        "beer": [recipe(random.Random(first + i)) for i in range(n // 4)],
    }


def library_functions(seed):
    """Short documented functions of the standard library that do something, in random order."""
    pairs = [pair.split("\n\n", 1)[1] for pair in stdlib_pairs(stdlib_files())]
    plain = [code for code in pairs if code.startswith("def ") and len(code) <= LONGEST and is_function(code)]
    return random.Random(seed).sample(list(dict.fromkeys(plain)), len(set(plain)))


def main(folder=ROOT / "models" / "calibration"):
    library = library_functions(seed=0)
    for seed, (part, n) in enumerate(SIZES.items()):
        texts, library = documents(n, seed, library), library[n - n // 2 :]
        (folder / part).mkdir(parents=True, exist_ok=True)
        for kind, text in texts.items():
            joined = "\n\n\n".join(document.strip("\n") for document in text)
            (folder / part / f"{kind}.txt").write_text(joined + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
