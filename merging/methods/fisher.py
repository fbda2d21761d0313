"""Fisher-weighted averages: a number counts as much as a text moves with it. Source: arXiv 2111.09832."""

import torch

from merging.averaging import open_merge
from merging.checks import check_weights
from merging.errors import within_memory
from merging.methods.batches import as_in_use, batch_nats, check_measured


def fisher(model, batches):
    """name -> mean over the documents of (d log p(document) / d theta)^2, scaled to a mean of 1 over all parameters.

    The diagonal of the empirical Fisher: of the documents' own tokens, where the paper takes labels from the model.
    Scaled, so that a share is a share: log-likelihoods of longer texts have larger Fishers. Takes a backward pass for
    each document.
    """
    theta = {name: tensor.detach().requires_grad_() for name, tensor in model.named_parameters()}
    squares = {name: torch.zeros_like(tensor) for name, tensor in theta.items()}
    with as_in_use(model):
        for batch in batches:
            for row in range(len(batch["input_ids"])):
                document = {key: tensor[row : row + 1] for key, tensor in batch.items()}
                nats = batch_nats(model, document, theta, reduction="sum")
                slopes = torch.autograd.grad(nats, theta.values(), allow_unused=True)
                for square, slope in zip(squares.values(), slopes):
                    if slope is not None:
                        square.addcmul_(slope, slope)
    mean = sum(square.sum() for square in squares.values()) / sum(square.numel() for square in squares.values())
    return {name: square / mean for name, square in squares.items()}


@within_memory
@torch.no_grad()
def fisher_average(models, fishers, weights=None, out=None):
    """theta = sum_i w_i F_i theta_i / sum_i w_i F_i, number by number in every parameter; a new model, or `out`.

    fishers: the fisher of each model. Embeddings, norms and biases are treated like all others. A millionth is added to
    each F: where no text moves a number (a word that never comes), the plain average stays. weights sum to 1 (None: 1/N
    each). Raises MergeError. Source: arXiv 2111.09832.
    """
    models, fishers = list(models), list(fishers)
    weights = check_weights(weights, len(models))
    merged, theta, thetas = open_merge(models, out)
    check_measured(fishers, {name: tensor.shape for name, tensor in merged.named_parameters()}, models)
    for name, target in theta.items():
        mean = total = torch.zeros_like(target, dtype=torch.promote_types(target.dtype, torch.float32))
        for weight, each, measured in zip(weights, thetas, fishers):
            certain = weight * (measured[name].to(total) + 1e-6) if name in measured else torch.full_like(total, weight)
            total = total + certain
            mean = torch.lerp(mean, each[name].to(total), certain / total.clamp(min=1e-30))  # exact for equal inputs
        target.copy_(mean)
    return merged
