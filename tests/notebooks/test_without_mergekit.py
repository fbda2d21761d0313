"""The notebooks on methods run from first to last cell where mergekit is not installed, as in Colab."""

import contextlib
import io
import os
import sys

import fresh
import nbformat
import pytest
import torch
from short import cut_short

from merging.paths import ROOT

PATHS = [path for n in ("08", "09") for path in (ROOT / "notebooks").glob(f"{n}_*.ipynb")]


def run_without(path):
    """Run the cells with short texts; where 08 compares itself with mergekit, it says that it does not."""
    sys.modules["mergekit"] = None  # Python's own way to say that there is none
    cut_short(n=4, length=300)
    os.chdir(path.parent)
    torch.set_num_threads(1)
    namespace, printed = {"__name__": "__main__"}, io.StringIO()
    for i, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(printed):
                exec(compile(cell.source, f"{path.name}, cell {i}", "exec"), namespace)
    assert printed.getvalue().count("not compared, mergekit is not installed") == (5 if path.name[:2] == "08" else 0)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_cell_runs_without_mergekit(path):
    assert len(PATHS) == 2
    fresh.run(run_without, path)
