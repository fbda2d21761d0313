"""The checks of the exercises of notebooks 06 to 10; see exercise_form for what a check does."""

import copy
import math
import tempfile
from pathlib import Path

import torch
import yaml

from merging.errors import MergeError
from merging.exercise_form import (
    average,
    choice,
    close,
    compare,
    exercise,
    filled,
    mixed,
    number,
    refuse,
    same_tensors,
)
from merging.interop import read_recipe
from merging.measuring import new_memory
from merging.scoring import bits_per_byte, gain_kept
from merging.tensors import merge_tensors, tensor_kind

# 06 A real language model


@exercise(answers=2)
def check_06a(coefficient, stack):
    said = "write out (B1 + B2)/2 times (A1 + A2)/2: B1 A1 stands there with 1/2 times 1/2"
    compare(coefficient, 0.25, [(0.5, f"a half is what an average of models gives it; {said}")], said)
    dice = torch.Generator().manual_seed(0)
    A1, A2 = (torch.randn(2, 5, generator=dice) for _ in range(2))
    B1, B2 = (torch.randn(4, 2, generator=dice) for _ in range(2))
    parts = filled(stack(A1, B1, A2, B2))
    refuse(not isinstance(parts, tuple | list) or len(parts) != 2, "the function gives two matrices, A and B")
    A, B = parts
    shapes = f"A is {tuple(A.shape)} and B {tuple(B.shape)}"
    refuse(A.shape == (5, 4) and B.shape == (4, 4), "your two matrices are B and A: give A first, then B")
    refuse(A.shape[0] != B.shape[1], f"B @ A cannot be computed: {shapes}. Stack A's rows and B's columns")
    got, exact = B @ A, (B1 @ A1 + B2 @ A2) / 2
    is_near = lambda other: got.shape == other.shape and torch.allclose(got, other, atol=1e-5)
    refuse(is_near((B1 + B2) / 2 @ ((A1 + A2) / 2)), "that is the mean of the parts, with B1 A2 and B2 A1 in it: stack")
    refuse(is_near(2 * exact), "that is the sum of the two products: the half is missing")
    refuse(is_near(exact / 2), "the half is in both matrices, so the product has a quarter: put it into one of them")
    refuse(not is_near(exact), "B @ A is not (B1 A1 + B2 A2) / 2: torch.cat A1 and A2 along dim 0, B1 and B2 along 1")
    return f"{shapes}: of rank 4, twice the parents'. That is what peft calls `cat`."


@exercise()
def check_06b(share, a=0.3, b=0.9):
    mistakes = [
        (1.0, "base stands there once more inside of each task vector, with a minus"),
        (a + b - 1, "the sign: base has 1 - a - b"),
        (a + b, "that is the share of the two others together; the three shares sum to 1"),
    ]
    compare(share, 1 - a - b, mistakes, "Put tau = theta - base into the formula and collect what stands before base.")
    return f"{1 - a - b:.1f}: below 0, so this point is no average of the three models."


@exercise()
def check_06c(apart, one=11, other=7, n=16):
    p, q = one / n, other / n
    spread = lambda share: share * (1 - share) / n
    mistakes = [
        (abs(p - q) / math.sqrt(spread(p)), "both shares scatter: add their squared deviations, then take the root"),
        (abs(p - q) / math.sqrt(spread(q)), "both shares scatter: add their squared deviations, then take the root"),
        (abs(p - q) / (math.sqrt(spread(p)) + math.sqrt(spread(q))), "deviations do not add up, their squares do"),
        (abs(one - other), "that is the difference in samples: divide the shares' difference by its deviation"),
    ]
    truth = abs(p - q) / math.sqrt(spread(p) + spread(q))
    compare(
        apart, truth, mistakes, "The squared deviation of a share is p (1 - p) / n; that of a difference is both.", 0.04
    )
    return f"{truth:.1f} deviations: a difference that chance makes now and then."


# 07 Why merging works


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
    theta = merge_tensors(model)
    n = 1 + max(tensor_kind(name)[1] or 0 for name in theta)
    refuse(len(broken) != n, f"`broken` holds {len(broken)} models, one for each of {n} blocks is wanted")
    ids = torch.tensor([tokenizer(documents[0])["input_ids"][:40]], device=model.device)
    harm, before = [], bits_per_byte(average(partner, model), tokenizer, documents)
    for block, each in enumerate(broken):
        moved = {tensor_kind(n) for n, tensor in merge_tensors(each).items() if not torch.equal(tensor, theta[n])}
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


# 08 Beyond the average


@exercise(answers=2)
def check_08a(stock, arc, cosine=0.5):
    angle = math.acos(cosine)
    hint = "lambda = cosine / (1 + cosine)"
    mistakes = [
        (1 / (1 + cosine), f"{hint}, not 1 / (1 + cosine)"),
        (cosine / (1 - cosine), f"the sign in the denominator: {hint}"),
    ]
    compare(stock, cosine / (1 + cosine), mistakes, f"For Model Stock {hint}.")
    mistakes = [
        (1 / (2 * math.cos(angle)), "for the arc take the cosine of half the angle, not half of the cosine"),
        (0.5, "0.5 is the middle of the straight line; the arc's middle lies farther out"),
        (math.cos(angle / 2), "that is the cosine of half the angle: one over twice that"),
        (1 / (2 * math.cos(math.degrees(angle) / 2)), "Python's cos takes radians: math.radians(30)"),
    ]
    compare(
        arc, 1 / (2 * math.cos(angle / 2)), mistakes, "For the arc 1 / (2 cos(angle / 2)), with an angle of 60 degrees."
    )
    return f"Model Stock {cosine / (1 + cosine):.2f}, the arc {1 / (2 * math.cos(angle / 2)):.2f}, the average 0.50."


def trimmed(tau, density):
    """A list of numbers with all but its largest set to 0."""
    kept = sorted(range(len(tau)), key=lambda i: -abs(tau[i]))[: int(density * len(tau))]
    return [value if i in kept else 0.0 for i, value in enumerate(tau)]


def elected_mean(taus):
    """At each place the mean of the numbers that have the sign of the sum, as TIES has it."""
    agreeing = [[v for v in place if v * sum(place) > 0] for place in zip(*taus)]
    return [sum(values) / len(values) if values else 0.0 for values in agreeing]


@exercise()
def check_08b(change, tau1, tau2, density=0.5):
    short = [trimmed(tau, density) for tau in (tau1, tau2)]
    refuse(not isinstance(change, list | tuple | torch.Tensor), "the answer is a list of numbers")
    change, n = [number(value) for value in change], len(tau1)
    refuse(len(change) != n, f"your list has {len(change)} numbers: one for each of {n} places")
    same = lambda other: all(close(one, two, 0.005) for one, two in zip(change, other))
    refuse(same([sum(place) / 2 for place in zip(*short)]), "you divide by 2 always: by the number of those that agree")
    refuse(same(elected_mean((tau1, tau2))), "you have not trimmed: first keep the larger half of each list only")
    agreeing = [sum(v for v in place if v * sum(place) > 0) for place in zip(*short)]
    refuse(same(agreeing), "that is the sum of those that agree: take their mean")
    refuse(same([sum(place) / 2 for place in zip(tau1, tau2)]), "that is the plain average of the two")
    refuse(
        same([sum(place) for place in zip(*short)]),
        "that is the sum: elect a sign, then take the mean of its numbers",
    )
    wrong = next((i for i, value in enumerate(elected_mean(short)) if not close(change[i], value, 0.005)), None)
    refuse(wrong is not None, f"place {wrong} (counted from 0) is not {change[wrong or 0]:g}: trim, elect, mean")
    return f"{elected_mean(short)}: trim, elect, mean."


@exercise()
def check_08c(factor, density=0.1):
    truth = density**-0.5
    mistakes = [
        (1.0, "the sum of the numbers stays right on average, but not the sum of their squares"),
        (1 / density, "that is the squared length: take the root"),
        (density**0.5, "that would be so without dividing by the density: the survivors are ten times as large"),
        (density, "that is the share of the numbers that survive, each of them ten times as large"),
    ]
    compare(factor, truth, mistakes, "A tenth of the squares survives, a hundred times as large. Take the root.", 0.02)
    return f"{truth:.2f} times as long: noise at a right angle to the task vector. So DARE likes large densities."


@exercise(answers=2)
def check_08d(predicted, merges, kept_choose, kept_report):
    predicted = choice(predicted, ("yes", "no"))
    refuse(
        not isinstance(merges, dict) or not {0, 1} <= set(merges),
        "`merges` is a dict, shrink -> model, with 0 and 1 in it",
    )
    same = same_tensors(merge_tensors(merges[0]), merge_tensors(merges[1]))
    refuse(same, "merges[0] and merges[1] are the same model: hand shrink on to regmean")
    on = [{shrink: min(kept(model)) for shrink, model in merges.items()} for kept in (kept_choose, kept_report)]
    best = [max(each, key=each.get) for each in on]
    said = "; ".join(
        f"{where} {', '.join(f'{shrink}: {value:.2f}' for shrink, value in each.items())}"
        for where, each in zip(("choose", "held-out"), on)
    )
    went = "yes" if best[0] == best[1] else "no"
    refuse(predicted != went, f"you predicted {predicted!r}. The worse gain at each shrink: {said}")
    return f"the worse gain at each shrink: {said}."


# 09 Scaling up


@exercise()
def check_09a(moved):
    mistakes = [
        (3, "that is the floor: between the two steps `target` is written and has to be read again"),
        (4, "the second step reads two, target and theirs, and writes one"),
        (9, "that is the loop with three temporaries; this one has none"),
        (6, "each step counts what it reads and what it writes: 2 for the first, 3 for the second"),
    ]
    compare(moved, 5, mistakes, "The first step reads one and writes one, the second reads two and writes one.")
    return "5, where the floor moves 3: by bytes alone 1.7 times the floor."


UNTOUCHED = 7.0  # no weight is so large


@exercise()
def check_09b(way, one, other, out):
    theta1, theta2, theta = merge_tensors(one), merge_tensors(other), merge_tensors(out)
    for tensor in theta.values():
        tensor.fill_(UNTOUCHED)
    before = copy.deepcopy(theta1)
    given = way()
    empty = [name for name, tensor in theta.items() if (tensor == UNTOUCHED).all()]
    if len(empty) == len(theta):
        refuse(given is not None, "your function gives something back; it has to write into `out`")
        filled(None)
    refuse(not same_tensors(before, theta1), "your function changes `one`: write into `out`'s tensors")
    refuse(empty, f"{len(empty)} tensors of `out` are not written, for example {empty[:1]}")
    refuse(same_tensors(theta, mixed(theta1, theta2, 0.7)), "you mix 0.7 of `one`: 0.3 is the share of the first model")
    refuse(not same_tensors(theta, mixed(theta1, theta2, 0.3)), "`out` is not 0.3 of `one` plus 0.7 of `other`")
    asked, size = new_memory(way), sum(tensor.nbytes for tensor in theta.values())
    refuse(asked > size / 10, f"right, but it asks for {asked / 1e6:.1f} MB of new memory: write with out=")
    return "0.3 of the first model, and no new memory. Time it with `seconds`."


@exercise()
def check_09c(time, billions=7, bytes_each=2, rate=1.1):
    size = billions * bytes_each
    mistakes = [
        (size / rate, "that moves one model: two are read and one is written"),
        (2 * size / rate, "that is for reading both parents: the merge has to be written, too"),
        (6 * size / rate, "that is for float32: a number in bfloat16 has two bytes"),
        (3 * size * rate, "divide the gigabytes by the rate"),
        (3 * billions / rate, "a number in bfloat16 has two bytes, not one"),
    ]
    compare(time, 3 * size / rate, mistakes, "Three models of 14 GB each, at 1.1 GB/s.", 0.03)
    return f"about {3 * size / rate:.0f} s."


@exercise()
def check_09d(text, weights):
    recipe = yaml.safe_load(text) if isinstance(text, str) else text
    refuse(not isinstance(recipe, dict) or "models" not in recipe, "the recipe is a YAML text with a list `models:`")
    refuse(recipe.get("merge_method") != "linear", "the first line is `merge_method: linear`")
    given = {each["model"]: number(each["parameters"]["weight"]) for each in recipe["models"]}
    missing, total = sorted(set(weights) - set(given)), sum(given.values())
    refuse(missing, f"{', '.join(missing)} is missing: the tree holds {len(weights)} models")
    alphas = given.get("clippy") == 0.6 and given.get("beer") == 0.4
    refuse(alphas, "0.6 and 0.4 are the shares in the inner merge, which has 0.75 of the whole: multiply")
    refuse(not close(total, 1, 0.001), f"your weights sum to {total:g}, and an average's sum to 1")
    wrong = next((label for label, weight in weights.items() if not close(given[label], weight, 0.001)), None)
    refuse(wrong, f"{wrong} has the weight {given.get(wrong, 0):g}: multiply the shares on its way to the root")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recipe.yml"
        file.write_text(yaml.safe_dump(recipe))
        try:
            read_recipe(file)
        except MergeError as error:
            refuse(True, str(error).replace(str(file), "the recipe"))
    return "a tree in one flat recipe, which mergekit and merge_checkpoints can carry out."


# 10 Your own models


@exercise(answers=2)
def check_10a(refusals, closest, card, cosines):
    refusals, closest, n = number(refusals), choice(closest, tuple(cosines)), len(card.refusals)
    refuse(refusals != n, f"you predicted {refusals:g} refusals, and the card has {n}: it reads no weights")
    said = ", ".join(f"{pair} {cosine:.3f}" for pair, cosine in cosines.items())
    refuse(closest != max(cosines, key=cosines.get), f"the cosines are {said}: who walked least from base?")
    return f"{n} refusals, and cosines {said}. A card without refusals promises nothing."


SWEEP = [i / 5 for i in range(6)]  # made up so that each rule chooses another alpha
CURVES = {
    "code": [1.8 + 0.2 * lost for lost in (1, 0.8, 0.55, 0.4, 0.3, 0)],
    "recipes": [0.2 + 4 * lost for lost in (0, 0.01, 0.05, 0.38, 0.9, 1)],
}


def losses(values, relative=True):
    """What each point of a sweep loses to the better end, in distances between the ends or in bits."""
    size = abs(values[0] - values[-1]) if relative else 1
    return [(value - min(values[0], values[-1])) / size for value in values]


def chosen(alphas, bits, rule, relative=True):
    """The alpha for which rule (max, sum) of the texts' losses is smallest."""
    lost = [rule(point) for point in zip(*(losses(values, relative) for values in bits.values()))]
    return alphas[lost.index(min(lost))]


@exercise()
def check_10b(rule, alphas, bits):
    got = number(filled(rule(SWEEP, copy.deepcopy(CURVES))))
    made_up = "on a made-up sweep"
    truth = chosen(SWEEP, CURVES, max)
    refuse(got == SWEEP.index(truth), f"{got:g} is the place in the list: give the alpha, alphas[place]")
    refuse(close(got, chosen(SWEEP, CURVES, max, False), 1e-6), f"{made_up} that is the old rule: divide each loss")
    refuse(close(got, chosen(SWEEP, CURVES, sum), 1e-6), f"{made_up} that is the smallest mean: look at the worst text")
    refuse(not close(got, truth, 1e-6), f"{made_up} your rule chooses {got:g}, and {truth:g} loses least at worst")
    here = rule(alphas, copy.deepcopy(bits))
    refuse(not close(number(here), chosen(alphas, bits, max), 1e-6), "it works on a made-up sweep, but not on this one")
    return f"on this pair alpha = {here:g}, where bits alone chose {chosen(alphas, bits, max, False):g}."


@exercise(answers=2)
def check_10c(guess, texts, first, second, tokenizer):
    guess = choice(guess, ("first", "second"))
    refuse(isinstance(texts, str), "`my_texts` is a list of texts: put it into brackets")
    refuse(
        not all(isinstance(text, str) and text.strip() for text in texts), "`my_texts` holds something else than texts"
    )
    refuse(len(texts) < 2, "two texts or more: half of them choose alpha, half report")
    one, two = (bits_per_byte(model, tokenizer, list(texts)) for model in (first, second))
    said = f"first {one:.2f}, second {two:.2f} bits per byte"
    refuse(guess != ("first" if one < two else "second"), f"you guessed {guess!r}, but {said}")
    return f"{said}."
