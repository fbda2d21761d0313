"""The notebooks on a GPU that is not there, by a learner who runs cells again.

In no cell do tensors of two devices meet, and what agrees on a CPU agrees. Every four cells are run and then run again
from the first to the last of them, all in one namespace as in a kernel, and none fails then; what measures much is not
run again. Each notebook has a process of its own; texts, 10's large models and the depth of the tiny ones are cut,
since what is tested is what cells do to tensors, names, objects and files. 06 is left out, whose models are too large
to be computed with here, and so are the cells of 10 whose work is done by Ray's processes, where nothing is pretended.
On Apple's GPU, 08 and 09 are run where mergekit is not installed, as in Colab.
"""

import contextlib
import io
import os
import sys
import warnings

import fresh
import nbformat
import pytest
import torch
from pretend import pretended
from short import cut_short, use_shallow

from merging.paths import ROOT

pytestmark = pytest.mark.long
NOTEBOOKS = [path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) if path.name[:2] != "06"]
BACK = 4
DEAR = 8_000  # operations of four cells that are not run again: some twenty models merged and read
LARGE, SMALL = "hidden_size=384", "hidden_size=24"  # of the models that 10 times
NOT_COMPARED = "not compared, mergekit is not installed"
# They need more than loading, merging and reading.
APPLE = [path for path in NOTEBOOKS if path.name[:2] in ("07", "08", "09")]
CASES = [("cuda", path) for path in NOTEBOOKS] + [("mps", path) for path in APPLE]


def blocks_of(path):
    """How many blocks do for a notebook: 09 weighs by slopes, which two blocks leave too near to nothing."""
    return 4 if path.name[:2] == "09" else 2


def short_cells(path, shallow):
    """(compiled, cell) of the code cells of a notebook, but for Ray's; this process goes to its folder, for good."""
    use_shallow(shallow / str(blocks_of(path)))
    # 09 needs many rows, and 02 compares texts of 20 tokens.
    cut_short(n=4, length=300 if path.name[:2] == "09" else 100, tokens=20 if path.name[:2] == "02" else 8)
    os.chdir(path.parent)
    torch.set_num_threads(1)
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    cells = [cell for cell in cells if not any(word in cell.source for word in ("start_ray(", "on_ray"))]
    sources = [cell.source.replace(LARGE, SMALL) for cell in cells]
    assert any(SMALL in source for source in sources) == (path.name[:2] == "10")
    codes = [compile(source, f"{path.name}, code cell {i}", "exec") for i, source in enumerate(sources)]
    return list(zip(codes, cells))


def run_pretended(kind, path, shallow):
    """Run the cells of a notebook as if there were a GPU; raises what a cell raises."""
    cells, namespace, said = short_cells(path, shallow), {"__name__": "__main__"}, ""
    if kind == "mps":
        sys.modules["mergekit"] = None  # Python's own way to say that there is none
    with pretended(kind) as words, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in range(0, len(cells), BACK):
            some, before = cells[start : start + BACK], words.kernels.launches
            said += "".join([run_cell(*each, namespace) for each in some])
            if kind == "cuda" and words.kernels.launches - before < DEAR:
                for each in some:
                    run_cell(*each, namespace)
        without = (kind, path.name[:2]) == ("mps", "08")
        assert said.count(NOT_COMPARED) == (5 if without else 0)
        assert kind in {value.device.type for value in namespace.values() if isinstance(value, torch.nn.Module)}


def run_cell(code, cell, namespace):
    """Run a cell and give what it prints.

    It must fail if the stored one did, and say True as often where what it prints does not change.
    """
    tags = cell.metadata.get("tags", ())
    refused = pytest.raises(Exception) if "raises-exception" in tags else contextlib.nullcontext()
    with contextlib.redirect_stdout(io.StringIO()) as printed, refused:
        exec(code, namespace)
    if "nbval-check-output" in tags:
        stored = "".join(output.get("text", "") for output in cell.outputs)
        assert printed.getvalue().replace(NOT_COMPARED, "True").count("True") == stored.count("True"), cell.source
    return printed.getvalue()


@pytest.mark.parametrize("kind, path", CASES, ids=lambda case: getattr(case, "stem", case))
def test_every_cell_runs_on_a_pretended_gpu(kind, path, shallow):
    fresh.run(run_pretended, kind, path, shallow)
