"""Execute the notebooks in place: fresh kernel, in order, on CPU; keep what a reader sees, drop what makes noise.

python notebooks/execute.py                     all of them, solutions too
python notebooks/execute.py 03_merge_all_layers.ipynb solutions/03_solutions.ipynb
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
KEPT = ("tags", "jupyter", "cellView", "collapsed")  # what tests, the setup cell and folded answers need
NOISE = ("application/vnd.jupyter.widget-view+json",)  # a random id that no reader can use without a kernel


def strip(notebook):
    """Remove widget state, time stamps and widget views; their static twins stand beside them."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not set(NOISE) & set(output.get("data", ()))]
    return notebook


def execute(path):
    """Run one notebook, store its outputs, and say how long it took."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    nbformat.write(strip(notebook), path)
    print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


def main():
    os.environ.update(DEVICE="cpu", CUDA_VISIBLE_DEVICES="")  # stored outputs come from the CPU
    every = [*sorted(HERE.glob("[0-9]*.ipynb")), *sorted(HERE.glob("solutions/[0-9]*.ipynb"))]
    for path in [HERE / name for name in sys.argv[1:]] or every:
        execute(path)


if __name__ == "__main__":
    main()
