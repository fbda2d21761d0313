"""A model as named tensors, each once, and what kind of tensor each is."""

import re

import torch

from merging.errors import MergeError


def inner(model):
    """The model itself, out of torch.compile or a data-parallel wrapper. Raises MergeError for what is no model."""
    while True:
        if not isinstance(model, torch.nn.Module):
            raise MergeError(
                f"A {type(model).__name__} is not a model. Pass the model itself, for example "
                'load_models()["base"].model.'
            )
        if "_orig_mod" in model._modules:  # torch.compile
            model = model._orig_mod
        elif isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def unwrapped(model):
    """The model itself, as in inner. Raises MergeError also for a model with adapters that are not added to it."""
    model = inner(model)
    if any(type(part).__module__.startswith("peft.") for part in model.modules()):
        raise MergeError(
            f"This {type(model).__name__} still has its adapter apart: the average of two adapters' parts is not the "
            "average of two models. Add it to its base first: model.merge_and_unload() where the model is a PeftModel, "
            "else load_models on the folder that model.save_pretrained writes."
        )
    return model


def named_weights(model):
    """name -> tensor for everything a merge touches: the state dict with each tied tensor once."""
    model = unwrapped(model)
    seen, tensors = set(), {}
    for name, tensor in model.state_dict(keep_vars=True).items():  # without keep_vars it would detach each twice
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else name
        if place not in seen:
            seen.add(place)
            tensors[name] = tensor.detach()
    return tensors


def tensor_kind(name):
    """("attention" | "feed-forward" | "norm" | "embedding" | "other", block number or None) of a tensor's name."""
    parts = name.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    block = int(parts[numbers[0]]) if numbers else None
    inside = parts[numbers[0] + 1] if numbers and numbers[0] + 1 < len(parts) else ""
    if inside in ("attn", "self_attn", "attention", "self_attention"):
        return "attention", block
    if inside in ("mlp", "mlp_block", "fc1", "fc2", "feed_forward", "ffn", "block_sparse_moe"):
        return "feed-forward", block
    if any("norm" in part.lower() or re.fullmatch(r"(pre_)?ln_?\w+", part) for part in parts):
        return "norm", block
    return ("embedding" if re.search(r"wte|wpe|embed|lm_head|^head\.", name) else "other"), block


def touched(model, names):
    """How much a selection changes, as one sentence: tensors, parameters, per cent.

    Where a part of the model is of no kind that merge_models_select knows (the mixing of Mamba's blocks, say), the
    sentence says how much of that the selection leaves out.
    """
    tensors, names = named_weights(model), set(names)
    n = sum(tensors[name].numel() for name in names)
    total = sum(tensor.numel() for tensor in tensors.values())
    left_out = other_parts({name: tensor for name, tensor in tensors.items() if name not in names}, total)
    share = f"{n / total:.1%}; left out: {left_out}" if left_out else f"{n / total:.1%}"
    return f"{len(names)} of {len(tensors)} tensors, {n:,} of {total:,} parameters ({share})"


def other_parts(tensors, total):
    """Which share of total parameters is of no kind that a selection by kind reaches, as words; "" below 0.5 %."""
    others = {name: tensor.numel() for name, tensor in tensors.items() if tensor_kind(name)[0] == "other"}
    share = sum(others.values()) / total
    if share < 0.005:
        return ""
    return (
        f"{share:.0%} of the parameters are neither attention nor feed-forward, embeddings or norms, for example "
        f"{max(others, key=others.get)}"
    )
