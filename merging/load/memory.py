"""How much memory models take, and whether it is there: said before the operating system kills the kernel."""

from pathlib import Path

import psutil
import torch

from merging.errors import LoadError

# Where Linux says how much a container may take, version 2 of control groups before version 1.
LIMITS = ("/sys/fs/cgroup{}/memory.max", "/sys/fs/cgroup/memory{}/memory.limit_in_bytes")


def float32_bytes(tensors):
    """What tensors (name -> tensor) take in float32."""
    return 4 * sum(tensor.numel() for tensor in tensors.values())


def in_words(nbytes):
    """A number of bytes as text."""
    return f"{nbytes / 1e9:.2f} GB" if nbytes > 1e8 else f"{nbytes / 1e6:.1f} MB"


def free_memory(device="cpu"):
    """Bytes that this process may still take on a device (a torch.device or its name).

    A CUDA card has memory of its own. On the CPU the machine, the container and `ulimit -v` set the limits; Apple's mps
    shares the machine's memory and has a limit besides.
    """
    kind = torch.device(device).type
    if kind == "cuda" and torch.cuda.is_available():
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by PyTorch, for reuse
        return torch.cuda.mem_get_info(device)[0] + kept
    free = machines_memory()
    if kind == "mps" and torch.backends.mps.is_available():
        free = min(free, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return free


def machines_memory():
    """Bytes that this process may still take of the machine, of its container, of the limit set by ulimit -v."""
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


def check_memory(needed, times=1, device="cpu"):
    """Raise LoadError if models, and what is made of them, do not fit into the free memory of a device.

    needed: what a model is called -> bytes; times: how many times as much it will be in the end.
    """
    total, free = sum(needed.values()), free_memory(device)
    if times * total > free:
        later = f", with what is made of them here {in_words(times * total)}," if times > 1 else ""
        kind = torch.device(device).type
        where, way_out = ("", "") if kind == "cpu" else (f" on {device}", "compute on the CPU (DEVICE=cpu), ")
        raise LoadError(
            f"{', '.join(needed)} take {in_words(total)} in float32{later} and only {in_words(max(free, 0))} of memory "
            f"are free{where}. Shut down other kernels and programs, {way_out}or take smaller models: "
            "MODEL_FAMILY=tiny."
        )


def does_not_fit(label, device):
    """The sentence for a model that ran out of memory while it was loaded."""
    return (
        f"Model {label!r} does not fit into the memory that is left on {device}. Shut down other kernels and programs, "
        "compute on the CPU (DEVICE=cpu), or take smaller models: MODEL_FAMILY=tiny."
    )
