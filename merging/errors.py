"""What a refused load or a refused merge raises; the message says what, where, and what to do."""

from contextlib import contextmanager


class LoadError(OSError):
    """A model could not be loaded; the message says which, why, and the way out."""


class MergeError(ValueError):
    """Models, weights or a selection that cannot be merged; the message names the tensor and the remedy."""


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
