"""Sweeps on a Ray cluster of two nodes: the same numbers as a plain loop, also if a worker is killed."""

import os
import signal
import time
from collections import Counter

import pytest
import ray
from ray.cluster_utils import Cluster

from helpers import average_models, flat_weights
from merging.errors import LoadError, MergeError
from merging.load.device import get_device
from merging.load.loading import FAMILIES
from merging.measure import sweeps
from merging.measure.bits import bits_per_byte
from merging.measure.sweeps import Worker, patiently, sweep
from merging.measure.texts import heldout_texts

TEXTS = {kind: documents[0] for kind, documents in heldout_texts().items()}
MERGES = [{"clippy": i / 4, "beer": 1 - i / 4} for i in range(5)] + [
    flat_weights((("clippy", "beer", 0.3), "base", 0.6))
]


pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def cluster():
    nodes = patiently(lambda: Cluster(initialize_head=True, head_node_args=dict(num_cpus=1, include_dashboard=False)))
    patiently(lambda: nodes.add_node(num_cpus=1))
    patiently(lambda: ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR"))
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def serial():
    """number -> text -> bits per byte, from a plain loop in this process."""
    worker = Worker(FAMILIES["tiny"])
    return dict(worker.score(weights, TEXTS, number) for number, weights in enumerate(MERGES))


def test_the_plain_loop_equals_merging_anew(serial, tiny):
    for number, weights in enumerate(MERGES):
        anew = average_models([tiny[label].model for label in weights], list(weights.values()))
        for kind, text in TEXTS.items():
            bits = bits_per_byte(anew, tiny["base"].tokenizer, text)
            assert serial[number][kind] == (bits if get_device() == "cpu" else pytest.approx(bits, abs=1e-4))


@pytest.fixture
def interrupted():
    """A sweep was interrupted after its first result; it had taken both processors."""
    results = sweep("tiny", MERGES[:3], TEXTS)
    next(results)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)


def test_ray_equals_the_plain_loop_exactly_and_results_arrive_as_they_finish(serial, interrupted, tmp_path, capfd):
    slowest = serial[0]["code"]  # the first that is measured waits until all other merges are
    others = {str(bits) for number in serial for bits in serial[number].values() if number}
    (tmp_path / "done").mkdir()

    def measure(model, tokenizer, text):
        (tmp_path / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}-{id(model)}").touch()
        bits = bits_per_byte(model, tokenizer, text)
        (tmp_path / "done" / f"{bits}").touch()
        while bits == slowest and not others <= {each.name for each in (tmp_path / "done").iterdir()}:
            time.sleep(0.01)
        return bits

    results = list(sweep("tiny", MERGES, TEXTS, measure))
    assert dict(results) == serial
    assert results[-1][0] == 0  # the first merge was slow, and the others did not wait for it
    assert "6/6" in capfd.readouterr().err  # the progress bar
    places = [log.name.split("-") for log in tmp_path.iterdir() if log.is_file()]
    assert len(places) == 2  # two processes, each with one model to merge into: loaded once, memory used again
    assert {node for node, _, _ in places} == {node["NodeID"] for node in ray.nodes()}


def test_a_killed_worker_loses_only_its_current_merge(serial, tmp_path):
    (tmp_path / "log").mkdir()

    def measure(model, tokenizer, text):
        with open(tmp_path / "log" / str(os.getpid()), "a") as log:
            log.write("measured\n")
        if text == TEXTS["beer"]:  # the second of three
            try:
                os.close(os.open(tmp_path / "killed", os.O_CREAT | os.O_EXCL))  # one worker, once
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return bits_per_byte(model, tokenizer, text)

    results = list(sweep("tiny", MERGES, TEXTS, measure))
    assert list(TEXTS)[1] == "beer" and (tmp_path / "killed").exists()
    assert dict(results) == serial and len(results) == len(MERGES)
    measured = Counter({log.name: len(log.read_text().splitlines()) for log in (tmp_path / "log").iterdir()})
    assert measured.total() == len(MERGES) * len(TEXTS) + 2  # two texts of the lost merge were measured again
    assert len(measured) == 2 + 1  # two workers, and one that took the killed one's place


def test_a_worker_that_always_dies_ends_the_sweep(monkeypatch, tmp_path):
    def measure(model, tokenizer, text):
        (tmp_path / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(sweeps, "LIVES", 0)
    with pytest.raises(LoadError, match="died 1 times at one merge"):
        list(sweep("tiny", MERGES[:2], TEXTS, measure, workers=1))
    assert len(list(tmp_path.iterdir())) == 1  # one was asked for


@pytest.mark.parametrize(
    "change, error, message",
    [
        (
            dict(sources={"clippy": "/nowhere"}, merges=[{"clippy": 1}]),
            LoadError,
            "Model 'clippy': there is no folder /nowhere",
        ),
        (dict(sources="huge"), LoadError, "Unknown model family 'huge'"),
        (dict(merges=[{"lager": 1}]), MergeError, "names 'lager', which is not among the models: base, clippy, beer"),
        (dict(merges=[{"clippy": 0.5}]), MergeError, "sum to 0.5, not 1"),
        (dict(workers=3), ValueError, "from 1 to 2, the CPUs of this Ray, not 3"),
    ],
)
def test_bad_input_gets_one_sentence(change, error, message):
    with pytest.raises(error, match=message) as raised:
        list(sweep(**dict(sources="tiny", merges=MERGES[:1], texts=TEXTS) | change))
    assert len(str(raised.value).splitlines()) == 1
