"""Every check says right to its solution, what is wrong to plausible mistakes, and never raises."""

import copy
import math
import re
from importlib import import_module
from types import SimpleNamespace

import nbformat
import pytest
import torch
from small import build

from helpers import flat_weights, load_models, named_weights
from lessons.exercises.form import OPEN, average
from lessons.exercises.notebook_10 import chosen
from merging.load.loading import FAMILIES
from merging.load.preflight import preflight
from merging.measure.bits import bits_per_byte
from merging.measure.texts import heldout_texts
from merging.paths import ROOT
from merging.tensors import tensor_kind

CHECKS = {
    name.removeprefix("check_").lstrip("0"): check
    for module in map(import_module, (f"lessons.exercises.notebook_{n:02}" for n in range(1, 11)))
    for name, check in vars(module).items()
    if name.startswith("check_") and hasattr(check, "answers")
}
RECIPE = heldout_texts()["beer"][0]
SENTENCES = "The meeting has moved to Thursday at ten. Please bring the list of open questions with you, and a pencil."
SWEEP = [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.4, 0.7, 0.9, 1.0], [1.0, 0.95, 0.8, 0.3, -0.5]
TAUS = [3.0, -1.0, 0.5, 0.0], [-2.0, -3.0, 1.0, 4.0]
TREE = flat_weights((("clippy", "beer", 0.6), "base", 0.75))
LINEAR = "merge_method: linear\nmodels:\n" + "\n".join(
    f"- model: {label}\n  parameters:\n    weight: {{{label}}}" for label in TREE
)
THIRD = 1 / 3


def card(model):
    embedding = model.get_input_embeddings()
    return [model.config.model_type, model.config.num_hidden_layers, embedding.num_embeddings]


def shuffled(model, part, block=0, whole=True):
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


@pytest.fixture(scope="module")
def w(tiny):
    """What the notebooks hold where their exercises stand, with shorter texts."""
    base, clippy, beer = (tiny[label].model for label in ("base", "clippy", "beer"))
    folder, canvas, theta = ROOT / "models" / "tiny", copy.deepcopy(base), named_weights(base)
    one, other, out = (build("gpt-neo", seed).eval() for seed in range(3))

    def at(x, y):
        for name, tensor in named_weights(canvas).items():
            one, other = (named_weights(model)[name] - theta[name] for model in (clippy, beer))
            tensor.copy_(theta[name] + x * one + y * other)
        return canvas

    return SimpleNamespace(
        base=base,
        clippy=clippy,
        beer=beer,
        models=tiny,
        tokenizer=tiny["base"].tokenizer,
        strangers=load_models({"beer": folder / "beer", "stranger": folder / "stranger"}, align=False),
        raw=load_models({"beer": folder / "beer", "clippy": folder / "clippy"}, align=False),
        blocks=range(base.config.num_hidden_layers),
        quarters=[{kind: texts[i : i + 3] for kind, texts in heldout_texts().items()} for i in (0, 3)],
        at=at,
        one=one,
        other=other,
        out=out,
    )


def merge_with(rule):
    return lambda model1, model2, alpha: {
        name: rule(theta, named_weights(model2)[name], alpha) for name, theta in named_weights(model1).items()
    }


def merge_in_place(model1, model2, alpha):
    theta2 = named_weights(model2)
    return {n: t.mul_(alpha).add_(theta2[n], alpha=1 - alpha) for n, t in named_weights(model1).items()}


def write_with(rule):
    """A function for 9b: rule(one's tensor, other's, out's) is called for each name."""

    def given(w):
        def way():
            for name, target in named_weights(w.out).items():
                rule(named_weights(w.one)[name], named_weights(w.other)[name], target)

        return way, w.one, w.other, w.out

    return given


def given_03b(predicted, change=lambda kept, ends, middle: kept):
    def given(w):
        texts = heldout_texts()["beer"][:2]
        score = lambda model: bits_per_byte(model, w.tokenizer, texts)
        ends, middle = (score(w.base), score(w.beer)), score(average(w.base, w.beer))
        kept = change((ends[0] - middle) / (ends[0] - ends[1]), ends, middle)
        return predicted, kept, w.base, w.beer, w.tokenizer, texts

    return given


def names_where(w, condition):
    return [name for name in named_weights(w.clippy) if condition(*tensor_kind(name))], w.clippy


def own_gains(clippy, beer):
    return lambda host, part, alpha: [clippy, 0.4] if host == "clippy" else [0.4, beer]


def given_07b(predicted, broken):
    return lambda w: (predicted, broken(w), w.beer, w.clippy, w.tokenizer, w.quarters[0]["beer"])


def at_point(x, y):
    return lambda w: (x, y, w.at, w.base, w.clippy, w.beer, w.tokenizer, w.quarters)


def given_08d(predicted, same=False):
    """Two models of which one is better where it is chosen and the other where it is reported."""

    def given(w):
        merges = {0: w.clippy, 1: w.clippy if same else w.beer}
        kept = lambda at_0, at_1: lambda model: (at_0, 0.9) if model is w.clippy else (0.9, at_1)
        return predicted, merges, kept(0.6, 0.7), kept(0.8, 0.7)

    return given


def merge_config(clippy, beer, base):
    return lambda w: (LINEAR.format(clippy=clippy, beer=beer, base=base), TREE)


def given_10a(refusals, closest):
    def given(w):
        folder = ROOT / "models" / "tiny"
        cosines = {"base and clippy": 0.97, "base and beer": 0.99, "clippy and beer": 0.96}
        return refusals, closest, preflight({"beer": FAMILIES["tiny"]["beer"], "s": folder / "stranger"}), cosines

    return given


BITS = {"code": [2.0, 1.8, 1.7, 1.6, 1.5], "beer": [0.2, 0.3, 0.6, 1.2, 1.8]}
rule_10b = lambda rule: lambda w: (rule, SWEEP[0], BITS)
stack = lambda A1, B1, A2, B2: (torch.cat([A1, A2]), torch.cat([B1, B2], 1) / 2)
mean_of_parts = lambda A1, B1, A2, B2: ((A1 + A2) / 2, (B1 + B2) / 2)
half_of_both = lambda A1, B1, A2, B2: (torch.cat([A1, A2]) / 2, torch.cat([B1, B2], 1) / 2)
whole = lambda A1, B1, A2, B2: (torch.cat([A1, A2]), torch.cat([B1, B2], 1))
along_0 = lambda A1, B1, A2, B2: (torch.cat([A1, A2]), torch.cat([B1, B2]) / 2)
length = lambda w, rule: (rule(*(taus(w))), w.base, w.clippy, w.beer)


def taus(w):
    theta = named_weights(w.base)
    flat = lambda model: torch.cat([(t - theta[n]).flatten() for n, t in named_weights(model).items()])
    one, two = flat(w.clippy), flat(w.beer)
    return one.norm().item(), two.norm().item(), torch.cosine_similarity(one, two, dim=0).item()


RIGHT = {
    "1a": lambda w: (0, w.strangers, card),
    "1b": lambda w: ("transformer.h.5.attn.attention.q_proj.weight", w.beer, w.base),
    "1c": lambda w: length(w, lambda a, b, cos: (a * a + b * b + 2 * a * b * cos) ** 0.5 / 2),
    "2a": lambda w: ("up", [RECIPE, RECIPE + "\n"], 0.75),
    "2c": lambda w: (625,),
    "2d": lambda w: (lambda nats, text: nats / math.log(2) / len(text.encode()),),
    "2e": lambda w: ("beer", RECIPE, w.models),
    "3a": lambda w: (merge_with(lambda a, b, alpha: alpha * a + (1 - alpha) * b), w.clippy, w.beer),
    "3b": given_03b("more"),
    "3c": lambda w: (1 - 0.5 ** (1 / 300),),
    "3d": lambda w: (0.25, *SWEEP),
    "4a": lambda w: names_where(w, lambda kind, block: kind == "feed-forward" and block in (4, 5)),
    "4b": lambda w: ("clippy", own_gains(0.67, 0.81)),
    "4c": lambda w: (lambda name: bool({"attn", "self_attn", "attention"} & set(name.split("."))),),
    "5a": lambda w: ((("clippy", "beer", 0.5), "base", 2 / 3), ("clippy", ("beer", "base", 0.5), THIRD), flat_weights),
    "5b": lambda w: ({"clippy": 0.24, "beer": 0.36, "base": 0.4}, flat_weights),
    "5c": lambda w: (lambda n: [k / (k + 1) for k in range(1, n)], flat_weights),
    "6a": lambda w: (0.25, stack),
    "6b": lambda w: (-0.2,),
    "6c": lambda w: (1.47,),
    "7a": lambda w: (1.9 - 4 / 3, [1.0, 1.9, 2.1, 2.0]),
    "7b": given_07b("first", lambda w: [shuffled(w.beer, "neurons", block) for block in w.blocks]),
    "7c": lambda w: (-math.log2(0.4),),
    "7d": at_point(0.65, 0.65),
    "8a": lambda w: (THIRD, 3**-0.5),
    "8b": lambda w: ([3, -2, 0, 4], *TAUS),
    "8c": lambda w: (10**0.5,),
    "8d": given_08d("no"),
    "9a": lambda w: (5,),
    "9b": write_with(lambda a, b, out: torch.lerp(b, a, 0.3, out=out)),
    "9c": lambda w: (38.2,),
    "9d": merge_config(0.45, 0.3, 0.25),
    "10a": given_10a(0, "base and beer"),
    "10b": rule_10b(lambda alphas, bits: chosen(alphas, bits, max)),
    "10c": lambda w: ("second", [RECIPE, RECIPE], w.clippy, w.beer, w.tokenizer),
}
WRONG = {  # exercise -> (what a learner gives, a piece of the sentence for this mistake) pairs
    "1a": [
        (lambda w: (2, w.strangers, card), "2 is too large. The number of rows of the two cards that differ is 0"),
        (lambda w: (0, w.raw, card), "beer and clippy have a cosine of 0.97"),
        (lambda w: (0, w.strangers["beer"], card), "what load_models gives for two folders"),
    ],
    "1b": [
        (lambda w: ("transformer.wte.weight", w.beer, w.base), "because it is large"),
        (lambda w: ("transformer.h.0.attn.attention.out_proj.weight", w.beer, w.base), "another tensor by more"),
        (lambda w: ("wte", w.beer, w.base), "there is no tensor 'wte'"),
    ],
    "1c": [
        (lambda w: length(w, lambda a, b, cos: (a + b) / 2), "same direction"),
        (lambda w: length(w, lambda a, b, cos: math.hypot(a, b) / 2), "right angle"),
        (lambda w: length(w, lambda a, b, cos: (a * a + b * b + 2 * a * b * cos) ** 0.5), "length of the sum"),
    ],
    "2a": [
        (lambda w: ("down", [RECIPE, RECIPE + "\n"], 0.75), "you predicted 'down'; it went from 0.75 to 1.00"),
        (lambda w: ("up", [RECIPE] * 8, 0.75), "as at temperature 0"),
        (lambda w: ("up", [RECIPE.partition("boil_size:")[2], "a"], 0.75), "do not begin with the recipe prompt"),
        (lambda w: ("higher", [RECIPE, "b"], 0.75), "write one of 'up', 'down', 'same', not 'higher'"),
    ],
    "2c": [
        (lambda w: (25,), "not for its root"),
        (lambda w: (2500,), "p (1 - p) is missing"),
        (lambda w: (12.5,), "has to be squared"),
        (lambda w: (700,), "700 is too large"),
    ],
    "2d": [
        (lambda w: (lambda nats, text: nats / math.log(2) / len(text),), "you count characters"),
        (lambda w: (lambda nats, text: nats * math.log(2) / len(text.encode()),), "more than one bit"),
        (lambda w: (lambda nats, text: nats / len(text.encode()),), "nats per byte"),
        (lambda w: (lambda nats, text: nats / math.log(2),), "of the whole text"),
    ],
    "2e": [
        (lambda w: ("clippy", RECIPE, w.models), "you guessed clippy, and beer needs the fewest bits"),
        (lambda w: ("beer", "short", w.models), "chance decides"),
        (lambda w: ("gpt", RECIPE, w.models), "write one of 'base', 'clippy', 'beer'"),
    ],
    "3a": [
        (lambda w: (merge_with(lambda a, b, alpha: (1 - alpha) * a + alpha * b), w.clippy, w.beer), "second model"),
        (lambda w: (merge_with(lambda a, b, alpha: (a + b) / 2), w.clippy, w.beer), "half and half whatever alpha is"),
        (lambda w: (merge_with(lambda a, b, alpha: alpha * a + b), w.clippy, w.beer), "do not sum to 1"),
        (lambda w: (merge_in_place, w.clippy, w.beer), "writes into a parent"),
        (lambda w: (lambda a, b, alpha: dict(list(named_weights(a).items())[:3]), w.clippy, w.beer), "79 tensors are"),
        (lambda w: (lambda a, b, alpha: a, w.clippy, w.beer), "not a GPTNeoForCausalLM"),
    ],
    "3b": [
        (given_03b("half"), "your number is right, 0.8"),
        (given_03b("more", lambda kept, ends, middle: 1 - kept), "the share that is lost"),
        (given_03b("more", lambda kept, ends, middle: middle), "these are the bits of the merge"),
    ],
    "3c": [
        (lambda w: (0.5 / 300,), "slips do not add up"),
        (lambda w: (0.5 ** (1 / 300),), "how often a token must be right"),
        (lambda w: (0.01,), "5 % of the recipes"),
    ],
    "3d": [
        (lambda w: (0.75, *SWEEP), "0.75 is the share of the second model"),
        (lambda w: (0.5, *SWEEP), "keeps 0.80 of its gain, and 0.9 was asked for"),
        (lambda w: (0.0, *SWEEP), "clippy could have more"),
        (lambda w: (0.3, *SWEEP), "one of the alphas that were measured"),
    ],
    "4a": [
        (
            lambda w: names_where(w, lambda kind, b: kind == "feed-forward" and b in (5, 6)),
            "that is the last block only",
        ),
        (lambda w: names_where(w, lambda kind, b: kind == "feed-forward"), "in all blocks"),
        (lambda w: names_where(w, lambda kind, b: b in (4, 5)), "is not feed-forward"),
        (lambda w: names_where(w, lambda kind, b: kind == "feed-forward" and b in (0, 1)), "these are blocks [0, 1]"),
        (lambda w: ([], w.clippy), "the list is empty"),
    ],
    "4b": [
        (lambda w: ("beer", own_gains(0.67, 0.81)), "you predicted 'beer', but clippy as the host keeps 0.67"),
        (lambda w: ("same", own_gains(0.67, 0.81)), "you predicted 'same'"),
        (lambda w: ("both", own_gains(0.67, 0.81)), "write one of"),
    ],
    "4c": [
        (lambda w: (lambda name: "att" in name,), "post_attention_layernorm.weight of llama"),
        (lambda w: (lambda name: ".attn." in name,), "it misses model.layers.0.self_attn.q_proj.weight of llama"),
        (lambda w: (lambda name: "attn" in name,), "it misses gpt_neox.layers.0.attention"),
        (lambda w: (lambda name: "attention" in name,), "it misses model.layers.0.self_attn"),
        (lambda w: (lambda name: ".h." in name or "layers" in name,), "that is"),
    ],
    "5a": [
        (
            lambda w: ((("clippy", "beer", 0.5), "base", 0.5), ("clippy", ("beer", "base", 0.5), THIRD), flat_weights),
            "whoever joins last has a half",
        ),
        (
            lambda w: (
                (("clippy", "beer", 0.5), "base", THIRD),
                ("clippy", ("beer", "base", 0.5), THIRD),
                flat_weights,
            ),
            "alpha is the share of the left branch",
        ),
        (
            lambda w: (
                (("clippy", "beer", 0.5), "base", 2 / 3),
                ("base", ("beer", "clippy", 0.5), THIRD),
                flat_weights,
            ),
            "both trees merge beer and clippy first",
        ),
        (lambda w: (("clippy", "beer", 0.5), "base", flat_weights), "tree1 holds beer, clippy; it needs base"),
        (lambda w: ((("clipy", "beer", 0.5), "base", 2 / 3), "base", flat_weights), "tree1 holds base, beer, clipy"),
    ],
    "5b": [
        (lambda w: ({"clippy": 0.24, "beer": 0.2, "base": 0.4}, flat_weights), "beer stands in the tree twice"),
        (lambda w: ({"clippy": 0.24, "beer": 0.16, "base": 0.4}, flat_weights), "beer also joins at the root"),
        (lambda w: ({"clippy": 0.4, "beer": 0.2, "base": 0.4}, flat_weights), "0.4 is the share of the whole mix"),
        (lambda w: ({"clippy": 0.06, "beer": 0.84, "base": 0.1}, flat_weights), "0.8 is the share of the left branch"),
        (lambda w: ({"clippy": 0.5, "beer": 0.5, "base": 0.5}, flat_weights), "your weights sum to 1.5"),
    ],
    "5c": [
        (lambda w: (lambda n: [0.5] * (n - 1), flat_weights), "with 0.5 everywhere the last model has a half"),
        (lambda w: (lambda n: [1 / (k + 1) for k in range(1, n)], flat_weights), "the newcomer's share"),
        (lambda w: (lambda n: [1 / n] * n, flat_weights), "n = 2 needs a list of length 1"),
    ],
    "6a": [
        (lambda w: (0.5, stack), "a half is what an average of models gives"),
        (lambda w: (0.25, mean_of_parts), "that is the mean of the parts"),
        (lambda w: (0.25, half_of_both), "the half is in both matrices"),
        (lambda w: (0.25, whole), "the half is missing"),
        (lambda w: (0.25, along_0), "B @ A cannot be computed"),
    ],
    "6b": [
        (lambda w: (1,), "once more inside of each task vector"),
        (lambda w: (0.2,), "the sign"),
        (lambda w: (1.2,), "of the two others together"),
    ],
    "6c": [
        (lambda w: (2.16,), "both shares scatter"),
        (lambda w: (1.04,), "deviations do not add up"),
        (lambda w: (4,), "the difference in samples"),
    ],
    "7a": [
        (lambda w: (0.6, [1.0, 1.9, 2.1, 2.0]), "above the mean of the two ends"),
        (lambda w: (1.1, [1.0, 1.9, 2.1, 2.0]), "above the first end"),
        (lambda w: (2.1 - 5 / 3, [1.0, 1.9, 2.1, 2.0]), "the highest loss is not where"),
        (lambda w: (2.1, [1.0, 1.9, 2.1, 2.0]), "the loss itself"),
    ],
    "7b": [
        (
            given_07b("same", lambda w: [shuffled(w.beer, "neurons", block) for block in w.blocks]),
            "you predicted 'same', but",
        ),
        (
            given_07b("first", lambda w: [shuffled(w.beer, "heads", block) for block in w.blocks]),
            "model 0 differs in attention 0; only feed-forward 0 may",
        ),
        (
            given_07b("first", lambda w: [shuffled(w.beer, "neurons", block, whole=False) for block in w.blocks]),
            "computes another function",
        ),
        (given_07b("first", lambda w: [w.beer] * 6), "nothing has changed its seat"),
        (given_07b("first", lambda w: [shuffled(w.beer, "neurons")]), "`broken` holds 1 models"),
    ],
    "7c": [
        (lambda w: ((-math.log2(0.75) - math.log2(0.05)) / 2,), "mean of the two models' bits"),
        (lambda w: (-math.log(0.4),), "these are nats"),
        (lambda w: (0.4,), "that is the probability"),
    ],
    "7d": [
        (at_point(0.5, 0.5), "that is the 50:50 merge itself"),
        (at_point(1, 0), "no better where you chose"),
        (at_point(5, 5), "far away"),
    ],
    "8a": [
        (lambda w: (2 / 3, 3**-0.5), "not 1 / (1 + cosine)"),
        (lambda w: (THIRD, 1.0), "half the angle, not half of the cosine"),
        (lambda w: (THIRD, 0.5), "middle of the straight line"),
        (lambda w: (THIRD, 1 / (2 * math.cos(30))), "radians"),
    ],
    "8b": [
        (lambda w: ([1.5, -2, 0, 2], *TAUS), "you divide by 2 always"),
        (lambda w: ([3, -2, 0.75, 4], *TAUS), "you have not trimmed"),
        (lambda w: ([3, -4, 0, 4], *TAUS), "sum of those that agree"),
        (lambda w: ([3, -2], *TAUS), "your list has 2 numbers"),
        (lambda w: ([3, -2, 0, 5], *TAUS), "place 3 (counted from 0) is not 5"),
    ],
    "8c": [
        (lambda w: (1,), "but not the sum of their squares"),
        (lambda w: (10,), "the squared length"),
        (lambda w: (0.1**0.5,), "without dividing by the density"),
    ],
    "8d": [
        (given_08d("yes"), "you predicted 'yes'. The worse gain at each shrink: choose 0: 0.60, 1: 0.70; held-out"),
        (given_08d("no", same=True), "are the same model"),
    ],
    "9a": [
        (lambda w: (3,), "that is the floor"),
        (lambda w: (9,), "three temporaries"),
        (lambda w: (4,), "the second step reads two"),
    ],
    "9b": [
        (write_with(lambda a, b, out: torch.lerp(a, b, 0.3, out=out)), "you mix 0.7 of `one`"),
        (write_with(lambda a, b, out: out.copy_(0.3 * a + 0.7 * b)), "MB of new memory: write with out="),
        (write_with(lambda a, b, out: out.dim() > 1 and torch.lerp(b, a, 0.3, out=out)), "are not written"),
        (write_with(lambda a, b, out: out.copy_(b)), "is not 0.3 of `one` plus 0.7 of `other`"),
    ],
    "9c": [
        (lambda w: (14 / 1.1,), "that moves one model"),
        (lambda w: (28 / 1.1,), "the merge has to be written, too"),
        (lambda w: (84 / 1.1,), "that is for float32"),
    ],
    "9d": [
        (merge_config(0.6, 0.4, 0.25), "has 0.75 of the whole: multiply"),
        (merge_config(0.45, 0.3, 0.5), "your weights sum to 1.25"),
        (merge_config(0.3, 0.45, 0.25), "clippy has the weight 0.3"),
        (lambda w: (LINEAR.replace("linear", "ties"), TREE), "the first line is `merge_method: linear`"),
        (lambda w: (LINEAR.format(**TREE) + "\ntokenizer: x", TREE), "tokenizer is not supported"),
    ],
    "10a": [
        (given_10a(1, "base and beer"), "you predicted 1 refusals, and the card has 0"),
        (given_10a(0, "clippy and beer"), "who walked least from base?"),
    ],
    "10b": [
        (rule_10b(lambda alphas, bits: chosen(alphas, bits, max, False)), "that is the old rule"),
        (rule_10b(lambda alphas, bits: chosen(alphas, bits, sum)), "the smallest mean"),
        (rule_10b(lambda alphas, bits: 3), "is the place in the list"),
        (rule_10b(lambda alphas, bits: 0.0), "your rule chooses 0, and 0.6 loses least at worst"),
    ],
    "10c": [
        (lambda w: ("first", [RECIPE, RECIPE], w.clippy, w.beer, w.tokenizer), "you guessed 'first', but"),
        (lambda w: ("first", SENTENCES, w.clippy, w.beer, w.tokenizer), "put it into brackets"),
        (lambda w: ("first", [SENTENCES], w.clippy, w.beer, w.tokenizer), "two texts or more"),
    ],
}
MISTAKES = [(name, given, piece) for name, cases in WRONG.items() for given, piece in cases]
JUNK = [None, ..., "x", 3, -1.5, math.nan, math.inf, True, [], [1], {}, {"a": 1}, (1, 2), object(), torch.zeros(3)]
JUNK += [lambda *args: 1 / 0, lambda *args: None, lambda *args: "x", lambda: {}]
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


def test_every_check_is_tried():
    assert set(RIGHT) == set(WRONG) == set(CHECKS)
    assert all(len({piece for _, piece in cases}) >= 2 for cases in WRONG.values())


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_says_right_to_its_solution(name, w, capsys):
    assert CHECKS[name](*RIGHT[name](w)) is True, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name} right: ") and printed.count("\n") == 1


@pytest.mark.parametrize("name, given, piece", MISTAKES, ids=[f"{name}: {piece[:30]}" for name, _, piece in MISTAKES])
def test_a_check_says_what_is_wrong(name, given, piece, w, capsys):
    assert CHECKS[name](*given(w)) is False
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name} not yet: ") and piece in printed and printed.count("\n") == 1
    assert "the check stops" not in printed and len(printed) < 400


@pytest.mark.parametrize("name", CHECKS)
def test_an_answer_that_is_not_there_is_no_mistake(name, w, capsys):
    check, given = CHECKS[name], RIGHT[name](w)
    for empty in (None, ...):
        for i in range(check.answers):  # one of several is enough
            assert check(*given[:i], empty, *given[i + 1 :]) is None
    assert check() is None
    assert set(capsys.readouterr().out.splitlines()) == {f"{name} open: {OPEN}"}


@pytest.mark.parametrize("name", ["2d", "3a", "4c", "5c", "6a", "9b", "10b"])
def test_a_function_that_is_not_written_yet_is_no_mistake(name, w, capsys):
    empty = lambda *args: None
    given = [
        empty if callable(answer) and i < CHECKS[name].answers else answer for i, answer in enumerate(RIGHT[name](w))
    ]
    assert CHECKS[name](*given) is None
    assert capsys.readouterr().out == f"{name} open: {OPEN}\n"


@pytest.mark.parametrize("name", CHECKS)
def test_garbage_gets_one_line_and_never_raises(name, w, capsys):
    check, given = CHECKS[name], RIGHT[name](w)
    for junk in JUNK:
        for call in ([junk] * len(given), [*[junk] * check.answers, *given[check.answers :]]):
            assert check(*call) in (False, None), junk
            printed = capsys.readouterr().out
            assert printed.startswith((f"{name} not yet: ", f"{name} open: ")) and printed.count("\n") == 1


def test_a_check_leaves_the_parents_alone_whatever_the_answer_does(w):
    """The fixture `tiny` fails the session if a shipped model changed; here the small ones of 09."""
    before = copy.deepcopy(named_weights(w.other))
    CHECKS["9b"](*RIGHT["9b"](w))
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_weights(w.other).items())


def code(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_solution_is_executed_and_its_checks_say_right(path):
    cells = code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    printed = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    asserted = re.findall(r"^assert check_0?(\d+[a-e])\(", "\n".join(cell.source for cell in cells), flags=re.MULTILINE)
    assert asserted == [name for name in CHECKS if int(name[:-1]) == int(path.name[:2])]
    for name in asserted:
        assert re.search(rf"^{name} right: ", printed, flags=re.MULTILINE)
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr" for c in cells for output in c.outputs
    )


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_solution_is_one_for_each_exercise_of_its_notebook(path):
    [notebook] = (ROOT / "notebooks").glob(f"{path.name[:2]}_*.ipynb")
    text = lambda path: "\n".join(
        c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"
    )
    wanted = re.findall(r"^### (\d+[a-e] · .+)$", text(notebook), flags=re.MULTILINE)
    assert re.findall(r"^## (\d+[a-e] · .+)$", text(path), flags=re.MULTILINE) == wanted
    assert text(path).count("*Common wrong answers.*\n\n- ") == len(wanted)
    assert f"(../{notebook.name})" in text(path)


def test_there_is_a_solution_for_each_notebook():
    numbers = lambda paths: [path.name[:2] for path in paths]
    assert numbers(SOLUTIONS) == numbers(sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
