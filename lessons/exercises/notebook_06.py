"""The checks of the exercises in notebook 06. alpha is the share of the first model."""

import math

import torch

from lessons.exercises.form import compare, exercise, filled, refuse


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
