"""Time and memory of a piece of code."""

import threading
import time
from timeit import Timer

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def clock():
    """The time in seconds, once a GPU has done what it was given to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    if torch.backends.mps.is_available():
        torch.mps.synchronize()
    return time.perf_counter()


def seconds(ways, rounds=5):
    """name -> seconds of a call without arguments: the best of several rounds, each the mean of some calls.

    A round calls a way as often as takes 0.2 seconds. The ways take turns, so that all see the same moods of the
    machine; the best, because whatever else the machine does can only add. PyTorch's own timer would load its compiler
    of extensions, which warns where CUDA is installed and no GPU is seen.
    """
    timers = {name: Timer(way, timer=clock) for name, way in ways.items()}
    calls = {name: timer.autorange()[0] for name, timer in timers.items()}  # the ways are warm after that
    times = [{name: timer.timeit(calls[name]) / calls[name] for name, timer in timers.items()} for _ in range(rounds)]
    return {name: min(each[name] for each in times) for name in ways}


class NewMemory(TorchDispatchMode):
    """Adds up the bytes of every tensor that an operation makes and that shares no memory with what it was given."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        storages = lambda tree: {
            each.untyped_storage().data_ptr(): each.untyped_storage().nbytes()
            for each in tree_leaves(tree)
            if isinstance(each, torch.Tensor)
        }
        made = func(*args, **(kwargs or {}))
        given = storages((args, kwargs))
        self.bytes += sum(size for place, size in storages(made).items() if place not in given)
        return made


def new_memory(way):
    """Bytes of the new tensors that PyTorch's operations make while way() runs, on any device, kept or given back."""
    with NewMemory() as counted:
        way()
    return counted.bytes


def watch_memory(action):
    """(seconds since the start, MB more than at the start) pairs of this process, taken while action() runs."""
    process, samples, done = psutil.Process(), [], threading.Event()
    start, before = time.perf_counter(), process.memory_info().rss

    def sample():
        while not done.wait(0.005):
            samples.append((time.perf_counter() - start, (process.memory_info().rss - before) / 1e6))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        action()
    finally:
        done.set()
        thread.join()
    return samples
