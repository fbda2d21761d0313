"""Where Ray does not start at once it is tried again, and where it never does one sentence says so."""

import pytest
import ray

from merging.errors import LoadError
from merging.measure.sweeps import start_ray, sweep

LATE = "The current node timed out during startup. This could happen because the GCS has become overloaded."


def slow_ray(monkeypatch, failures):
    """A Ray that gives up so many times before it starts; what it was started with is collected."""
    asked = []

    def init(**options):
        asked.append(options)
        if len(asked) <= failures:
            raise Exception(LATE)
        return "started"

    monkeypatch.setattr(ray, "init", init)
    return asked


def test_a_ray_that_is_late_is_tried_again_with_the_same_options(monkeypatch):
    asked = slow_ray(monkeypatch, failures=2)
    assert start_ray(address="local") == "started"
    assert len(asked) == 3 and asked[0] == asked[2] and asked[0]["address"] == "local"


def test_a_ray_that_never_starts_ends_in_one_sentence(monkeypatch):
    slow_ray(monkeypatch, failures=99)
    with pytest.raises(LoadError, match="Ray did not start in 5 tries.*plain loop") as raised:
        list(sweep("tiny", [{"clippy": 1.0}], {"code": "x"}))
    assert LATE in str(raised.value) and "\n" not in str(raised.value)
