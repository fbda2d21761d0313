"""Task vectors with coefficients that are learned by gradient, one for each part of a block.

Source of the idea: AdaMerging, arXiv 2310.02575.
"""

import random

import torch

from merging.averaging import open_merge
from merging.checks import check_mergeable, check_result, is_number
from merging.errors import MergeError, within_memory
from merging.methods.batches import as_in_use, batch_nats
from merging.tensors import tensor_kind


def learn_lambdas(base, models, batches, steps=16, lr=0.02, start=0.5, seed=0):
    """(kind, block) -> one lambda for each model, learned by gradient on the loss of base + sum_i lambda_i tau_i.

    batches: a list of token batches for each kind of text; a step draws one batch of each (seed) and adds their mean
    losses. Adam from `start`; only the lambdas move. In each block attention, feed-forward and norms have lambdas of
    their own, biases those of their layer; so have the embeddings and the last norm.
    Source of the idea: AdaMerging, arXiv 2310.02575, whose loss is the entropy of the answers.
    """
    theta, *thetas = check_mergeable([base, *models])
    taus = [{name: each[name] - tensor for name, tensor in theta.items()} for each in thetas]
    lambdas = {place: torch.full((len(taus),), float(start)) for place in map(tensor_kind, theta)}
    optimizer = torch.optim.Adam([factors.requires_grad_() for factors in lambdas.values()], lr=lr)
    dice = random.Random(seed)
    with as_in_use(base):
        for _ in range(steps):
            optimizer.zero_grad()
            mixed = dict(mix(theta, taus, lambdas))
            sum(batch_nats(base, dice.choice(kind), mixed) for kind in batches).backward()
            optimizer.step()
    return {place: factors.tolist() for place, factors in lambdas.items()}


def mix(theta, taus, lambdas):
    """(name, theta + sum_i lambda_i tau_i) pairs, each tensor with the lambdas of its kind and block."""
    for name, tensor in theta.items():
        yield name, tensor + sum(factor * tau[name] for factor, tau in zip(lambdas[tensor_kind(name)], taus))


@within_memory
@torch.no_grad()
def merge_lambdas(base, models, lambdas, out=None):
    """base + sum_i lambda_i tau_i with the lambdas of learn_lambdas; a new model, or `out`. Raises MergeError."""
    models = list(models)
    merged, theta, (start, *thetas) = open_merge([base, *models], out)
    check_lambdas(lambdas, theta, len(models))
    taus = [{name: each[name].float() - tensor.float() for name, tensor in start.items()} for each in thetas]
    for name, result in mix(start, taus, lambdas):
        theta[name].copy_(check_result(name, result, theta[name].dtype))
    return merged


def check_lambdas(lambdas, theta, n):
    """Raise MergeError unless there are n finite numbers for each kind and block of the model's tensors."""
    for kind, block in map(tensor_kind, theta):
        factors = lambdas.get((kind, block), ())
        if len(factors) != n or not all(is_number(factor, -1e30, 1e30) for factor in factors):
            raise MergeError(f"{kind} of block {block} needs {n} finite lambdas, one for each model, not {factors!r}.")
