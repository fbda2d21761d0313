"""Iso-C: the task vectors' sum with all its singular values made equal, matrix by matrix. Source: arXiv 2502.04959."""

import torch

from merging.averaging import open_merge
from merging.checks import check_result
from merging.errors import within_memory
from merging.methods.mergekit import check_lambda


@within_memory
@torch.no_grad()
def isotropic(models, base, lam=1.0, out=None):
    """theta = base + lam * mean(S) * U V^T for every matrix, where U S V^T = sum_i (theta_i - base).

    Returns a new model, or writes into `out`. Every direction that some task vector has gets the same weight, however
    little it moved there. Tensors that are no matrices take lam times the mean of the task vectors. lam: 0 (base) to 2.
    Computed in float32 at least. Raises MergeError. Source: arXiv 2502.04959 (Iso-C).
    """
    models, lam = list(models), check_lambda(lam)
    merged, theta, (start, *thetas) = open_merge([base, *models], out)
    for name, target in theta.items():
        first = start[name].to(torch.promote_types(target.dtype, torch.float32))
        tau = sum(each[name].to(first) - first for each in thetas)
        change = levelled(tau) if tau.ndim == 2 else tau / len(thetas)
        target.copy_(check_result(name, first + lam * change, target.dtype))
    return merged


def levelled(tau):
    """A matrix with each of its singular values replaced by their mean."""
    U, S, V = torch.linalg.svd(tau, full_matrices=False)
    return S.mean() * U @ V
