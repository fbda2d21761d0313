"""Notebooks on stand-ins for the article's models, which it finds on a Hub on loopback: see hub.py."""

import nbformat
import pytest
from browser import copy_series
from hub import environment, serve
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from merging.paths import ROOT

pytestmark = pytest.mark.long
SHORT = "import sys; sys.path.append({!r}); from short import cut_short; cut_short()"
# What loads, what merges, what merges merges, and what loads by the ids of a reader; the others use the same functions.
NOTEBOOKS = [path for n in ("01", "03", "05", "11") for path in (ROOT / "notebooks").glob(f"{n}_*.ipynb")]


@pytest.fixture(scope="module")
def kernel(checkpoints, tmp_path_factory):
    """A kernel on a copy of the series with three short held-out documents a text: the stand-ins' scores mean nothing.

    The first notebook downloads into an empty cache, where the others find it all. Each starts without names of the
    one before.
    """
    folder = tmp_path_factory.mktemp("series")
    copy_series(folder, documents=3)
    with serve(checkpoints) as (endpoint, _):
        surroundings = environment(endpoint, tmp_path_factory.mktemp("cache"), MODEL_FAMILY="gpt-neo-125m")
        manager, client = start_new_kernel(300, "python3", env=surroundings, cwd=str(folder / "notebooks"))
        yield manager
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_on_the_articles_models(kernel, path):
    """A cell that raises without the tag raises-exception raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    setup = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(setup + 1, nbformat.v4.new_code_cell(SHORT.format(str(ROOT / "tests"))))
    notebook.cells.insert(setup, nbformat.v4.new_code_cell("%reset -f"))
    NotebookClient(notebook, timeout=900, km=kernel).execute()
