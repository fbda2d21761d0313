"""What takes long of the notebooks, with short texts on the CPU: `make test-colab` runs this file beside the others."""

import fresh
import pytest
from test_pretended_gpu import NOTEBOOKS, run_cell, short_cells

LONG = [path for path in NOTEBOOKS if path.name[:2] not in ("01", "11")]


def run_short(path, shallow):
    """Run the cells of a notebook; raises what a cell raises."""
    namespace = {"__name__": "__main__"}
    for each in short_cells(path, shallow):
        run_cell(*each, namespace)


@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_every_cell_runs_with_short_texts(path, shallow):
    fresh.run(run_short, path, shallow)
