"""What the models of a family take alone, and beside a program that keeps one core busy, as readers' browsers do.

Each measurement is a process of its own, whose threads are chosen as in the notebooks.
"""

import os
import statistics
import subprocess
import sys

from merging.paths import ROOT

ROWS = {
    "alone": "nothing else runs",
    "busy": "beside a program that keeps one core busy",
    "two_alone": "the same on two threads that wait as PyTorch's do unasked: nothing else runs",
    "two_busy": "the same, beside the program",
}
UNASKED = {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "300000"}  # GNU's own number where nothing is set
JOB = """
import sys, time, merging, helpers
from merging.measure.bits import bits_per_byte
from merging.measure.text import BEER_PROMPT, generate_texts
models, step = helpers.load_models(sys.argv[1]), int(sys.argv[2])
model, tokenizer = models["beer"]
texts = [document for documents in helpers.heldout_texts().values() for document in documents[::step]]
length = len(tokenizer(BEER_PROMPT)["input_ids"]) + 50
for i in range(2):  # the first round warms up
    start = time.perf_counter()
    bits_per_byte(model, tokenizer, texts)
    read = time.perf_counter()
    generate_texts(model, tokenizer, BEER_PROMPT, 8, max_length=length, seed=32)
print(read - start, time.perf_counter() - read)
"""


def job_seconds(family, step, settings):
    """(seconds to read texts, seconds to write 8 texts of 50 tokens) of a family's beer model in a fresh process."""
    command = [sys.executable, "-c", JOB, family, str(step)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()[-2:]))


def medians(family, step, rounds):
    """name of a row -> median seconds of reading and of writing."""
    found = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name in ROWS:
            spin = [sys.executable, "-c", "while True: pass"]
            busy = subprocess.Popen(spin) if name.endswith("busy") else None
            try:
                found[name].append(job_seconds(family, step, UNASKED if name.startswith("two") else {}))
            finally:
                if busy:
                    busy.kill()
    return {name: [statistics.median(values) for values in zip(*rows)] for name, rows in found.items()}


def sections(families, rounds):
    """The parts of the report: a title and a table. families: name -> every how many-th held-out text is read."""
    times = {family: medians(family, step, rounds) for family, step in families.items()}
    yield "## Beside a busy core"
    yield (
        "Seconds to read held-out texts (a quarter of them for tiny, a few for the real model), and to write 8 texts "
        "of 50 tokens at once. tiny runs on one thread, the real model on as many as PyTorch takes."
    )
    lines = ["| row | what | " + " | ".join(f"{f}: read | {f}: write" for f in families) + " |"]
    lines += ["|:--|:--|" + "--:|--:|" * len(families)]
    for name, what in ROWS.items():
        cells = [f"{value:.2f}" for rows in times.values() for value in rows[name]]
        lines.append(f"| `{name}` | {what} | {' | '.join(cells)} |")
    yield "\n".join(lines)
