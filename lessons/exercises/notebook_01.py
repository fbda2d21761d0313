"""The checks of the exercises in notebook 01."""

import math

import torch

from lessons.exercises.form import compare, exercise, named, refuse
from merging.tensors import named_weights, tensor_kind


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
    theta1, theta2 = named_weights(model1), named_weights(model2)
    in_both = lambda n: n in theta2 and theta1[n].shape == theta2[n].shape and theta1[n].dim() > 1
    names = [name for name in theta1 if in_both(name) and tensor_kind(name)[1] is not None]
    refuse(not names, "these two have no matrix of the same name and shape in their blocks: take beer and the stranger")
    a, b = (torch.cat([theta[name].flatten() for name in names]) for theta in (theta1, theta2))
    return torch.cosine_similarity(a, b, dim=0).item()


@exercise()
def check_01b(name, finetuned, base):
    theta, tuned = named_weights(base), named_weights(finetuned)
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
    theta, theta1, theta2 = map(named_weights, (base, model1, model2))
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
