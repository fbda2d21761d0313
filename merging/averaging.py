"""The weighted average itself: of some tensors or all, into a new model or into one that is there."""

import copy
from operator import attrgetter

import torch

from merging.checks import check_alpha, check_mergeable, check_selection
from merging.errors import within_memory
from merging.tensors import inner, named_weights, unwrapped

BLOCK = 1 << 20  # numbers averaged at a time where several models are read: 4 megabytes in float32


def merge_selected(model1, model2, names, alpha=0.5, out=None):
    """Merge only the named tensors (names as in named_weights); all others stay model1's."""
    alpha = check_alpha(alpha)
    names = check_selection(names, named_weights(model1))
    merged, theta, (theta1, theta2) = open_merge([model1, model2], out)
    for name in theta:
        share = alpha if name in names else 1.0
        average_into(theta[name], [theta1[name], theta2[name]], [share, 1 - share])
    return merged


def open_merge(models, out=None):
    """(model to write into, its tensors, the tensors of each model), all checked: what every merge begins with.

    The model to write into is `out`, or a new one in eval mode. Raises MergeError.
    """
    if out is not None:
        *sources, targets = check_mergeable(models, out)
        return out, targets, sources
    sources = check_mergeable(models)
    merged = within_memory(copy.deepcopy)(unwrapped(models[0])).eval()
    return merged, named_weights(merged), sources


def merge_into(out, models, weights, names=None):
    """Average only the named tensors (None: all) into `out` and leave its others alone, without any check.

    For many merges of one set of models, after one check_mergeable(models): what a slider does at every move.
    """
    live, models = inner(out), [inner(model) for model in models]
    for name in named_weights(live) if names is None else names:
        tensor = attrgetter(name)  # a walk through the state dicts would take as long as merging a block
        average_into(tensor(live).detach(), [tensor(model).detach() for model in models], weights)
    return out


@within_memory
def average_into(target, tensors, weights):
    """Write the weighted average of detached tensors into one, as a running mean; half precision is read as float32.

    After k tensors the mean holds their average with weights w_1..w_k rescaled to 1; torch.lerp is exact at both
    ends and for equal inputs, which makes alpha = 1, alpha = 0 and merge(a, a) exact.
    """
    if not all(weights):
        tensors, weights = zip(*[(tensor, weight) for tensor, weight in zip(tensors, weights) if weight])
    if len(tensors) == 1:
        return target.copy_(tensors[0])
    if (
        len(tensors) > 2
        and target.device.type == "cpu"
        and target.numel() > BLOCK
        and all(tensor.is_contiguous() for tensor in (target, *tensors))
    ):
        for start in range(0, target.numel(), BLOCK):  # a mean that is written and read again stays in the cache
            piece = slice(start, start + BLOCK)
            average_into(target.view(-1)[piece], [tensor.view(-1)[piece] for tensor in tensors], weights)
        return target
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    in_place = target if target.dtype == dtype else None
    wide = lambda tensor: tensor if tensor.dtype == dtype else tensor.to(dtype)
    mean, total = wide(tensors[0]), weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:]):
        total += weight
        mean = torch.lerp(mean, wide(tensor), weight / total, out=in_place)
    return target if mean is target else target.copy_(mean)
