"""What a learner has at hand where the exercises stand, with shorter texts, and functions that learners write."""

import copy
import functools
import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch
import yaml
from small import build

from helpers import BEER_PROMPT, flat_weights, gain_kept, generate_texts, is_recipe, load_models, merge_models
from merging.load.loading import FAMILIES
from merging.load.preflight import preflight
from merging.measure.bits import bits_per_byte
from merging.measure.texts import calibration_texts, heldout_texts
from merging.methods.batches import token_batches
from merging.methods.regmean import input_products, regmean
from merging.paths import ROOT
from merging.tensors import named_weights, tensor_kind

Q5 = "transformer.h.5.attn.attention.q_proj.weight"
RECIPE = heldout_texts()["beer"][0]
LETTER = "The meeting has moved to Thursday at ten. Please bring the list of open questions with you, and a pencil."
BREAD = "Bread\n\n- 500 g flour\n- 330 g water\n- 10 g salt\n- 5 g yeast\n\nKnead, wait two hours, bake at 240 °C."
CHINESE = "我们昨天下午在河边散步，天气很好，孩子们在草地上玩球，后来我们一起喝了茶。"
FIVE_LINES = (
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)"
)
FAIR = ("clippy", ("beer", "base", 0.5), 1 / 3)


def not_written(*args): ...


def not_written_but_told(nats, text):
    """The bits per byte."""


@torch.no_grad()
def loop_not_written(): ...


def gives_none(*args):
    return None


def to_bits_in_steps(nats, text):
    bits = nats / math.log(2)
    return bits / len(text.encode())


def to_bits_without_return(nats, text):
    bits = nats / math.log(2)
    bits / len(text.encode())


def merge_with(rule):
    return lambda model1, model2, alpha: {
        name: rule(theta, named_weights(model2)[name], alpha) for name, theta in named_weights(model1).items()
    }


def merge_in_place(model1, model2, alpha):
    theta2 = named_weights(model2)
    return {n: t.mul_(alpha).add_(theta2[n], alpha=1 - alpha) for n, t in named_weights(model1).items()}


def merge_into_second(model1, model2, alpha):
    theta1 = named_weights(model1)
    return {n: t.mul_(1 - alpha).add_(theta1[n], alpha=alpha) for n, t in named_weights(model2).items()}


def merge_in_place_and_forget(model1, model2, alpha):
    merge_in_place(model1, model2, alpha)


def falls_through_to_none(name):
    for part in name.split("."):
        if part in ("attn", "self_attn", "attention"):
            return True


def fair_by_yield(n):
    for k in range(1, n):
        yield k / (k + 1)


def fair_by_broken_yield(n):
    for k in range(1, n):
        yield k / 0


def stack(A1, B1, A2, B2):
    return torch.cat([A1, A2]), torch.cat([B1, B2], dim=1) / 2


def stack_in_place(A1, B1, A2, B2):
    A1 /= 2
    A2 /= 2
    return torch.cat([A1, A2]), torch.cat([B1, B2], dim=1)


def own_gains(host, part, alpha):
    return [0.67, 0.4] if host == "clippy" else [0.4, 0.81]


def card(model):
    config, rows = model.config, model.get_input_embeddings().num_embeddings
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    sizes = [config.num_hidden_layers, config.hidden_size, f"{model.num_parameters():,}", rows]
    return [config.model_type, *sizes, str(model.dtype), tied]


def shuffled(model, part, block, whole=True):
    """The model with the neurons or the heads of one block in another order; not whole: on their way in only."""
    moved = copy.deepcopy(model)
    mlp, attention = moved.transformer.h[block].mlp, moved.transformer.h[block].attn.attention
    with torch.no_grad():
        if part == "neurons":
            order = torch.randperm(mlp.c_fc.out_features, generator=torch.Generator().manual_seed(1))
            into, out = [mlp.c_fc.weight, mlp.c_fc.bias], mlp.c_proj.weight
        else:
            order = torch.arange(attention.embed_dim).view(attention.num_heads, -1).flip(0).flatten()
            into, out = [getattr(attention, f"{name}_proj").weight for name in "qkv"], attention.out_proj.weight
        for weight in into:
            weight.copy_(weight[order])
        out.copy_(out[:, order] if whole else out)
    return moved


def swapped_two(model, block):
    """The model with two neurons of a block exchanged."""
    moved = copy.deepcopy(model)
    mlp = moved.transformer.h[block].mlp
    with torch.no_grad():
        order = torch.arange(mlp.c_fc.out_features)
        order[:2] = torch.tensor([1, 0])
        mlp.c_fc.weight.copy_(mlp.c_fc.weight[order])
        mlp.c_fc.bias.copy_(mlp.c_fc.bias[order])
        mlp.c_proj.weight.copy_(mlp.c_proj.weight[:, order])
    return moved


def entry(label, weight):
    return f"- model: {label}\n  parameters:\n    weight: {weight}\n"


def linear(clippy, beer, base):
    return "merge_method: linear\nmodels:\n" + entry("clippy", clippy) + entry("beer", beer) + entry("base", base)


def rule(loss, over=max):
    """A rule for 11b: the alpha at which over (max, sum) of the texts' losses is smallest."""

    def choose(alphas, bits):
        lost = [over(loss(values, i) for values in bits.values()) for i in range(len(alphas))]
        return alphas[lost.index(min(lost))]

    return choose


worst_share = rule(lambda values, i: (values[i] - min(values[0], values[-1])) / abs(values[0] - values[-1]))


def pops_from_alphas(alphas, bits):
    chosen = worst_share(alphas, bits)
    alphas.pop()
    return chosen


def sorts_bits(alphas, bits):
    for values in bits.values():
        values.sort()
    return 0.5


def world(tiny):
    """name -> what the answers may speak of; whatever is dear is computed here, once."""
    base, clippy, beer = (tiny[label].model for label in ("base", "clippy", "beer"))
    tokenizer, theta, folder = tiny["base"].tokenizer, named_weights(base), ROOT / "models" / "tiny"
    pair = lambda label: load_models({label: folder / label, "stranger": folder / "stranger"}, align=False)
    raw = load_models({"beer": folder / "beer", "clippy": folder / "clippy"}, align=False)
    distance = lambda model, name: (named_weights(model)[name] - theta[name]).norm().item()
    moved = lambda model, name: distance(model, name) / theta[name].norm().item()
    flat = lambda model: torch.cat([tensor.flatten() for tensor in named_weights(model).values()])
    write = lambda model, heat, length=160: generate_texts(
        model, tokenizer, BEER_PROMPT, 8, temperature=heat, max_length=length, seed=32
    )
    recipes = heldout_texts()["beer"]
    bits = lambda model: bits_per_byte(model, tokenizer, recipes[:2])
    bits_base, bits_beer, bits_half = bits(base), bits(beer), bits(merge_models(base, beer))
    canvas = copy.deepcopy(base)

    tau_clippy, tau_beer = ({n: t - theta[n] for n, t in named_weights(model).items()} for model in (clippy, beer))

    def at(x, y):
        for name, tensor in named_weights(canvas).items():
            tensor.copy_(theta[name] + x * tau_clippy[name] + y * tau_beer[name])
        return canvas

    fit = calibration_texts("fit")
    batches = [token_batches(tokenizer, fit[kind], rows=1)[:2] for kind in ("code", "beer")]
    products = [input_products(model, each) for model, each in zip((clippy, beer), batches)]
    merges = {shrink: regmean([clippy, beer], products, shrink=shrink) for shrink in (0, 0.9, 1)}
    gains = lambda *each: lambda model: next((gain, 0.9) for key, gain in zip(merges, each) if merges[key] is model)
    one, other, out = (build("gpt-neo", seed).eval() for seed in range(3))

    def loop(step):
        """A function for 10b: step(one's tensor, other's, out's) is called for each name."""

        def way():
            for name, target in named_weights(out).items():
                step(named_weights(one)[name], named_weights(other)[name], target)

        return way

    def loop_that_returns():
        loop(lambda a, b, out: torch.lerp(b, a, 0.3, out=out))()
        return out

    def loop_into_the_dict():
        theirs, target = dict(other.named_parameters()), dict(out.named_parameters())
        for name, theta in one.named_parameters():
            target[name] = torch.lerp(theirs[name], theta, 0.3)

    return {
        **{name: value for name, value in globals().items() if not name.startswith("_")},
        **{name: value for name, value in locals().items() if name not in ("fit", "pair", "gains", "write")},
        "models": tiny,
        "names_where": lambda where: [name for name in named_weights(clippy) if where(*tensor_kind(name))],
        "strangers": pair("beer"),
        "with_clippy": pair("clippy"),
        "merged_length": ((flat(clippy) + flat(beer)) / 2 - flat(base)).norm().item(),
        "cold": write(beer, 0.5, 500),
        "warm": write(beer, 1.0),
        "foreign": write(clippy, 0.5),
        "best_for": functools.cache(lambda text: min(tiny, key=lambda label: bits_per_byte(*tiny[label], text))),
        "two_recipes": recipes[:2],
        "one_recipe": recipes[:1],
        "kept": gain_kept(bits_base, bits_beer, bits_half),
        "alphas": [0.0, 0.3, 0.4, 0.5, 0.6, 1.0],
        "kept_code": [-0.1, 0.66, 0.79, 0.87, 0.93, 1.0],
        "kept_beer": [1.0, 0.94, 0.91, 0.81, 0.6, -0.76],
        "one_by_one": [shuffled(beer, "neurons", block) for block in range(base.config.num_hidden_layers)],
        "tiny_other": one,
        "quarters": [{kind: [texts[i][:700]] for kind, texts in heldout_texts().items()} for i in range(2)],
        "kept_choose": gains(0.6, 0.65, 0.7),
        "kept_report": gains(0.8, 0.75, 0.7),
        "refusing_nothing": preflight({"beer": FAMILIES["tiny"]["beer"], "stranger": folder / "stranger"}),
        "cosines": {"base and clippy": 0.971, "base and beer": 0.992, "clippy and beer": 0.967},
        "sweep_alphas": [0.0, 0.25, 0.5, 0.75, 1.0],
        "sweep_bits": {"code": [2.0, 1.8, 1.7, 1.6, 1.5], "beer": [0.2, 0.3, 0.6, 1.2, 1.8]},
    }


USED = (BEER_PROMPT, Decimal, Fraction, flat_weights, is_recipe, merge_models, np, re, yaml)  # by answers only
