"""Learners run a cell again and go back a few: no cell fails then.

Every four cells are run and then run again from the first to the last of them, all in one namespace as in a kernel, in
a process of its own, which gives its memory back. Texts are cut short, since what is tested is what cells do to names,
objects and files.
"""

import contextlib
import io
import os
import warnings

import fresh
import nbformat
import pytest
from short import cut_short

from merging.paths import ROOT

pytestmark = pytest.mark.long
# Not 06, which has the cells of others on models that take seven gigabytes when they are loaded again.
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").glob("[0-9]*.ipynb") if not path.name.startswith("06"))
BACK = 4


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
