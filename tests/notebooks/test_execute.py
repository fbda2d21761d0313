"""Stored outputs come from the CPU."""

import os
import sys

import execute

from merging.load.device import get_device


def test_notebooks_are_executed_on_the_cpu(monkeypatch):
    monkeypatch.setenv("DEVICE", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(sys, "argv", ["execute.py", "03_merge_all_layers.ipynb"])
    found = []
    monkeypatch.setattr(execute, "execute", lambda path: found.append((path.name, get_device())))
    execute.main()
    assert found == [("03_merge_all_layers.ipynb", "cpu")] and os.environ["CUDA_VISIBLE_DEVICES"] == ""
