import os
import re

os.environ["DEVICE"] = os.environ.get("DEVICE") or "cpu"  # for notebooks and subprocesses, too; make test DEVICE=cuda
if "PYTEST_XDIST_WORKER" in os.environ:  # two workers, two cores: notebooks and subprocesses get one each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config):
    """What the processes need that run tests; the one that only hands them out starts sooner without it."""
    if config.getoption("numprocesses", None):
        return
    import torch
    from hypothesis import settings

    torch.set_num_threads(1)  # the models of the tests are so small that threads only get in each other's way
    # The same examples on every machine, and no verdict by the clock.
    settings.register_profile("steady", derandomize=True, deadline=None, database=None, max_examples=50)
    settings.load_profile("steady")
    config.pluginmanager.import_plugin("shared_models")


# What takes minutes comes first, or one worker would still be at it when the other has nothing left to do; and before
# it what waits for servers and browsers, while .ci/run has other tests beside these. 06 takes most of the memory:
# beside it run tests that start no kernel, no browser and no Ray.
LIGHT = "law|helpers|exercises|mergekit|architectures|strangers|text|scoring|sandbox|methods|checks|kit"
LONG = (
    "test_hub.py",
    "test_browser.py",
    "test_site.py",
    "test_pretended_gpu.py",
    "06_.*ipynb",
    f"test_({LIGHT}).py",
    "test_sweeps.py",
    "test_hub_notebooks.py",
    "test_training.py",
    "(?!10_).*ipynb",
    "test_solutions.py",
    "10_.*ipynb",
    "test_smollm2.py",
    "test_players.py",
)


def rank(item):
    """The place of an item's file among those that take long."""
    return next((i for i, name in enumerate(LONG) if re.fullmatch(name, item.path.name)), len(LONG))


def pytest_collection_modifyitems(items):
    """Sort whole files, within which the order stays; pyproject.toml keeps xdist from sorting by number of tests."""
    items.sort(key=rank)
