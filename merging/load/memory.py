"""How much memory models take, and whether it is there: said before the operating system kills the kernel."""

import copy
from pathlib import Path

import psutil
import torch
from transformers import AutoModelForCausalLM

from merging.errors import LoadError
from merging.load.quiet import quiet

# Where Linux says how much a container may take, version 2 of control groups before version 1.
LIMITS = ("/sys/fs/cgroup{}/memory.max", "/sys/fs/cgroup/memory{}/memory.limit_in_bytes")


def bare_tensors(config):
    """name -> tensor without numbers of the model that a configuration describes; {} if it cannot be built."""
    try:
        with torch.device("meta"), quiet():
            model = AutoModelForCausalLM.from_config(copy.deepcopy(config), trust_remote_code=False)
    except Exception:
        return {}
    return dict(model.named_parameters())


def float32_bytes(tensors):
    """What tensors (name -> tensor) take in float32."""
    return 4 * sum(tensor.numel() for tensor in tensors.values())


def in_words(nbytes):
    """A number of bytes as text."""
    return f"{nbytes / 1e9:.2f} GB" if nbytes > 1e8 else f"{nbytes / 1e6:.1f} MB"


def free_memory():
    """Bytes that this process may still take: of the machine, of its container, of the limit set by ulimit -v."""
    process, swap = psutil.Process(), psutil.swap_memory().free
    taken = process.memory_info()
    free = [psutil.virtual_memory().available + swap]
    free += [limit - taken.rss for limit in container_limits()]
    if hasattr(process, "rlimit"):  # on Linux
        soft, _ = process.rlimit(psutil.RLIMIT_AS)
        free += [soft - taken.vms] if soft != psutil.RLIM_INFINITY else []
    return min(free)


def container_limits(own=Path("/proc/self/cgroup"), limits=LIMITS):
    """The limits on memory, in bytes, of the control groups that this process is in; most systems have none."""
    lines = own.read_text().splitlines() if own.is_file() else []
    places = {"", *(line.split(":", 2)[2].rstrip("/") for line in lines)}
    files = (Path(limit.format(place)) for limit in limits for place in places)
    texts = (file.read_text().strip() for file in files if file.is_file())
    return [int(text) for text in texts if text.isdigit()]


def check_memory(needed, times=1):
    """Raise LoadError if models, and what is made of them, do not fit into the free memory.

    needed: what a model is called -> bytes; times: how many times as much it will be in the end.
    """
    total, free = sum(needed.values()), free_memory()
    if times * total > free:
        later = f", with what is made of them here {in_words(times * total)}," if times > 1 else ""
        raise LoadError(
            f"{', '.join(needed)} take {in_words(total)} in float32{later} and only {in_words(max(free, 0))} of memory "
            "are free. Shut down other kernels and programs, or take smaller models: MODEL_FAMILY=tiny."
        )
