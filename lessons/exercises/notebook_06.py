"""The checks of the exercises in notebook 06. alpha is the share of the first model."""

import math

import torch

from lessons.exercises.form import brief, call, compare, exercise, refuse


@exercise("coefficient", "stack()")
def check_06a(coefficient, stack):
    hint = "Write out (B1 + B2)/2 times (A1 + A2)/2: there are two halves, and B1 A1 gets both."
    mistakes = [
        (0.5, "a half is what an average of models gives it; here each of the two factors brings a half"),
        (1, "that would be so without the halves, and there are two of them"),
    ]
    compare(coefficient, 0.25, mistakes, hint, "(1/2 B1) (1/2 A1) is 1/4 B1 A1.")
    dice = torch.Generator().manual_seed(0)
    A1, A2 = (torch.randn(2, 5, generator=dice) for _ in range(2))
    B1, B2 = (torch.randn(6, 2, generator=dice) for _ in range(2))
    parts = call(stack, A1, B1, A2, B2)
    refuse(isinstance(parts, torch.Tensor), "the function gives two matrices, A and B, and yours gives one")
    refuse(not isinstance(parts, tuple | list) or len(parts) != 2, "the function gives two matrices, A and B")
    try:
        A, B = (torch.as_tensor(part).float() for part in parts)
    except (TypeError, ValueError, RuntimeError):
        refuse(True, f"the function gives two matrices, and yours gives {brief(parts[0])} and {brief(parts[1])}")
    shapes = f"A is {tuple(A.shape)} and B {tuple(B.shape)}"
    refuse((A.shape, B.shape) == ((6, 4), (4, 5)), "your two matrices are B and A: give A first, then B")
    refuse(A.shape == (5, 4), "your A is transposed: stack the rows of A1 and A2, torch.cat([A1, A2])")
    refuse(B.shape == (4, 6), "your B is transposed: put the columns of B1 and B2 side by side, dim=1")
    refuse(A.shape == (2, 10), "A1 and A2 stand side by side: stack their rows, dim=0, so that A has twice as many")
    refuse(B.shape == (12, 2), "B1 and B2 stand on top of each other: put their columns side by side, dim=1")
    fits = A.dim() == B.dim() == 2 and A.shape[0] == B.shape[1]
    refuse(not fits, f"B @ A cannot be computed: {shapes}. Stack A's rows and B's columns")
    got, exact = B @ A, (B1 @ A1 + B2 @ A2) / 2
    is_near = lambda other: got.shape == other.shape and torch.allclose(got, other, atol=1e-5)
    refuse(is_near((B1 + B2) / 2 @ ((A1 + A2) / 2)), "that is the mean of the parts, with B1 A2 and B2 A1 in it: stack")
    crossed = (B1 @ A2 + B2 @ A1) / 2
    refuse(
        is_near(crossed) or is_near(2 * crossed), "A and B are stacked in different orders: here B1 meets A2, and B2 A1"
    )
    refuse(is_near(2 * exact), "that is the sum of the two products: the half is missing")
    refuse(is_near(exact / 2), "the half is in both matrices, so the product has a quarter: put it into one of them")
    refuse(not is_near(exact), "B @ A is not (B1 A1 + B2 A2) / 2: torch.cat A1 and A2 along dim 0, B1 and B2 along 1")
    return f"{shapes}: of rank 4, twice the parents'. That is what peft calls `cat`."


@exercise("share_of_base")
def check_06b(share_of_base, a=0.3, b=0.9):
    mistakes = [
        (1.0, "base stands there once more inside of each task vector, with a minus"),
        (a + b - 1, "the sign: base has 1 - a - b"),
        (a + b, "that is the share of the two others together; the three shares sum to 1"),
        (1 + a + b, "base stands in each task vector with a minus: subtract"),
    ]
    hint = "Put tau = theta - base into the formula and collect what stands before base."
    compare(share_of_base, 1 - a - b, mistakes, hint, f"1 - {a} - {b} = {1 - a - b:.1f}.")
    return f"{1 - a - b:.1f}: below 0, so this point is no average of the three models."


@exercise("apart")
def check_06c(apart, one=11, other=7, n=16):
    p, q = one / n, other / n
    spread = lambda share: share * (1 - share) / n
    both = spread(p) + spread(q)
    alone = "both shares scatter: add their squared deviations, then take the root"
    mistakes = [
        (abs(p - q) / math.sqrt(spread(p)), alone),
        (abs(p - q) / math.sqrt(spread(q)), alone),
        (2.0, alone),
        (abs(p - q) / (math.sqrt(spread(p)) + math.sqrt(spread(q))), "deviations do not add up, their squares do"),
        (1.0, "deviations do not add up, their squares do"),
        (abs(one - other), "that is the difference in samples: divide the shares' difference by its deviation"),
        (abs(p - q), "that is the difference of the shares: divide it by its deviation"),
        (math.sqrt(both), "that is the deviation of the difference: how many of them lie between the two shares?"),
    ]
    truth = abs(p - q) / math.sqrt(both)
    hint = "The squared deviation of a share is p (1 - p) / n; that of a difference is both."
    way = f"{abs(p - q)} / root of ({spread(p):.4f} + {spread(q):.4f}) = {truth:.2f}."
    compare(apart, truth, mistakes, hint, way, 0.04)
    return f"{truth:.1f} deviations: a difference that chance makes now and then."
