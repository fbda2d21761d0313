"""RegMean: each linear layer answers each model's inputs as that model did, as nearly as one matrix can.

Source: arXiv 2212.09849. alpha is the share of the first model.
"""

import torch
from transformers.pytorch_utils import Conv1D

from merging.averaging import average_into, open_merge
from merging.checks import check_weights, is_number
from merging.errors import MergeError, within_memory
from merging.methods.batches import as_in_use, check_measured
from merging.tensors import tensor_kind

BLOCK = 384  # columns of a product that are computed at a time


def linear_layers(model):
    """name of the weight -> linear layer, for those inside of blocks; the output head counts as an embedding."""
    return {
        f"{name}.weight": layer
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear | Conv1D) and tensor_kind(f"{name}.weight")[1] is not None
    }


@torch.no_grad()
def input_products(model, batches):
    """name of the weight -> mean over the tokens of x x^T, (in, in), where x is what a linear layer gets.

    Padding is left out. Layers that get the same tensor (query, key, value) share one product. Takes one forward pass
    without the output head.
    """
    products, twins, seen, tokens = {}, {}, (None, None), 0

    def tap(name, inputs):
        nonlocal seen
        if inputs is not seen[0]:
            seen = inputs, name
            x = inputs.reshape(-1, inputs.shape[-1])[real].float()
            total = products.setdefault(name, x.new_zeros(x.shape[1], x.shape[1]))
            for start in range(0, x.shape[1], BLOCK):  # the product is symmetric: its lower half is enough
                total[start : start + BLOCK, : start + BLOCK].addmm_(
                    x[:, start : start + BLOCK].T, x[:, : start + BLOCK]
                )
        twins[name] = seen[1]

    taps = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: tap(name, inputs[0]))
        for name, layer in linear_layers(model).items()
    ]
    try:
        with as_in_use(model):
            for batch in batches:
                batch = {key: tensor.to(model.device) for key, tensor in batch.items()}
                real = batch["attention_mask"].flatten().bool()
                tokens += int(real.sum())
                model.base_model(**batch, use_cache=False)
    finally:
        for each in taps:
            each.remove()
    for total in products.values():  # the upper half in place: fresh memory of this size would cost as much as the rest
        for start in range(0, len(total), BLOCK):
            total[:start, start : start + BLOCK] = total[start : start + BLOCK, :start].T
        total.div_(tokens)
    return {name: products[twin] for name, twin in twins.items()}


@within_memory
@torch.no_grad()
def regmean(models, products, weights=None, shrink=0.9, out=None):
    """W = (sum_i w_i G_i)^-1 sum_i w_i G_i W_i in every linear layer of a block; a new model, or `out`.

    This W minimises sum_i w_i |X_i W - X_i W_i|^2: it answers each model's inputs X_i as that model did. products: the
    input_products of each model, G_i = X_i^T X_i / tokens, their off-diagonals times shrink (0 to 1), which holds W
    nearer to each W_i. weights sum to 1 (None: 1/N each). Embeddings, norms and biases are averaged with the same
    weights, as in the paper. Solved on the CPU in float64. Raises MergeError. Source: arXiv 2212.09849.
    """
    models, products = list(models), list(products)
    weights = check_weights(weights, len(models))
    merged, theta, thetas = open_merge(models, out)
    layers = linear_layers(merged)
    check_measured(products, {name: [turn(layer, layer.weight).shape[0]] * 2 for name, layer in layers.items()}, models)
    for name, target in theta.items():
        tensors = [each[name] for each in thetas]
        if name not in layers:
            average_into(target, tensors, weights)
            continue
        tensors = [tensor.cpu().double() for tensor in tensors]  # mps has no float64
        # a step from the average: merge(a, a) is a, and inputs that no text moved keep the average
        average = average_into(torch.empty_like(tensors[0]), tensors, weights)
        grams = [weight * shrunk(each[name], shrink) for weight, each in zip(weights, products)]
        miss = sum(gram @ turn(layers[name], tensor - average) for gram, tensor in zip(grams, tensors))
        target.copy_(average + turn(layers[name], solve(name, sum(grams), miss)))
    return merged


def turn(layer, weight):
    """A weight as (in, out), or back: torch.nn.Linear stores it as (out, in), GPT-2's Conv1D as (in, out)."""
    return weight if isinstance(layer, Conv1D) else weight.T


def shrunk(gram, shrink):
    """Products of inputs with their off-diagonals times shrink, in float64, or MergeError."""
    if not is_number(shrink, 0, 1):
        raise MergeError(f"shrink multiplies the products of different inputs, a number from 0 to 1, not {shrink!r}.")
    gram = gram.cpu().double()
    return shrink * gram + (1 - shrink) * torch.diag(gram.diagonal())


def solve(name, gram, miss):
    """gram^-1 miss by Cholesky's factors; a billionth on the diagonal stands for inputs that are always 0."""
    little = 1e-9 * gram.diagonal().mean().clamp(min=1e-30)
    factor, failed = torch.linalg.cholesky_ex(gram + little * torch.eye(len(gram), dtype=gram.dtype))
    if failed:
        raise MergeError(f"The inputs of {name} do not determine its weights: give more text, or a smaller shrink.")
    return torch.cholesky_solve(miss, factor)
