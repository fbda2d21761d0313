"""What a refused load or a refused merge raises, and how words of others stand in our text.

A message says what, where, and what to do. It may hold a name from somebody's file: that is printable and short.
"""

import html
import re
from contextlib import contextmanager

LONGEST = 2000  # characters of a message


def printable(text, most=LONGEST):
    """A text on one line: what cannot be seen (line breaks, codes for a terminal) as Python writes it, and no longer.

    most: how many characters at most; the rest is three dots.
    """
    text = str(text)
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: most + 1])
    return seen if len(text) <= most and len(seen) <= most else f"{seen[: most - 3]}..."


def escaped(text, most=120):
    """A text of others in Markdown: as it is, but neither a tag nor a link, a formula or the end of a cell."""
    text = html.escape(printable(text, most), quote=False)
    text = re.sub(r"[\\*\[\]|~$]", lambda found: f"&#{ord(found[0])};", text)
    return re.sub(r":(?=//)|(?<=www)\.|(?<=mailto):", lambda found: f"&#{ord(found[0])};", text, flags=re.IGNORECASE)


class LoadError(OSError):
    """A model could not be loaded; the message says which, why, and the way out."""

    def __init__(self, message):
        super().__init__(printable(message))


class MergeError(ValueError):
    """Models, weights or a selection that cannot be merged; the message names the tensor and the remedy."""

    def __init__(self, message):
        super().__init__(printable(message))


def out_of_memory(error):
    """True if an error says that memory ran out: torch's on a GPU, on mps and on a CPU, or Python's."""
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or isinstance(error, RuntimeError) and any(w in str(error) for w in words)


@contextmanager
def enough_memory(refusal, message):
    """Raise refusal(message) where memory runs out inside of a with block or a function, on any device."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise refusal(message) from None


within_memory = enough_memory(  # a decorator
    MergeError,
    "There is too little memory for this merge. Let go of models that you do not need, merge into one that you have "
    "(out=), from disk to disk (merge_checkpoints), or on the CPU (DEVICE=cpu).",
)
