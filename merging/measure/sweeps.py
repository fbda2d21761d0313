"""Sweeps: many merges of one set of models, each measured on several texts, by Ray's workers here or on a cluster.

Needs Ray (requirements/scale.txt). https://docs.ray.io/en/latest/ray-core/actors.html
"""

import copy
import functools
import os

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util import ActorPool
from tqdm.auto import tqdm

from merging.averaging import merge_into
from merging.checks import check_mergeable, check_weights
from merging.errors import LoadError, MergeError
from merging.load.device import get_device, use_threads
from merging.load.loading import FAMILIES, check_family, load_models
from merging.measure.bits import bits_per_byte
from merging.paths import ROOT

# A Ray that is started from here finds these modules; a cluster that runs already gets them with
# start_ray(address="auto", runtime_env={"working_dir": "path/to/this/repository"}).
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
# How long the parts of a Ray that is started here wait for each other, where other programs keep the machine busy.
for name, seconds in {"gcs_server_port_wait_time_s": 120, "worker_register_timeout_seconds": 300}.items():
    os.environ.setdefault(f"RAY_{name}", str(seconds))
os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")

LIVES = 3  # how often a worker is started again, and a merge tried again, before the sweep gives up


def patiently(start, tries=5):
    """What start() gives, which starts a Ray or a part of one; raises LoadError if it fails again and again.

    A node of Ray gives up after 30 seconds, which no setting changes. The next try finds Ray's files in memory.
    """
    for left in reversed(range(tries)):
        try:
            return start()
        except Exception as error:  # the class that Ray raises when its time is over
            ray.shutdown()
            reason = str(error).split("\n")[0]
            if not left:
                raise LoadError(
                    f"Ray did not start in {tries} tries, perhaps because other programs keep this machine busy: close "
                    f"them and try again, or use a plain loop, which gives the same numbers. {reason}"
                ) from None


def start_ray(**options):
    """Start Ray on this machine, or connect to a cluster; options are those of ray.init. Raises LoadError."""
    quiet = dict(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return patiently(lambda: ray.init(**quiet | options))


class Worker:
    """Loads the models of a sweep once, keeps them, and merges into the same memory again and again."""

    def __init__(self, sources, measure=bits_per_byte):
        self.sources, self.measure = sources, measure

    @functools.cached_property  # not in __init__, whose errors Ray wraps in pages of text
    def loaded(self):
        """(label -> model, tokenizer, the model to merge into), checked."""
        loaded = load_models(self.sources)
        models = {label: model for label, (model, _) in loaded.items()}
        check_mergeable(list(models.values()))
        first = next(iter(loaded.values()))
        return models, first.tokenizer, copy.deepcopy(first.model)

    def score(self, weights, texts, number=None):
        """(number, text -> measure) of one merge; weights: label -> share. Raises what loading and measuring raise."""
        models, tokenizer, merged = self.loaded
        # One thread wherever it runs, so that sums are taken in one order: Ray's results equal a plain loop's exactly.
        with use_threads(1):
            merge_into(merged, [models[label] for label in weights], list(weights.values()))
            return number, {kind: self.measure(merged, tokenizer, text) for kind, text in texts.items()}


def most_workers(resources):
    """(what a worker takes one of, how many there are) of a Ray's resources: "GPU" or "CPU"."""
    unit = "GPU" if resources.get("GPU") and os.environ.get("DEVICE") != "cpu" else "CPU"
    if unit == "CPU" and get_device() == "mps":
        return unit, 1  # more would share one GPU, each with models of its own
    return unit, int(resources.get(unit, 0))


def check_merges(merges, sources):
    """Raise MergeError unless each merge has weights that sum to 1, of models that are there."""
    for weights in merges:
        check_weights(weights.values(), len(weights))
        unknown = sorted(set(weights) - set(sources))
        if unknown:
            raise MergeError(f"A merge names {unknown[0]!r}, which is not among the models: {', '.join(sources)}.")


def sweep(sources, merges, texts, measure=bits_per_byte, workers=None):
    """Yield (number of the merge, text -> measure) as the merges are finished, with a progress bar.

    sources: a family's name or a dict of label -> Hub id or folder, which every machine must be able to read. merges: a
    list of label -> weight, weights that sum to 1 (as flat_weights gives). texts: name -> text. measure: a function of
    (model, tokenizer, text). workers: None for the most there can be: one on each GPU, or without GPUs (or with
    DEVICE=cpu) on each CPU core; one in all on Apple's mps, which Ray does not count. Uses the Ray that start_ray(...)
    connected to, or starts one on this machine. A worker that is killed is started again and loses only the merge it
    was at. Raises MergeError (weights, labels), LoadError (a model that cannot be loaded, a worker that
    dies again and again), ValueError (more workers than the cluster has processors for), and what measure raises.
    """
    if not isinstance(sources, dict):
        sources = FAMILIES[check_family(sources)]
    sources = {label: str(source) for label, source in sources.items()}
    check_merges(merges, sources)
    if not ray.is_initialized():
        start_ray()
    unit, most = most_workers(ray.cluster_resources())
    if workers is not None and not 1 <= workers <= most:
        raise ValueError(f"workers is a number from 1 to {most}, the {unit}s of this Ray, not {workers}.")
    kind = ray.remote(Worker).options(
        num_cpus=1, num_gpus=int(unit == "GPU"), max_restarts=LIVES, max_task_retries=LIVES
    )
    crew = [kind.remote(sources, measure) for _ in range(min(workers or most, len(merges)))]
    texts = ray.put(texts)
    jobs = ActorPool(crew).map_unordered(
        lambda worker, job: worker.score.remote(job[1], texts, job[0]), list(enumerate(merges))
    )
    try:
        yield from tqdm(jobs, total=len(merges), desc="merges")
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        raise LoadError(
            f"A worker died {LIVES + 1} times at one merge, perhaps for want of memory. {str(error).splitlines()[0]}"
        ) from None
    finally:
        for worker in crew:
            ray.kill(worker)
