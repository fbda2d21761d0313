"""Every cell of every solution runs, in a process of its own for each notebook; what they assert holds."""

import contextlib
import io
import os

import fresh
import nbformat
import pytest
import torch

from merging.paths import ROOT

pytestmark = pytest.mark.long
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


def run_cells(path):
    """Run the code cells of a notebook in one namespace; raises what a cell raises."""
    os.chdir(path.parent)
    torch.set_num_threads(1)
    namespace = {"__name__": "__main__"}
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for i, source in enumerate(cells):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, f"{path.name}, code cell {i}", "exec"), namespace)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_cell_of_a_solution_runs(path):
    fresh.run(run_cells, path)
