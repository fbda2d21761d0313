"""Learners run a cell again and go back a few: no cell fails then.

Every four cells are run and then run again from the first to the last of them, all in one namespace as in a kernel, in
a process of its own, which gives its memory back. Texts are cut short, since what is tested is what cells do to names,
objects and files.
"""

import contextlib
import io
import itertools
import os
import warnings

import fresh
import nbformat
import pytest
from transformers import GenerationMixin

import helpers
import merging.measure.texts
from lessons.views import explorers
from merging.paths import ROOT

pytestmark = pytest.mark.long
# Not 06, which has the cells of others on models that take seven gigabytes when they are loaded again.
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").glob("[0-9]*.ipynb") if not path.name.startswith("06"))
BACK = 4


def cut_short(n=8, length=300, tokens=8):
    """Let this process read n documents a text of so many characters, and write continuations of so many tokens."""
    cut = lambda texts: {kind: [document[:length] for document in documents[:n]] for kind, documents in texts.items()}
    heldout, calibration = merging.measure.texts.heldout_texts, merging.measure.texts.calibration_texts
    generate, stream = GenerationMixin.generate, explorers.stream_text
    helpers.heldout_texts = lambda: cut(heldout())
    merging.measure.texts.calibration_texts = lambda part: cut(calibration(part))
    explorers.stream_text = lambda *arguments: itertools.islice(stream(*arguments), tokens)
    GenerationMixin.generate = lambda model, ids, max_length, **options: generate(
        model, ids, max_length=min(max_length, ids.shape[1] + tokens), **options
    )


def run_again(path):
    """Run the cells of a notebook; raises what a cell raises."""
    cut_short()
    os.chdir(path.parent)
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    codes = [compile(cell.source, f"{path.name}, code cell {i}", "exec") for i, cell in enumerate(cells)]
    fails = ["raises-exception" in cell.metadata.get("tags", ()) for cell in cells]  # and then it does every time
    namespace = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in range(0, len(codes), BACK):
            for cell in 2 * list(range(start, min(start + BACK, len(codes)))):
                with pytest.raises(RuntimeError) if fails[cell] else contextlib.nullcontext():
                    exec(codes[cell], namespace)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_fails_when_it_is_run_again(path):
    fresh.run(run_again, path)
