"""Time of a piece of code: what is called, and what is not loaded for it."""

import subprocess
import sys

from merging.measure.cost import seconds


def test_the_seconds_are_those_of_one_call_of_each_way(monkeypatch):
    now, costs = [0.0], {"slow": 0.25, "quick": 0.001}
    monkeypatch.setattr("merging.measure.cost.time.perf_counter", lambda: now[0])

    def way(name):
        now[0] += costs[name]

    times = seconds({name: lambda name=name: way(name) for name in costs}, rounds=2)
    assert {name: round(time, 6) for name, time in times.items()} == costs


def test_timing_loads_nothing_that_warns_on_standard_error():
    # PyTorch's compiler of extensions does, where CUDA is installed and no GPU is seen; its benchmark module loads it.
    code = "import sys; from merging.measure.cost import seconds; seconds({'nothing': lambda: None}, rounds=1); "
    code += "sys.exit('torch.utils.cpp_extension' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_checks_of_exercises_load_nothing_that_warns_either():
    code = "import sys; from lessons.exercises import notebook_07, notebook_08, notebook_09; "
    code += "sys.exit('torch.utils.cpp_extension' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
