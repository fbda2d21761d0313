"""The checks of the exercises in notebook 07. alpha is the share of the first model."""

import math

import torch

from helpers import merge_models
from lessons.exercises.form import as_model, choice, compare, exercise, items, number, refuse
from merging.measure.bits import bits_per_byte, keeper
from merging.tensors import named_weights, tensor_kind


@exercise("height")
def check_07a(height, losses):
    n = len(losses) - 1
    line = [((n - i) * losses[0] + i * losses[n]) / n for i in range(n + 1)]
    above = [loss - straight for loss, straight in zip(losses, line)]
    place, mean = above.index(max(above)), (losses[0] + losses[n]) / 2
    mistakes = [
        (max(losses) - mean, "that is above the mean of the two ends: take the straight line at the same place"),
        (max(losses) - max(losses[0], losses[n]), "that is above the worse end: take the straight line"),
        (max(losses[1:n]) - losses[0], "that is above the first end: the line rises towards the other"),
        (above[losses.index(max(losses))], "the highest loss is not where the path is farthest above the line"),
        (max(losses), "that is the loss itself: take the line off"),
        (line[place], "that is the line: how far is the path above it?"),
    ]
    hint = "Take the line between the ends off at each place; the largest rest counts."
    compare(height, max(above), mistakes, hint, f"{losses[place]} - {line[place]:.2f} = {max(above):.2f}.", 0.02)
    return f"{max(above):.2f} bits above the line."


@exercise("predicted", "broken")
def check_07b(predicted, broken, model, partner, tokenizer, documents):
    predicted = choice(predicted, ("first", "last", "same"))
    broken = [as_model(each, "broken") for each in items(broken, "`broken` is a list of models, one for each block")]
    theta = named_weights(model)
    n = 1 + max(tensor_kind(name)[1] or 0 for name in theta)
    refuse(len(broken) != n, f"`broken` holds {len(broken)} models, one for each of {n} blocks is wanted")
    ids = torch.tensor([tokenizer(documents[0])["input_ids"][:40]], device=model.device)
    for block, each in enumerate(broken):
        tensors = named_weights(each)
        alike = set(tensors) == set(theta) and all(tensors[name].shape == theta[name].shape for name in theta)
        refuse(not alike, f"model {block} has other tensors than beer")
        moved = {tensor_kind(name) for name in theta if not torch.equal(tensors[name], theta[name])}
        refuse(not moved, f"model {block} is {block and 'still' or 'just'} beer: nothing has changed its seat")
        same = torch.allclose(model(ids).logits, each(ids).logits, atol=1e-3)
        refuse(not same, f"model {block} computes another function than beer: let permute move both sides of a neuron")
        refuse(
            moved != {("feed-forward", block)},
            f"model {block} differs in {', '.join(f'{kind} {i}' for kind, i in sorted(moved))}; "
            f"only feed-forward {block} may (torch.arange is the order that moves nothing)",
        )
        bias = next(name for name, t in theta.items() if tensor_kind(name) == ("feed-forward", block) and t.dim() == 1)
        stayed = (tensors[bias] == theta[bias]).float().mean().item()
        refuse(stayed > 0.5, f"{stayed:.0%} of the neurons in block {block} kept their seat: take torch.randperm")
    before = bits_per_byte(merge_models(partner, model), tokenizer, documents)
    harm = [bits_per_byte(merge_models(partner, each), tokenizer, documents) - before for each in broken]
    said = ", ".join(f"{bits:.2f}" for bits in harm)
    worst = "first" if harm[0] > 2 * harm[-1] else "last" if harm[-1] > 2 * harm[0] else "same"
    refuse(predicted != worst, f"you predicted {predicted!r}, but the blocks cost {said} bits. Why?")
    return f"from the first block to the last: {said} bits more on recipes."


@exercise("bits_paid")
def check_07c(bits_paid, p=0.75, q=0.05):
    mean = (p + q) / 2
    mistakes = [
        (-math.log2(p * q) / 2, "that is the mean of the two models' bits: average their probabilities"),
        (-math.log(mean), "these are nats: take the logarithm to the base of 2"),
        (mean, "that is the probability: its bits are -log2 of it"),
        (-math.log2(p + q), "the probabilities are averaged, not added"),
        (math.log2(mean), "the sign: bits are minus the logarithm"),
    ]
    way = f"-log2 of ({p} + {q}) / 2 = -log2 of {mean:g} = {-math.log2(mean):.2f}."
    compare(bits_paid, -math.log2(mean), mistakes, "-log2 of the mean of the two probabilities.", way, 0.02)
    alone = f"the better model alone pays {-math.log2(p):.2f} and the other {-math.log2(q):.2f}"
    return f"{-math.log2(mean):.2f} bits, where {alone}."


MARGIN = 0.01  # of a gain: what less than that is may be a matter of the texts


@exercise("x", "y")
def check_07d(x, y, at, base, clippy, beer, tokenizer, quarters):
    x, y = number(x), number(y)
    refuse((x, y) == (0.5, 0.5), "that is the 50:50 merge itself, which is to be beaten")
    percent = 20 <= max(x, y) <= 120 and min(x, y) >= 0
    refuse(percent, f"({x:g}, {y:g}) is in percent: x and y are multiples, so divide by 100")
    refuse(not -1 <= min(x, y) <= max(x, y) <= 2, "that is far away from all three models: stay between -1 and 2")
    alone = {(0, 0): "base", (1, 0): "clippy", (0, 1): "beer"}.get((x, y))
    refuse(alone, f"({x:g}, {y:g}) is {alone} itself: one skill at most is there")
    kept = [keeper(base, {"code": clippy, "beer": beer}, tokenizer, texts) for texts in quarters[:2]]
    (here, there), (later, then) = ([min(each(at(*point))) for point in ((x, y), (0.5, 0.5))] for each in kept)
    said = f"{here:.2f} against the merge's {there:.2f} and {later:.2f} against the merge's {then:.2f}"
    why = "two whole changes get in each other's way" if x + y >= 1.8 else "no better where you chose"
    refuse(here <= there, f"at ({x:g}, {y:g}) the worse gain is {here:.2f} against the merge's {there:.2f}: {why}")
    refuse(here - there < MARGIN, f"on the two quarters {said}: less than {MARGIN} apart is no difference, go on")
    refuse(later - then < MARGIN, f"on the two quarters {said}: it did not hold where you did not choose")
    average = f"It is an average: clippy {x:.2g}, beer {y:.2g}, base {abs(1 - x - y):.2g}."
    no_average = f"It is no average: the shares sum to {x + y:.2g}."
    return f"on the two quarters {said}. {average if min(x, y, 1 - x - y) >= -1e-9 else no_average}"
