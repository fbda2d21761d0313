"""Iso-C: exact identities of singular values, the parents stay, what bad input gets."""

import copy

import pytest
import torch
from small import build, refused, same_bytes, snapshot
from test_mergekit import FAMILIES, trio

from merging.methods.spectral import isotropic
from merging.tensors import named_weights


def changes(model, base):
    """name -> the change of each matrix, in float64."""
    theta = named_weights(base)
    return {n: (t - theta[n]).double() for n, t in named_weights(model).items() if t.ndim == 2}


@FAMILIES
def test_all_singular_values_of_a_change_are_the_mean_of_the_sums(name):
    base, one, two = trio(name)
    of_one, of_two = changes(one, base), changes(two, base)
    for matrix, change in changes(isotropic([one, two], base, lam=0.5), base).items():
        mean = torch.linalg.svdvals(of_one[matrix] + of_two[matrix]).mean().item()
        assert torch.linalg.svdvals(change).tolist() == pytest.approx([0.5 * mean] * min(change.shape), rel=1e-4)


@FAMILIES
def test_task_vectors_that_are_level_already_stay_and_other_tensors_take_the_mean(name):
    """A multiple of a matrix with orthonormal columns or rows has equal singular values: nothing is left to do."""
    base, one, two = trio(name)
    tuned = copy.deepcopy(base)
    for tensor in named_weights(tuned).values():
        if tensor.ndim == 2:
            U, _, V = torch.linalg.svd(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)), False)
            tensor.add_(0.3 * U @ V)
    assert all(
        torch.allclose(tensor, named_weights(tuned)[n], atol=1e-5)
        for n, tensor in named_weights(isotropic([tuned], base)).items()
    )
    theta, theta1, theta2 = map(named_weights, (base, one, two))
    for n, tensor in named_weights(isotropic([one, two], base)).items():
        if tensor.ndim < 2:
            torch.testing.assert_close(tensor, (theta1[n] + theta2[n]) / 2, atol=1e-6, rtol=1e-5)


def test_lambda_0_is_base_parents_stay_and_out_is_used():
    base, one, two = trio()
    before, out = [snapshot(model) for model in (base, one, two)], copy.deepcopy(base)
    assert same_bytes(isotropic([one, two], base, lam=0), base)
    assert isotropic([one, two], base, out=out) is out and same_bytes(out, isotropic([one, two], base))
    assert all(same_bytes(model, state) for model, state in zip((base, one, two), before))


@pytest.mark.parametrize("lam", [-0.1, 2.1, float("nan"), "1"])
def test_refuses_what_is_no_lambda(lam):
    base, one, two = trio()
    refused(lambda: isotropic([one, two], base, lam), base, says=["from 0 (base) to 2"])


def test_refuses_models_that_do_not_fit():
    base, one, _ = trio()
    refused(lambda: isotropic([one, build("gpt-2")], base), one, says=["GPT2LMHeadModel"])
