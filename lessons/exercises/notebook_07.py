"""The checks of the exercises in notebook 07. alpha is the share of the first model."""

import math

import torch

from lessons.exercises.form import average, choice, compare, exercise, number, refuse
from merging.measure.bits import bits_per_byte, gain_kept
from merging.tensors import named_weights, tensor_kind


@exercise()
def check_07a(height, losses):
    n = len(losses) - 1
    above = [loss - ((n - i) * losses[0] + i * losses[n]) / n for i, loss in enumerate(losses)]
    mean = (losses[0] + losses[n]) / 2
    mistakes = [
        (max(losses) - mean, "that is above the mean of the two ends: take the straight line at the same place"),
        (max(losses) - max(losses[0], losses[n]), "that is above the worse end: take the straight line"),
        (max(losses[1:n]) - losses[0], "that is above the first end: the line rises towards the other"),
        (
            above[losses.index(max(losses))],
            "the highest loss is not where the path is farthest above the line",
        ),
        (max(losses), "that is the loss itself: take the line off"),
    ]
    compare(height, max(above), mistakes, "Take the line between the ends off at each place; the largest rest counts.")
    return f"{max(above):.2f} bits above the line."


@exercise(answers=2)
def check_07b(predicted, broken, model, partner, tokenizer, documents):
    predicted = choice(predicted, ("first", "last", "same"))
    refuse(not isinstance(broken, list | tuple), "`broken` is a list of models, one for each block")
    theta = named_weights(model)
    n = 1 + max(tensor_kind(name)[1] or 0 for name in theta)
    refuse(len(broken) != n, f"`broken` holds {len(broken)} models, one for each of {n} blocks is wanted")
    ids = torch.tensor([tokenizer(documents[0])["input_ids"][:40]], device=model.device)
    harm, before = [], bits_per_byte(average(partner, model), tokenizer, documents)
    for block, each in enumerate(broken):
        moved = {tensor_kind(n) for n, tensor in named_weights(each).items() if not torch.equal(tensor, theta[n])}
        refuse(not moved, f"model {block} is {block and 'still' or 'just'} beer: nothing has changed its seat")
        same = torch.allclose(model(ids).logits, each(ids).logits, atol=1e-3)
        refuse(not same, f"model {block} computes another function than beer: let permute move both sides of a neuron")
        refuse(
            moved != {("feed-forward", block)},
            f"model {block} differs in {', '.join(f'{kind} {i}' for kind, i in sorted(moved))}; "
            f"only feed-forward {block} may (torch.arange is the order that moves nothing)",
        )
        harm.append(bits_per_byte(average(partner, each), tokenizer, documents) - before)
    said = ", ".join(f"{bits:.2f}" for bits in harm)
    worst = "first" if harm[0] > 2 * harm[-1] else "last" if harm[-1] > 2 * harm[0] else "same"
    refuse(predicted != worst, f"you predicted {predicted!r}, but the blocks cost {said} bits. Why?")
    return f"from the first block to the last: {said} bits more on recipes."


@exercise()
def check_07c(bits, p=0.75, q=0.05):
    mean = (p + q) / 2
    mistakes = [
        (
            (-math.log2(p) - math.log2(q)) / 2,
            "that is the mean of the two models' bits: average their probabilities",
        ),
        (-math.log(mean), "these are nats: take the logarithm to the base of 2"),
        (mean, "that is the probability: its bits are -log2 of it"),
        (-math.log2(p + q), "the probabilities are averaged, not added"),
        (math.log2(mean), "the sign: bits are minus the logarithm"),
    ]
    compare(bits, -math.log2(mean), mistakes, "-log2 of the mean of the two probabilities.")
    alone = f"the better model alone pays {-math.log2(p):.2f} and the other {-math.log2(q):.2f}"
    return f"{-math.log2(mean):.2f} bits, where {alone}."


@exercise(answers=2)
def check_07d(x, y, at, base, clippy, beer, tokenizer, quarters):
    x, y = number(x), number(y)
    refuse((x, y) == (0.5, 0.5), "that is the 50:50 merge itself, which is to be beaten")
    refuse(not -1 <= min(x, y) <= max(x, y) <= 2, "that is far away from all three models: stay between 0 and 1.2")
    read = lambda model, text: bits_per_byte(model, tokenizer, text)
    worse = []
    for texts in quarters[:2]:
        ends = [(read(base, texts[k]), read(model, texts[k])) for k, model in (("code", clippy), ("beer", beer))]
        kept = lambda x, y, texts=texts, ends=ends: min(
            gain_kept(*end, read(at(x, y), texts[k])) for end, k in zip(ends, ("code", "beer"))
        )
        worse.append((kept(x, y), kept(0.5, 0.5)))
    said = " and ".join(f"{here:.2f} against the merge's {there:.2f}" for here, there in worse)
    refuse(worse[0][0] <= worse[0][1], f"at ({x:g}, {y:g}) the worse gain is {said}: no better where you chose")
    refuse(worse[1][0] <= worse[1][1], f"on the two quarters {said}: it did not hold where you did not choose")
    return f"on the two quarters {said}. It is no average: the shares sum to {x + y:.2g}."
