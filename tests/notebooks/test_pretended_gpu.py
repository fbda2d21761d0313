"""The notebooks on a GPU that is not there, by a learner who runs cells again.

In no cell do tensors of two devices meet, and what agrees on a CPU agrees. Every four cells are run and then run again
from the first to the last of them, all in one namespace as in a kernel, and none fails then. Each notebook has a
process of its own, and texts are cut short, since what is tested is what cells do to tensors, names, objects and files.
06 is left out, whose models are too large to be computed with here, and so are the cells of 10 whose work is done by
Ray's processes, where nothing is pretended.
"""

import contextlib
import io
import os
import warnings

import fresh
import nbformat
import pytest
import torch
from pretend import pretended
from short import cut_short

from merging.paths import ROOT

pytestmark = pytest.mark.long
NOTEBOOKS = [path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) if path.name[:2] != "06"]
BACK = 4
# They need more than loading, merging and reading.
APPLE = [path for path in NOTEBOOKS if path.name[:2] in ("07", "08", "09")]
CASES = [("cuda", path) for path in NOTEBOOKS] + [("mps", path) for path in APPLE]


def run_pretended(kind, path):
    """Run the cells of a notebook as if there were a GPU; raises what a cell raises."""
    cut_short(n=4, length=300 if path.name[:2] == "09" else 100, tokens=20)  # 09's least squares need many rows
    os.chdir(path.parent)
    torch.set_num_threads(1)
    namespace = {"__name__": "__main__"}
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    cells = [cell for cell in cells if not any(word in cell.source for word in ("start_ray(", "on_ray"))]
    codes = [compile(cell.source, f"{path.name}, code cell {i}", "exec") for i, cell in enumerate(cells)]
    with pretended(kind), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in range(0, len(cells), BACK):
            some = range(start, min(start + BACK, len(cells)))
            for i in [*some, *some] if kind == "cuda" else some:
                run_cell(codes[i], cells[i], namespace)
        assert kind in {value.device.type for value in namespace.values() if isinstance(value, torch.nn.Module)}


def run_cell(code, cell, namespace):
    """Run a cell; it must fail if the stored one did, and say True as often where what it prints does not change."""
    tags = cell.metadata.get("tags", ())
    refused = pytest.raises(Exception) if "raises-exception" in tags else contextlib.nullcontext()
    with contextlib.redirect_stdout(io.StringIO()) as printed, refused:
        exec(code, namespace)
    if "nbval-check-output" in tags:
        stored = "".join(output.get("text", "") for output in cell.outputs)
        assert printed.getvalue().count("True") == stored.count("True"), cell.source


@pytest.mark.parametrize("kind, path", CASES, ids=lambda case: getattr(case, "stem", case))
def test_every_cell_runs_on_a_pretended_gpu(kind, path):
    fresh.run(run_pretended, kind, path)
