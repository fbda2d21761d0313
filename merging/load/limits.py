"""How much the settings of a file may ask for: what would be built or matched without end is refused before.

A configuration of 300 bytes can ask for 10^10 layers, labels or attention types, and a library builds a list of them
before anybody can look at it; a pattern of 20 characters can take longer than the reader lives.
"""

import time
import zipfile

import regex
import torch

MOST_LAYERS = 1_000  # of a configuration: the deepest models have some hundreds
MANY = 100_000  # of what a configuration makes a list of
MOST_POSITIONS = 2**24  # tokens that a model sees at once: the longest contexts have 10 million
COUNTED = regex.compile(r"layer|block|depth|label|expert|head|attention_types|pattern")  # words for such things
POSITIONS = regex.compile(r"position|n_ctx|context|seq(uence)?_len")
IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
PATIENCE = 2.0  # seconds for all the patterns of a file


def leaves(settings):
    """(key, value) for every value in nested settings that is no dict and no list; a list's values have its key."""
    stack = [("", settings)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            stack += value.items()
        elif isinstance(value, list):
            stack += ((key, item) for item in value)
        else:
            yield key, value


def excess(settings):
    """(key, number) of a number in nested settings that is beyond what its key may count; or None."""
    numbers = ((key, value) for key, value in leaves(settings) if isinstance(value, (int, float)) and "size" not in key)
    beyond = lambda key, n: n > MANY and COUNTED.search(key) or n > MOST_POSITIONS and POSITIONS.search(key)
    return next((pair for pair in numbers if beyond(*pair)), None)


def kernel(settings):
    """The code on the Hub that nested settings ask for as their implementation of attention or experts, or None."""
    return next((value for key, value in leaves(settings) if key in IMPLEMENTATIONS and "/" in str(value)), None)


def bin_tensors(file):
    """name -> tensor without numbers of a .bin file. Raises ValueError if they would take more than the file has bytes.

    Its numbers may be compressed, and a tensor may be one number that is repeated. Raises what torch does, too.
    """
    size, unpacked = file.stat().st_size, 0
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as content:
            unpacked = sum(entry.file_size for entry in content.infolist())
    found = torch.load(file, map_location="meta", weights_only=True) if unpacked <= size else {}
    pairs = found.items() if isinstance(found, dict) else ()
    tensors = {name: t for name, t in pairs if isinstance(name, str) and isinstance(t, torch.Tensor)}
    if unpacked > size or any(t.numel() * t.element_size() > size for t in tensors.values()):
        raise ValueError(f"it stands for more numbers than its {size:,} bytes can hold: take another release")
    return tensors


def first_match(patterns, names):
    """name -> the first of the patterns that peft would use for a module of this name, or None.

    Raises TimeoutError if matching takes too long, and ValueError for what is no pattern.
    """
    end = time.monotonic() + PATIENCE

    def matches(pattern, name):
        try:
            return regex.match(rf"(.*\.)?({pattern})$", name, timeout=max(end - time.monotonic(), 1e-3))
        except regex.error:
            raise ValueError(f"{pattern!r:.100} is no pattern") from None

    return {name: next((pattern for pattern in patterns if matches(pattern, name)), None) for name in names}
