"""The checks of the exercises in notebook 01."""

import math

import torch

from lessons.exercises.form import as_model, brief, compare, exercise, named, number, refuse
from merging.tensors import named_weights, tensor_kind


@exercise("predicted", "pair")
def check_01a(predicted, pair, card):
    refuse(
        not isinstance(pair, dict) or len(pair) != 2,
        f"`pair` is what load_models gives for two folders, a dict of two models, and not {brief(pair)}",
    )
    (name1, one), (name2, two) = ((name, as_model(model, "pair")) for name, model in pair.items())
    refuse(
        (cosine := block_cosine(one, two)) > 0.5,
        f"the weights of {name1} and {name2} have a cosine of {cosine:.2f}: one of them is no stranger",
    )
    rows = [model.get_input_embeddings().num_embeddings for model in (one, two)]
    refuse(
        rows[0] != rows[1] and one.config.num_hidden_layers == two.config.num_hidden_layers,
        f"{name1} has {rows[0]} rows in its embedding and {name2} has {rows[1]}: that is clippy's, take beer",
    )
    differ, predicted = sum(a != b for a, b in zip(card(one), card(two))), number(predicted)
    refuse(not 0 <= predicted <= 7 or predicted % 1, f"the card has seven rows: {predicted:g} of them cannot differ")
    mistakes = [
        (2, "2 rows are what clippy would have: its embedding is larger. These two have the same number of rows"),
        (7, "a row of the card is a shape or a setting, never a weight: is the stranger of other shapes?"),
    ]
    hint = "Which rows of the card can tell two models of the same shapes apart?"
    compare(predicted, differ, mistakes, hint, f"compare card(...) of the two row by row: {differ} differ.")
    return (
        f"{differ} rows differ, and yet the cosine of the two models' weights is {abs(cosine):.1f}. "
        "A card compares shapes; it cannot see whether two models have an ancestor in common."
    )


def block_cosine(model1, model2):
    """Cosine of the angle between the weight matrices in two models' blocks, of those that both have."""
    theta1, theta2 = named_weights(model1), named_weights(model2)
    in_both = lambda n: n in theta2 and theta1[n].shape == theta2[n].shape and theta1[n].dim() > 1
    names = [name for name in theta1 if in_both(name) and tensor_kind(name)[1] is not None]
    refuse(not names, "these two have no matrix of the same name and shape in their blocks: take beer and the stranger")
    dot = lambda a, b: sum((a[name] * b[name]).sum().item() for name in names)
    return dot(theta1, theta2) / (dot(theta1, theta1) * dot(theta2, theta2)) ** 0.5


@exercise("most", "quotient")
def check_01b(most, quotient, base, clippy, beer):
    most, theta = named(most, base), named_weights(base)
    moved = {n: (tensor - theta[n]).norm().item() for n, tensor in named_weights(beer).items()}
    relative = {n: moved[n] / theta[n].norm().item() for n in theta if theta[n].norm() > 0}
    truth = max(relative, key=relative.get)
    refuse(
        most != truth and most == max(moved, key=moved.get),
        f"{most} moved by the largest distance because it is large: divide by its own size in base",
    )
    refuse(most == min(relative, key=relative.get), f"{most} moved least; you look for the largest quotient")
    refuse(most != truth, f"{most} moved by {relative.get(most, 0):.0%} of its size, and another tensor by more")
    tau, size = named_weights(clippy)[most] - theta[most], theta[most].norm().item()
    mistakes = [
        (tau.norm().item() / size, "that is how far this tensor moved in clippy: the question is about beer"),
        (moved[most], "that is the distance: divide it by the tensor's size in base"),
    ]
    hint = "The name is right; the quotient is the norm of beer's tensor minus base's, divided by the norm of base's."
    compare(quotient, relative[most], mistakes, hint, f"{moved[most]:.2f} / {size:.2f} = {relative[most]:.3f}.", 0.03)
    return f"it moved by {relative[most]:.0%} of its own size."


@exercise("length")
def check_01c(length, base, model1, model2):
    theta, theta1, theta2 = map(named_weights, (base, model1, model2))
    flat = lambda tensors: torch.cat([(tensors[n] - theta[n]).flatten() for n in theta])
    tau1, tau2 = flat(theta1), flat(theta2)
    size = lambda vector: vector.square().sum().sqrt().item()  # of 100 million numbers norm() is off by a percent
    one, two, truth = size(tau1), size(tau2), size((tau1 + tau2) / 2)
    mistakes = [
        (2 * truth, "that is the length of the sum; the average holds half of each change"),
        ((one + two) / 2, "that would be so if both went in the same direction: use the cosine"),
        (math.hypot(one, two) / 2, "that would be so at a right angle: the cosine is not 0, so there is a third term"),
        (truth**2, "that is the square of the length: take the root"),
        (size(tau1 - tau2) / 2, "the third term has a plus: you have gone from one to the other"),
    ]
    cosine = (truth**2 * 4 - one**2 - two**2) / (2 * one * two)
    a, b = f"{one / 2:.1f}", f"{two / 2:.1f}"
    way = f"the root of {a}^2 + {b}^2 + 2 * {a} * {b} * {cosine:.2f}: {truth:.1f}."
    compare(length, truth, mistakes, "The square of |a + b| is |a|^2 + |b|^2 + 2 |a| |b| cosine.", way, slack=0.01)
    return f"{truth:.1f}. Half of each change is {one / 2:.1f} and {two / 2:.1f} long, and both are in it."
