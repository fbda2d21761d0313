"""Which processor a model computes on, in which dtype, and on how many threads."""

import copy
from contextlib import contextmanager

import torch


def get_device():
    """The best device there is: "cuda", else "mps", else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


LARGE = 50e6  # parameters from which on bfloat16 is worth it


def threads_for(model):
    """One CPU thread for a tiny model: on matrices this small, sharing the work takes 2.5 times as long."""
    tiny = model.device.type == "cpu" and sum(p.numel() for p in model.parameters()) < 10e6
    return use_threads(1 if tiny else torch.get_num_threads())


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
