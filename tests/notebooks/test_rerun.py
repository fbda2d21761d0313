"""Learners run a cell twice and go back a few: no cell of any notebook fails then.

Every cell is run twice, and then every four cells once more from the first to the last of them, all in one namespace as
in a kernel. Texts are cut short, since what is tested is what cells do to names, objects and files.
"""

import contextlib
import io
import itertools
import sys
import warnings

import matplotlib.pyplot as plt
import nbformat
import pytest
from transformers import GenerationMixin

import helpers
import merging.measure.texts
from lessons.views import explorers
from merging.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
BACK = 4


@pytest.fixture
def little(monkeypatch):
    """Documents of 300 characters, continuations of 8 tokens."""
    cut = lambda texts: {kind: [document[:300] for document in documents[:8]] for kind, documents in texts.items()}
    heldout, calibration = merging.measure.texts.heldout_texts, merging.measure.texts.calibration_texts
    generate, stream = GenerationMixin.generate, explorers.stream_text
    monkeypatch.setattr(helpers, "heldout_texts", lambda: cut(heldout()))
    monkeypatch.setattr(merging.measure.texts, "calibration_texts", lambda part: cut(calibration(part)))
    monkeypatch.setattr(
        GenerationMixin,
        "generate",
        lambda model, ids, max_length, **options: generate(
            model, ids, max_length=min(max_length, ids.shape[1] + 8), **options
        ),
    )
    monkeypatch.setattr(explorers, "stream_text", lambda *arguments: itertools.islice(stream(*arguments), 8))
    monkeypatch.chdir(ROOT / "notebooks")


def order(n):
    """The numbers of n cells in the order in which they are run."""
    for start in range(0, n, BACK):
        block = range(start, min(start + BACK, n))
        yield from (cell for cell in block for _ in range(2))
        yield from block


def test_every_cell_runs_three_times_and_once_after_going_back():
    assert list(order(6)) == [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3, 4, 4, 5, 5, 4, 5]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_fails_when_it_is_run_again(path, little):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    codes = [compile(cell.source, f"{path.name}, code cell {i}", "exec") for i, cell in enumerate(cells)]
    fails = ["raises-exception" in cell.metadata.get("tags", ()) for cell in cells]  # and then it does every time
    namespace = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in order(len(codes)):
            with pytest.raises(RuntimeError) if fails[cell] else contextlib.nullcontext():
                exec(codes[cell], namespace)
    plt.close("all")
    if "ray" in sys.modules:  # 09 has started it
        sys.modules["ray"].shutdown()
