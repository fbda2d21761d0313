"""A GPU that is not there: what was moved to it stays on the CPU and is marked, and so is all that is computed from it.

An operation that is given marked and plain memory together raises what a GPU raises. As there, a number without
dimensions may come from the CPU, and so may the indices into a GPU's tensor; random numbers come from a generator that
is the device's own; CUDA's least squares take full rank for granted, and mps has none, and no float64.
"""

import functools
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.generation import utils as generation

ACROSS = {"aten::copy_", "aten::_foreach_copy_"}  # these read one device and write another
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
FILLED = {"aten::fill_", "aten::masked_fill", "aten::masked_fill_"}
WAITS = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__format__", "nonzero", "equal"}
SAYING = WAITS | {"to", "cpu", "cuda", "numpy", "__array__", "__deepcopy__", "grad"}  # of devices, without a keyword


def moved(tensor):
    """True for a tensor that is on the pretended device: its memory is marked, for all views of it."""
    return getattr(tensor.untyped_storage(), "moved", False)


def tensors_of(tree):
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if not isinstance(tree, (dict, list, tuple)):
        return []
    found = []
    for each in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(each, torch.Tensor):  # no call of its own: every operation asks
            found.append(each)
        elif isinstance(each, (dict, list, tuple)):
            found += tensors_of(each)
    return found


@functools.cache
def known_of(func):
    """(its name, whether it makes a view, whether it draws random numbers) of an operation, which is slow to ask."""
    return func._schema.name, func.is_view, torch.Tag.nondeterministic_seeded in func.tags


class Kernels(TorchDispatchMode):
    """What the device would be given to compute, below autograd."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.making, self.launches = kind, False, 0
        self.own = torch.Generator().manual_seed(0)  # the device's random numbers

    @classmethod
    def _should_skip_dynamo(cls):
        """Nothing here is compiled: torch need not import its compiler and ask it at every operation."""
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, (name, view, dice) = kwargs or {}, known_of(func)
        given = tensors_of(args) + tensors_of(kwargs) if kwargs else tensors_of(args)
        here = [moved(tensor) for tensor in given]
        if any(here) and not all(here):
            self.check(func, name, args, [tensor for tensor, on in zip(given, here) if not on])
        if name in ACROSS or view or not (any(here) or self.making):
            return func(*args, **kwargs)  # a view's memory is marked already
        self.launches += 1
        if name == "aten::linalg_lstsq":
            if self.kind == "mps":
                raise NotImplementedError(f"The operator '{name}' is not currently implemented for the MPS device.")
            kwargs = kwargs | {"driver": "gels"}
        plain = torch.random.default_generator
        dice = dice and kwargs.get("generator") is None
        if dice:
            before = plain.get_state()
            plain.set_state(self.own.get_state())
        out = func(*args, **kwargs)
        if dice:
            self.own.set_state(plain.get_state())
            plain.set_state(before)
        for tensor in tensors_of(out):
            self.mark(tensor)
        return out

    def mark(self, tensor, on=True):
        if on and self.kind == "mps" and tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype: the MPS framework has no float64.")
        tensor.untyped_storage().moved = on

    def check(self, func, name, args, plain):
        numbers = all(tensor.dim() == 0 for tensor in plain)
        if name in ACROSS or (name in INDEXED and moved(args[0])):
            return
        if numbers and (torch.Tag.pointwise in func.tags or name in FILLED):
            return
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {self.kind}:0 and cpu! "
            f"({name}, of shapes {[tuple(tensor.shape) for tensor in plain]} on the CPU)"
        )


class Words(TorchFunctionMode):
    """What code says of devices: to("cuda"), device=, .device, generator=; counts where it waits for the device."""

    def __init__(self, kernels):
        super().__init__()
        self.kernels, self.device, self.waits = kernels, torch.device(kernels.kind, 0), 0

    def here(self, device):
        return moved(device) if isinstance(device, torch.Tensor) else torch.device(device).type == self.device.type

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self.asked(func, func.__self__.__name__, args[0])
        if not kwargs and name not in SAYING:
            return func(*args)  # most calls, and this is asked at each of them
        kwargs = dict(kwargs or {})
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if name in ("numpy", "__array__") and moved(first):
            raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")
        if name in ("cpu", "cuda"):
            func, args, name = torch.Tensor.to, (first, name), "to"
        target = kwargs.get("device")
        if name == "to":
            said = [arg for arg in args[1:] if isinstance(arg, str | torch.device | torch.Tensor)]
            target = said[0] if said else target
            args = (first, *("cpu" if said and arg is target and self.here(arg) else arg for arg in args[1:]))
        target = None if target is None else self.here(target)
        if target and kwargs.get("device") is not None:
            kwargs["device"] = "cpu"
        somewhere = lambda: any(map(moved, tensors_of((args, kwargs))))
        self.waits += name in WAITS and somewhere() or name == "to" and moved(first) and target is False
        dice = kwargs.get("generator")
        if dice is not None and getattr(dice, "moved", False) != (on := somewhere() if target is None else target):
            raise RuntimeError(f"Expected a '{self.device.type if on else 'cpu'}' device type for generator ({name})")
        self.kernels.making, before = bool(target), self.kernels.making
        try:
            out = func(*args, **kwargs)
        finally:
            self.kernels.making = before
        if name == "__deepcopy__":
            self.kernels.mark(out, moved(first))
        if name == "grad":  # autograd gives each slope where its tensor is
            for slope, tensor in zip(out, tensors_of(args[1] if len(args) > 1 else kwargs["inputs"])):
                slope is None or self.kernels.mark(slope, moved(tensor))
        if target is not None:
            for tensor in tensors_of(out):
                if moved(tensor) != target and first is not None and tensor.data_ptr() == first.data_ptr():
                    return self.marked(torch.Tensor.clone(tensor), target)
                self.marked(tensor, target)
        return out

    def marked(self, tensor, on):
        self.kernels.mark(tensor, on)
        return tensor

    def asked(self, func, what, tensor):
        if what == "device" and moved(tensor):
            return self.device
        if what in ("is_cuda", "is_mps", "is_cpu"):
            return what[3:] == (self.device.type if moved(tensor) else "cpu")
        out = func(tensor)
        if what == "grad" and out is not None:
            self.kernels.mark(out, moved(tensor))
        return out


@contextmanager
def pretended(kind):
    """Let code inside of a with block find a device of this kind, "cuda" or "mps"; gives the Words, which count."""
    kernels, module = Kernels(kind), {"cuda": torch.cuda, "mps": torch.mps}[kind]
    seed, plain = torch.manual_seed, torch.Generator

    class Generator(plain):
        def __new__(cls, device="cpu"):
            made = super().__new__(cls, "cpu")
            made.moved = torch.device(device).type == kind
            return made

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DEVICE", raising=False)
        patch.setattr({"cuda": torch.cuda, "mps": torch.backends.mps}[kind], "is_available", lambda: True)
        patch.setattr(module, "device_count", lambda: 1)
        patch.setattr(module, "synchronize", lambda *device: None)
        patch.setattr(module, "get_rng_state", lambda *device: kernels.own.get_state())
        patch.setattr(module, "set_rng_state", lambda state, *device: kernels.own.set_state(state))
        patch.setattr(torch, "manual_seed", lambda number: kernels.own.manual_seed(number) and seed(number))
        patch.setattr(torch, "Generator", Generator)
        if kind == "cuda":  # a T4
            patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
            patch.setattr(torch.cuda, "mem_get_info", lambda *device: (15 * 2**30, 16 * 2**30))
            for name in ("memory_reserved", "memory_allocated"):
                patch.setattr(torch.cuda, name, lambda *device: 0)
        else:
            stops = getattr(generation, "DeferredStopCheck", None)  # it asks for torch.Event, which cannot be pretended
            stops and patch.setattr(stops, "is_supported", staticmethod(lambda *arguments, **options: False))
            patch.setattr(torch.mps, "recommended_max_memory", lambda: 16 * 2**30)
            patch.setattr(torch.mps, "current_allocated_memory", lambda: 0)
        with kernels, Words(kernels) as words:
            yield words
