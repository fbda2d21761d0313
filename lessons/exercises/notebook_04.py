"""The checks of the exercises in notebook 04. alpha is the share of the first model."""

import functools

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from lessons.exercises.form import brief, call, choice, exercise, items, refuse
from merging.load.device import seeded
from merging.tensors import named_weights, tensor_kind


@exercise("my_names")
def check_04a(my_names, model):
    theta = named_weights(model)
    my_names = items(list(my_names) if isinstance(my_names, dict) else my_names, "`my_names` is a list of names")
    refuse(not my_names, "the list is empty: your condition matches no tensor")
    no_name = [each for each in my_names if not isinstance(each, str)]
    refuse(no_name, f"`my_names` holds {brief(no_name and no_name[0])} where a name belongs")
    names, kinds = set(my_names), {name: tensor_kind(name) for name in theta}
    strange = min(names - set(theta), default="")
    is_part = any(name.startswith(f"{strange}.") for name in theta)
    refuse(strange and is_part, f"{strange} is a part of the model: take the whole names of its tensors")
    refuse(names - set(theta), f"there is no tensor {strange!r:.80}")
    forward = {name: block for name, (kind, block) in kinds.items() if kind == "feed-forward"}
    n, blocks = max(forward.values()) + 1, sorted({kinds[name][1] for name in names if kinds[name][1] is not None})
    refuse(names == set(forward), "that is feed-forward in all blocks: ask for the block's number, too")
    other = min(names - set(forward), default=None)
    refuse(other, f"{other} is not feed-forward: compare the kind, too")
    refuse(blocks == [n - 1], f"that is the last block only: counted from 0 the last two are {n - 2} and {n - 1}")
    refuse(blocks != [n - 2, n - 1], f"these are blocks {blocks}; counted from 0 the last two are {n - 2} and {n - 1}")
    wanted = {name for name, block in forward.items() if block >= n - 2}
    refuse(names != wanted, f"{min(wanted - names, default=None)} belongs to it, too")
    share = sum(theta[name].numel() for name in names) / sum(tensor.numel() for tensor in theta.values())
    return f"{len(names)} tensors, {share:.1%} of the parameters."


@exercise("predicted")
def check_04b(predicted, gains):
    predicted = choice(predicted, ("clippy", "beer", "same"))
    own = {"clippy": gains("clippy", "feed-forward", 0.25)[0], "beer": gains("beer", "feed-forward", 0.25)[1]}
    apart = own["clippy"] - own["beer"]
    loser = "same" if abs(apart) < 0.02 else "clippy" if apart < 0 else "beer"
    said = f"clippy as the host keeps {own['clippy']:.2f} of its own gain, beer as the host {own['beer']:.2f}"
    refuse(predicted != loser, f"you predicted {predicted!r}, but {said}")
    return f"{said}."


ARCHITECTURES = ("gpt_neo", "llama", "gpt2", "gpt_neox", "opt")


@functools.cache
def names_of(architecture):
    """The names of the tensors of a very small model of this architecture."""
    small = dict(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, max_position_embeddings=32)
    if architecture == "gpt_neo":
        small |= dict(num_layers=1, attention_types=[[["global"], 1]])
    config = AutoConfig.for_model(architecture, **small, bos_token_id=0, eos_token_id=0, pad_token_id=None)
    with seeded(0):
        return tuple(AutoModelForCausalLM.from_config(config, trust_remote_code=False).state_dict())


@exercise("is_attention()")
def check_04c(is_attention):
    names = {architecture: names_of(architecture) for architecture in ARCHITECTURES}
    found = {name: call(is_attention, name, nothing=True) for each in names.values() for name in each}
    nothing = all(answer is None for answer in found.values())
    refuse(nothing, "your function gives None for every name: is `return` missing?")
    strange = [answer for answer in found.values() if callable(answer) or isinstance(answer, torch.Tensor)]
    refuse(strange, f"your function gives {brief(strange and strange[0])}: it has to be true or false")
    refuse(all(found.values()), "it takes every name for attention")
    refuse(not any(found.values()), "it takes no name for attention")
    for architecture, each in names.items():
        for name in each:
            kind = tensor_kind(name)[0]
            what = f"for attention: that is {'a layer norm' if kind == 'norm' else kind}"
            refuse(found[name] and kind != "attention", f"it takes {name} of {architecture} {what}")
            refuse(not found[name] and kind == "attention", f"it misses {name} of {architecture}")
    return f"every attention tensor and no other one in {', '.join(ARCHITECTURES)}."
