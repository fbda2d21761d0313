"""Time and memory of a piece of code."""

import os
import threading
import time
from timeit import Timer

import psutil
import torch

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else PyTorch's profiler reports each start and stop


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


def new_memory(way):
    """Bytes that PyTorch asks for while way() runs, on the CPU and on a GPU, given back or not."""
    with torch.profiler.profile(profile_memory=True) as profile:
        way()
    return sum(
        max(event.self_cpu_memory_usage, 0) + max(event.self_device_memory_usage, 0) for event in profile.key_averages()
    )


def watch_memory(action, every=0.005):
    """(seconds since the start, MB more than at the start) pairs of this process, taken while action() runs."""
    process, samples, done = psutil.Process(), [], threading.Event()
    start, before = time.perf_counter(), process.memory_info().rss

    def sample():
        while not done.wait(every):
            samples.append((time.perf_counter() - start, (process.memory_info().rss - before) / 1e6))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        action()
    finally:
        done.set()
        thread.join()
    return samples
