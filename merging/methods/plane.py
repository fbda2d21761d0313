"""Where a model lies in the plane of a base and two models that were finetuned from it."""

import torch

from merging.checks import check_mergeable


@torch.no_grad()
def in_plane(model, base, pair):
    """(x, y, missed): base + x (first - base) + y (second - base) is nearest to a model, over all numbers.

    missed is the share of the length of model - base that lies off the plane. Raises MergeError.
    """
    theta, first, second, own = check_mergeable([base, *pair, model])
    ways = [[each[name] - tensor for name, tensor in theta.items()] for each in (first, second, own)]
    dot = lambda one, other: sum(torch.stack([(a * b).sum() for a, b in zip(one, other)]).tolist())
    products = torch.tensor([[dot(one, other) for other in ways] for one in ways], dtype=torch.float64)
    place = torch.linalg.solve(products[:2, :2], products[:2, 2])
    off = products[2, 2] - place @ products[:2, 2]
    return (*place.tolist(), (off.clamp(min=0) / products[2, 2]).sqrt().item())
