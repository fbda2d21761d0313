"""The checks of the exercises in notebook 04. alpha is the share of the first model."""

import functools

from transformers import AutoConfig, AutoModelForCausalLM

from lessons.exercises.form import choice, exercise, filled, refuse
from merging.load.device import seeded
from merging.tensors import named_weights, tensor_kind


@exercise()
def check_04a(names, model):
    theta = named_weights(model)
    refuse(isinstance(names, str), "`names` is a list of names; this is one text")
    names, kinds = set(names), {name: tensor_kind(name) for name in theta}
    refuse(not names, "the list is empty: your condition matches no tensor")
    refuse(names - set(theta), f"there is no tensor {next(iter(names - set(theta)), '')!r:.80}")
    forward = {name: block for name, (kind, block) in kinds.items() if kind == "feed-forward"}
    n, blocks = max(forward.values()) + 1, sorted({kinds[name][1] for name in names if kinds[name][1] is not None})
    refuse(names == set(forward), "that is feed-forward in all blocks: ask for the block's number, too")
    refuse(
        not names <= set(forward),
        f"{min(names - set(forward), default=None)} is not feed-forward: compare the kind, too",
    )
    refuse(blocks == [n - 1], f"that is the last block only: counted from 0 the last two are {n - 2} and {n - 1}")
    refuse(blocks != [n - 2, n - 1], f"these are blocks {blocks}; counted from 0 the last two are {n - 2} and {n - 1}")
    wanted = {name for name, block in forward.items() if block >= n - 2}
    refuse(names != wanted, f"{min(wanted - names, default=None)} belongs to it, too")
    share = sum(theta[name].numel() for name in names) / sum(tensor.numel() for tensor in theta.values())
    return f"{len(names)} tensors, {share:.1%} of the parameters."


@exercise()
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


@exercise()
def check_04c(is_attention):
    for architecture in ARCHITECTURES:
        for name in names_of(architecture):
            kind, found = tensor_kind(name)[0], bool(filled(is_attention(name)))
            refuse(found and kind == "norm", f"it takes {name} of {architecture} for attention: that is a layer norm")
            refuse(found and kind != "attention", f"it takes {name} of {architecture} for attention: that is {kind}")
            refuse(not found and kind == "attention", f"it misses {name} of {architecture}")
    return f"every attention tensor and no other one in {', '.join(ARCHITECTURES)}."
