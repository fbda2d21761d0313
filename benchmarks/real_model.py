"""The real model on this machine: loading, merging, a sweep, and how fast its merges write."""

import statistics

from benchmarks.timing import seconds_of
from merging.averaging import merge_into
from merging.load.device import fast_dtype, quick
from merging.load.loading import load_models
from merging.measure.bits import bits_per_byte
from merging.measure.text import BEER_PROMPT, generate_texts
from merging.measure.texts import heldout_texts

ROWS = {
    "real_load": "`load_models`, the base from its cache folder, two adapters added",
    "real_merge": "a merge into a model that is there",
    "real_sweep": "11 merges, each with bits per byte on a quarter of the held-out code and recipes",
    "one_sample": "100 tokens of one sample",
    "samples": "100 tokens of each of 16 samples",
}


def real_model(family, rounds):
    """(name -> median seconds of the rows in ROWS, the dtype that measuring and writing use)."""
    load_models(family)  # makes the cache folder of the base
    loaded = []
    seconds = {"real_load": statistics.median(seconds_of(lambda: loaded.append(load_models(family))) for _ in range(3))}
    (clippy, tokenizer), (beer, _), (out, _) = (loaded[-1][label] for label in ("clippy", "beer", "base"))
    texts = [documents[::4] for kind, documents in heldout_texts().items() if kind != "english"]

    def sweep():
        for i in range(11):
            merge_into(out, [clippy, beer], [i / 10, 1 - i / 10])
            scored = quick(out)
            for text in texts:
                bits_per_byte(scored, tokenizer, text)

    length = len(tokenizer(BEER_PROMPT)["input_ids"]) + 100
    write = lambda n: generate_texts(quick(beer), tokenizer, BEER_PROMPT, n, max_length=length, seed=32)
    actions = {
        "real_merge": lambda: merge_into(out, [clippy, beer], [0.3, 0.7]),
        "real_sweep": sweep,
        "one_sample": lambda: write(1),
        "samples": lambda: write(16),
    }
    times = {"real_merge": rounds, "real_sweep": 1}  # a sweep takes a minute, and is many measurements itself
    for name, action in actions.items():
        if name != "real_sweep":
            action()
        seconds[name] = statistics.median(seconds_of(action) for _ in range(times.get(name, min(rounds, 3))))
    return seconds, str(fast_dtype(beer)).removeprefix("torch.")


def sections(family, rounds):
    """The parts of the report: a title and a table."""
    seconds, dtype = real_model(family, rounds)
    rate = {"one_sample": 100 / seconds["one_sample"], "samples": 1600 / seconds["samples"]}
    lines = ["| row | what | seconds | tokens a second |", "|:--|:--|--:|--:|"]
    for name, what in ROWS.items():
        lines.append(f"| `{name}` | {what} | {seconds[name]:.2f} | {f'{rate[name]:.0f}' if name in rate else ''} |")
    yield f"## The family {family}, measured and written in {dtype}"
    yield "\n".join(lines)
