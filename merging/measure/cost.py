"""Time and memory of a piece of code."""

import os
import threading
import time

import psutil
import torch

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else PyTorch's profiler reports each start and stop


def seconds(ways, rounds=5):
    """name -> seconds of a call without arguments: the best of several rounds, each the median of some calls.

    The ways take turns, so that all see the same moods of the machine; the best, because whatever else the machine does
    can only add. PyTorch's timer waits for a GPU and warms up; the threads are those that PyTorch has now.
    """
    from torch.utils.benchmark import Timer  # here, because it warns where CUDA is installed and no GPU is seen

    times = {name: [] for name in ways}
    for name, way in list(ways.items()) * rounds:
        timer = Timer("way()", globals={"way": way}, num_threads=torch.get_num_threads())
        times[name].append(timer.blocked_autorange(min_run_time=0.2).median)
    return {name: min(values) for name, values in times.items()}


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
