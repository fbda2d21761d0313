"""The package behind helpers.py: what a merge is. Imports go one way only, which tests/test_layout.py reads.

errors      what a refused load or merge raises
paths       where this repository lies
tensors     a model as named tensors, each once, and what kind each is
checks      what is refused before any number is averaged
averaging   the weighted average itself, in place and in half precision
load/       from an id, a folder, an adapter or a GGUF file to models
measure/    what a model predicts, writes and costs
methods/    merges beyond the average
disk/       checkpoints on disk: merged in pieces, written whole
"""

import os

# A repository that holds only a .bin would otherwise make transformers ask a conversion service in the background,
# and may download a second copy of the weights. Must be set before transformers is imported.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

# Threads that wait for each other give their core away soon: beside a program that keeps one core busy, a model on two
# threads took two to three times as long without this. Must be set before torch is imported, as in the notebooks' first
# cell. GNU's OpenMP alone reads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
