"""Which processor a model computes on, in which dtype, on how many threads, and with whose random numbers."""

import copy
import os
from contextlib import contextmanager

import torch

from merging.errors import LoadError

DEVICES = {  # the best first, and whether it is there
    "cuda": lambda: torch.cuda.is_available(),
    "mps": lambda: torch.backends.mps.is_available(),
    "cpu": lambda: True,
}


def get_device():
    """The device that the variable DEVICE names, else the best there is: "cuda", "mps" or "cpu". Raises LoadError."""
    return check_device(os.environ.get("DEVICE") or next(kind for kind, is_there in DEVICES.items() if is_there()))


def check_device(device):
    """A device (a torch.device or a string such as "cuda:1"), or LoadError if there is no such thing here."""
    kind = str(device).partition(":")[0]
    if kind not in DEVICES:
        raise LoadError(f"A device is cpu, cuda or mps, in the variable DEVICE or as device=, not {str(device)!r}.")
    if not DEVICES[kind]():
        raise LoadError(
            f"PyTorch finds no {str(device)!r} here, which the variable DEVICE or device= asks for: set DEVICE=cpu, or "
            "leave it unset for the best device there is."
        )
    return device


LARGE = 50e6  # parameters from which on bfloat16 is worth it
THREADS = torch.get_num_threads()  # before anybody has asked for another number


def threads_for(model):
    """One CPU thread for a tiny model, inside of a with block: on matrices this small threads wait more than they work.

    A reader's own number, by OMP_NUM_THREADS or torch.set_num_threads, is left as it is.
    """
    tiny = model.device.type == "cpu" and sum(p.numel() for p in model.parameters()) < 10e6
    chosen = "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() != THREADS
    return use_threads(1 if tiny and not chosen else torch.get_num_threads())


def fast_dtype(model):
    """The dtype to compute in: bfloat16 for a large model where the processor has it, else the model's own.

    Rounding the weights to bfloat16 changes bits per byte in the third digit, and takes a fraction of the time.
    """
    first, size = next(model.parameters()), sum(p.numel() for p in model.parameters())
    on_cpu = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # torch has no public word for it
    on_gpu = lambda: torch.cuda.is_bf16_supported(including_emulation=False)  # a T4 only emulates it, and is slow
    computes = {"cpu": on_cpu, "cuda": on_gpu}.get(first.device.type, lambda: False)
    return torch.bfloat16 if size > LARGE and computes() else first.dtype


def quick(model):
    """The model, or a copy of it in the dtype that is quicker to compute in; the model itself never changes."""
    dtype = fast_dtype(model)
    return model if dtype == next(model.parameters()).dtype else copy.deepcopy(model).to(dtype)


@contextmanager
def use_threads(n):
    """Let torch use n CPU threads inside of a with block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def seeded(seed):
    """Draw random numbers from a seed inside of a with block, on every device, and after it as if nothing had been.

    seed None: the block goes on with torch's random state.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()), device_type="cuda"):
        mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None  # fork_rng forgets it up to 2.11
        torch.manual_seed(seed)
        try:
            yield
        finally:
            if mps is not None:
                torch.mps.set_rng_state(mps)
