import os

os.environ["DEVICE"] = os.environ.get("DEVICE") or "cpu"  # for notebooks and subprocesses, too; make test DEVICE=cuda
if "PYTEST_XDIST_WORKER" in os.environ:  # two workers, two cores: notebooks and subprocesses get one each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hypothesis import settings

torch.set_num_threads(1)  # the models of the tests are so small that threads only get in each other's way

# The same examples on every machine, and no verdict by the clock.
settings.register_profile("steady", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("steady")

# What takes minutes comes first, or one worker would still be at it when the other has nothing left to do. The other
# worker has small models while the first runs 06, whose models take gigabytes; those of further tests come after it.
LONG = (
    "06_a_real_language_model.ipynb",
    "test_hub_notebooks.py",
    "test_browser.py",
    "test_site.py",
    "test_sweeps.py",
    "test_rerun.py",
    "test_pretended_gpu.py",
    "test_training.py",
    "09_scaling_up.ipynb",
    "08_beyond_the_average.ipynb",
    ".ipynb",
    "test_hub.py",
    "test_players.py",
)


def pytest_collection_modifyitems(items):
    """Sort whole files, within which the order stays; pyproject.toml keeps xdist from sorting by number of tests."""
    rank = lambda item: next((i for i, end in enumerate(LONG) if item.path.name.endswith(end)), len(LONG))
    items.sort(key=rank)
