"""Which processor a model computes on, in which dtype, and on how many threads."""

import copy
import os
from contextlib import contextmanager

import torch


def get_device():
    """The best device there is: "cuda", else "mps", else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


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
    computes = on_cpu() if first.device.type == "cpu" else first.device.type == "cuda"
    return torch.bfloat16 if size > LARGE and computes else first.dtype


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
