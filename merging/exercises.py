"""The checks of the exercises of notebooks 01 to 05; 06 to 10: exercises_further.

alpha is always the share of the first model.
"""

import copy
import functools
import math

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from merging.exercise_form import (
    average,
    choice,
    close,
    compare,
    exercise,
    filled,
    mixed,
    named,
    number,
    refuse,
    same_tensors,
)
from merging.scoring import bits_per_byte, gain_kept, is_recipe
from merging.tensors import merge_tensors, tensor_kind


@exercise(answers=2)
def check_01a(predicted, pair, card):
    refuse(not isinstance(pair, dict) or len(pair) != 2, "`pair` is what load_models gives for two folders")
    (name1, (one, _)), (name2, (two, _)) = pair.items()
    cosine = block_cosine(one, two)
    refuse(
        cosine > 0.5, f"the weights of {name1} and {name2} have a cosine of {cosine:.2f}: one of them is no stranger"
    )
    differ = sum(a != b for a, b in zip(card(one), card(two)))
    compare(predicted, differ, [], f"The number of rows of the two cards that differ is {differ}: compare them.")
    return (
        f"{differ} rows differ, and yet the cosine of the two models' weights is {abs(cosine):.1f}. "
        "A card compares shapes; it cannot see whether two models have an ancestor in common."
    )


def block_cosine(model1, model2):
    """Cosine of the angle between the weight matrices in two models' blocks, of those that both have."""
    theta1, theta2 = merge_tensors(model1), merge_tensors(model2)
    in_both = lambda n: n in theta2 and theta1[n].shape == theta2[n].shape and theta1[n].dim() > 1
    names = [name for name in theta1 if in_both(name) and tensor_kind(name)[1] is not None]
    refuse(not names, "these two have no matrix of the same name and shape in their blocks: take beer and the stranger")
    a, b = (torch.cat([theta[name].flatten() for name in names]) for theta in (theta1, theta2))
    return torch.cosine_similarity(a, b, dim=0).item()


@exercise()
def check_01b(name, finetuned, base):
    theta, tuned = merge_tensors(base), merge_tensors(finetuned)
    moved = {n: (tuned[n] - theta[n]).norm().item() for n in theta}
    relative = {n: moved[n] / theta[n].norm().item() for n in theta if theta[n].norm() > 0}
    most, name = max(relative, key=relative.get), named(name, base)
    refuse(
        name != most and name == max(moved, key=moved.get),
        f"{name} moved by the largest distance because it is large: divide by its own size in base",
    )
    refuse(name == min(relative, key=relative.get), f"{name} moved least; you look for the largest quotient")
    refuse(name != most, f"{name} moved by {relative.get(name, 0):.0%} of its size, and another tensor by more")
    return f"it moved by {relative[most]:.0%} of its own size."


@exercise()
def check_01c(length, base, model1, model2):
    theta, theta1, theta2 = map(merge_tensors, (base, model1, model2))
    flat = lambda tensors: torch.cat([(tensors[n] - theta[n]).flatten() for n in theta])
    tau1, tau2 = flat(theta1), flat(theta2)
    one, two, truth = tau1.norm().item(), tau2.norm().item(), ((tau1 + tau2) / 2).norm().item()
    mistakes = [
        (2 * truth, "that is the length of the sum; the average holds half of each change"),
        ((one + two) / 2, "that would be so if both went in the same direction: use the cosine"),
        (math.hypot(one, two) / 2, "that would be so at a right angle: the cosine is not 0, so there is a third term"),
        (truth**2, "that is the square of the length: take the root"),
    ]
    compare(length, truth, mistakes, "The square of |a + b| is |a|^2 + |b|^2 + 2 |a| |b| cosine.", 0.01)
    return f"{truth:.1f}. Half of each change is {one / 2:.1f} and {two / 2:.1f} long, and both are in it."


# 02 Baseline generation


@exercise(answers=2)
def check_02a(predicted, texts, share_before):
    predicted, share_before = choice(predicted, ("up", "down", "same")), number(share_before)
    refuse(not isinstance(texts, list | tuple) or isinstance(texts, str), "`colder` is a list of texts")
    refuse(not all(isinstance(text, str) for text in texts) or not texts, "`colder` is a list of texts")
    refuse(len(texts) > 1 and len(set(texts)) == 1, "all texts are the same, as at temperature 0: take 0.5")
    refuse(
        not any(text.startswith("style:") for text in texts),
        "these texts do not begin with the recipe prompt, and without its four keys none is a recipe",
    )
    share = sum(map(is_recipe, texts)) / len(texts)
    went = "same" if share == share_before else "up" if share > share_before else "down"
    refuse(predicted != went, f"you predicted {predicted!r}; it went from {share_before:.2f} to {share:.2f}. Why?")
    return f"from {share_before:.2f} to {share:.2f} of {len(texts)}. The weights are the same, only the dice are not."


@exercise()
def check_02c(n, p=0.5, deviation=0.02):
    truth = p * (1 - p) / deviation**2
    mistakes = [
        (math.sqrt(truth), "solve for n, not for its root: the formula has n under the root"),
        (1 / deviation**2, "p (1 - p) is missing: at p = 0.5 that is a quarter"),
        (p / deviation**2, "(1 - p) is missing"),
        (p * (1 - p) / deviation, "the deviation has to be squared"),
    ]
    compare(n, truth, mistakes, "Square both sides of deviation = sqrt(p (1 - p) / n), then solve for n.")
    return f"{truth:.0f} samples. A deviation half as large costs four times as many."


@exercise()
def check_02d(to_bits):
    text, nats = "Grüße aus Köln: 25 °C", 30.0
    size, got = len(text.encode()), number(filled(to_bits(nats, text)))
    mistakes = [
        (nats / size, "these are nats per byte: divide by ln 2, math.log(2)"),
        (nats * math.log(2) / size, "one nat is more than one bit: divide by ln 2 instead of multiplying"),
        (nats / math.log(2) / len(text), "you count characters: ü takes two bytes, so use len(text.encode())"),
        (nats / len(text), "these are nats per character: divide by ln 2, and by len(text.encode())"),
        (nats / math.log(2), "these are bits, but of the whole text: divide by its bytes"),
        (nats / math.log2(2) / size, "math.log2(2) is 1: it takes math.log(2), the natural logarithm"),
    ]
    compare(got, nats / math.log(2) / size, mistakes, "nats / ln 2 are bits; divide them by the bytes of the text.")
    return "bits per byte, also for text with letters of two bytes."


@exercise(answers=2)
def check_02e(guess, text, models):
    guess = choice(guess, tuple(models))
    refuse(not isinstance(text, str), f"`my_text` is a text in quotes, not a {type(text).__name__}")
    refuse(len(text.split()) < 20, "that is a short text, on which chance decides: write twenty words or more")
    bits = {label: bits_per_byte(model, tokenizer, text) for label, (model, tokenizer) in models.items()}
    best, said = min(bits, key=bits.get), ", ".join(f"{label} {value:.2f}" for label, value in bits.items())
    refuse(best != guess, f"you guessed {guess}, and {best} needs the fewest bits ({said}). What did it read before?")
    return f"{said} bits per byte."


# 03 Merge all layers


@exercise()
def check_03a(merge, model1, model2):
    one, two = copy.deepcopy(model1), copy.deepcopy(model2)
    theta1, theta2 = merge_tensors(model1), merge_tensors(model2)
    got = filled(merge(one, two, 0.25))
    refuse(not isinstance(got, dict), f"the function gives a dict, name -> tensor, and not a {type(got).__name__}")
    refuse(
        not (same_tensors(merge_tensors(one), theta1) and same_tensors(merge_tensors(two), theta2)),
        "your function writes into a parent: the next merge would begin from a changed model. Make new tensors",
    )
    missing = sorted(set(theta1) - set(got))
    refuse(missing, f"{len(missing)} tensors are missing, for example {missing[:1]}: walk over all names")
    scaled = lambda a, b: {name: a * theta1[name] + b * theta2[name] for name in theta1}
    refuse(same_tensors(got, mixed(theta1, theta2, 0.75)), "your alpha is the share of the second model")
    refuse(same_tensors(got, mixed(theta1, theta2, 0.5)), "this is half and half whatever alpha is: use alpha")
    refuse(same_tensors(got, scaled(0.25, 1)), "your shares do not sum to 1: the second model needs 1 - alpha")
    refuse(same_tensors(got, scaled(0.25, 0.25)), "both models have the share alpha: the second needs 1 - alpha")
    refuse(not same_tensors(got, mixed(theta1, theta2, 0.25)), "this is not alpha * theta1 + (1 - alpha) * theta2")
    return f"{len(theta1)} tensors, alpha is the share of the first model, and both parents are as they were."


@exercise(answers=2)
def check_03b(predicted, kept, base, specialist, tokenizer, documents):
    predicted, kept = choice(predicted, ("less", "half", "more")), number(kept)
    score = lambda model: bits_per_byte(model, tokenizer, documents)
    ends, middle = (score(base), score(specialist)), score(average(base, specialist))
    truth = gain_kept(*ends, middle)
    mistakes = [
        (1 - truth, "that is the share that is lost: base and specialist have changed places in gain_kept"),
        (middle, "these are the bits of the merge: put them into gain_kept(base's, beer's, the merge's)"),
        (ends[0] - middle, "that is the gain in bits: divide it by beer's whole gain"),
    ]
    compare(kept, truth, mistakes, "gain_kept takes the bits of base, of beer and of the merge, in this order.")
    went = "half" if abs(truth - 0.5) < 0.05 else "more" if truth > 0.5 else "less"
    refuse(predicted != went, f"your number is right, {truth:.2f}, but you predicted {predicted!r}: why?")
    return f"half of the change keeps {truth:.0%} of the gain."


@exercise()
def check_03c(slip, tokens=300):
    truth = 1 - 0.5 ** (1 / tokens)
    mistakes = [
        (1 - truth, "that is how often a token must be right; you are asked how often it may be wrong"),
        (0.5 / tokens, "slips do not add up, the chances to be right multiply: (1 - slip) ** 300 = 0.5"),
        (100 * truth, "that is in percent: a probability lies between 0 and 1, so divide by 100"),
        (0.01, "with one slip in a hundred tokens 5 % of the recipes are finished, as the notebook computes"),
    ]
    compare(slip, truth, mistakes, "(1 - slip) ** 300 must be 0.5.", 0.02)
    return f"{truth:.2%}, one token in {1 / truth:.0f}. Bits per byte hardly show so little."


@exercise()
def check_03d(alpha, alphas, kept_first, kept_second, wanted=0.9):
    allowed = [a for a, kept in zip(alphas, kept_second) if kept >= wanted]
    truth, alpha = max(allowed), number(alpha)
    at = {round(a, 6): (one, two) for a, one, two in zip(alphas, kept_first, kept_second)}
    refuse(round(alpha, 6) not in at, f"take one of the alphas that were measured: {', '.join(map(str, alphas))}")
    one, two = at[round(alpha, 6)]
    refuse(
        close(alpha, 1 - truth, 1e-6) and alpha != truth,
        f"{alpha} is the share of the second model: alpha is that of the first, so here beer keeps {two:.2f} only",
    )
    refuse(two < wanted, f"at alpha = {alpha} beer keeps {two:.2f} of its gain, and {wanted} was asked for")
    refuse(alpha < truth, f"at alpha = {alpha} beer keeps {two:.2f}: enough, but clippy could have more")
    return f"at alpha = {truth} beer keeps {two:.2f} of its gain, and clippy {one:.2f} of its own."


# 04 Merge selected layers


@exercise()
def check_04a(names, model):
    theta = merge_tensors(model)
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
    with torch.random.fork_rng():
        return tuple(AutoModelForCausalLM.from_config(config).state_dict())


@exercise()
def check_04c(is_attention):
    for architecture in ARCHITECTURES:
        for name in names_of(architecture):
            kind, found = tensor_kind(name)[0], bool(filled(is_attention(name)))
            refuse(found and kind == "norm", f"it takes {name} of {architecture} for attention: that is a layer norm")
            refuse(found and kind != "attention", f"it takes {name} of {architecture} for attention: that is {kind}")
            refuse(not found and kind == "attention", f"it misses {name} of {architecture}")
    return f"every attention tensor and no other one in {', '.join(ARCHITECTURES)}."


# 05 Hierarchical merging


@exercise(answers=2)
def check_05a(tree1, tree2, flat_weights):
    for i, tree in enumerate((tree1, tree2), 1):
        weights = flat_weights(tree)
        needed = ("base", "beer", "clippy")
        refuse(
            sorted(weights) != [*needed], f"tree{i} holds {', '.join(sorted(weights))}; it needs base, clippy and beer"
        )
        said, off = {label: round(weight, 3) for label, weight in weights.items()}, max(weights.values())
        refuse(
            close(off, 0.5, 0.001),
            f"tree{i} gives {said}: with alpha = 0.5 at the root, whoever joins last has a half",
        )
        refuse(
            close(off, 2 / 3, 0.001),
            f"tree{i} gives {said}: alpha is the share of the left branch, and the pair needs two thirds",
        )
        refuse(not close(off, 1 / 3, 0.005), f"tree{i} gives {said}: not a third each")
    first = [frozenset(next(part for part in tree[:2] if not isinstance(part, str))[:2]) for tree in (tree1, tree2)]
    refuse(first[0] == first[1], f"both trees merge {' and '.join(sorted(first[0]))} first: take another pair")
    return "a third each, by two trees. They are one and the same model."


@exercise()
def check_05b(weights, flat_weights):
    truth = flat_weights(((("clippy", "beer", 0.6), "base", 0.5), "beer", 0.8))
    refuse(not isinstance(weights, dict) or set(weights) != set(truth), f"give a weight to each of {sorted(truth)}")
    weights = {label: number(weight) for label, weight in weights.items()}
    total, same = sum(weights.values()), lambda other: all(close(weights[k], v, 0.01) for k, v in other.items())
    refuse(same({"beer": 0.2, "clippy": 0.24}), "beer stands in the tree twice: add what it has inside of the mix")
    refuse(same({"clippy": 0.4}), "0.4 is the share of the whole mix: only 0.6 of that is clippy")
    swapped = flat_weights(("beer", (("clippy", "beer", 0.6), "base", 0.5), 0.8))
    refuse(same(swapped), "0.8 is the share of the left branch, and beer stands on the right")
    refuse(same({"beer": 0.16, "clippy": 0.24}), "beer also joins at the root, with 0.2: add that")
    refuse(not close(total, 1, 0.005), f"your weights sum to {total:.3g}, and a merge of merges is an average: 1")
    wrong = next((label for label in truth if not close(weights[label], truth[label], 0.01)), None)
    refuse(wrong, f"{wrong} does not have {weights.get(wrong, 0):.3g}: multiply the shares on its way to the root")
    return ", ".join(f"{label} {weight:.2f}" for label, weight in truth.items()) + "."


@exercise()
def check_05c(fair_alphas, flat_weights):
    for n in (2, 3, 4, 6):
        alphas = list(filled(fair_alphas(n)))
        refuse(len(alphas) != n - 1, f"n = {n} needs a list of length {n - 1}, and yours has {len(alphas)}")
        tree = "0"
        for i, alpha in enumerate(alphas, 1):
            tree = (tree, str(i), number(alpha))
        newcomer = all(close(alpha, 1 / (i + 1), 0.001) for i, alpha in enumerate(alphas, 1))
        refuse(n > 2 and newcomer, "your alphas are the newcomer's share: alpha is that of the first model, the merge")
        refuse(n > 2 and set(alphas) == {0.5}, "with 0.5 everywhere the last model has a half: alpha has to grow")
        weights = flat_weights(tree)
        off = max(weights, key=lambda label: abs(weights[label] - 1 / n))
        joined = f"for n = {n}, the model that joins as number {int(off) + 1} has {weights[off]:.3f}"
        refuse(not close(weights[off], 1 / n, 0.001), f"{joined}, not 1/{n}")
    return "n models, one after the other, and each has 1/n in the end."
