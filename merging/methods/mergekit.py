"""Merges by mergekit's methods, behind our refusals: SLERP, task arithmetic, TIES, DARE, Model Stock, Karcher means.

mergekit is an extra with a licence of its own (LGPL-3.0, requirements/scale.txt) and is imported when it is called. A
method with two shares calls them weights; alpha is the share of the first model.
"""

import torch

from merging.averaging import open_merge
from merging.checks import check_alpha, check_result, check_selection, is_number
from merging.errors import MergeError, within_memory
from merging.load.device import seeded
from merging.tensors import named_weights

KNOBS = {  # method, as mergekit calls it -> whether it needs base (None: as you like), and what can be set
    "slerp": (False, ("alpha",)),
    "nuslerp": (None, ("alpha",)),
    "karcher": (False, ()),
    "model_stock": (True, ()),
    "task_arithmetic": (True, ("lam", "weights")),
    "ties": (True, ("lam", "weights", "density")),
    "dare_linear": (True, ("lam", "weights", "density", "seed")),
}


@within_memory
def merge_with(method, models, base=None, names=None, out=None, **knobs):
    """Merge by a method of mergekit, after checking what mergekit takes on trust; a new model, or `out`.

    method and its knobs: see KNOBS. alpha (0.5) is the share of the first of two models. weights (1 each) multiply the
    task vectors model - base; lam (1), from 0 (base) to 2, multiplies their sum, with ties their mean. density (1) is
    the share of each tensor's numbers that is kept, in (0, 1]: with ties the largest (of each tensor, where the paper
    trims the whole model), with dare_linear random ones, divided by density as in the paper; seed (0) draws them.
    nuslerp turns the task vectors if base is given, else the weights. names: only these tensors are merged, all others
    stay base's, or the first model's without one. Raises MergeError, also if mergekit is missing.
    Sources: arXiv 2212.04089 (task arithmetic), 2306.01708 (TIES), 2311.03099 (DARE), 2403.19522 (Model Stock).
    """
    models = list(models)
    settings = mergekit_settings(method, len(models), base is not None, **knobs)
    merge_by, sources = mergekit_call(), models if base is None else [base, *models]
    chosen = check_selection(names, named_weights(sources[0]))
    merged, theta, thetas = open_merge(sources, out)
    with seeded(knobs.get("seed", 0)), torch.no_grad():
        for name, target in theta.items():
            tensors = [each[name] for each in thetas]
            wide = torch.promote_types(target.dtype, torch.float32)
            result = merge_by(tensors, method, dtype=wide, **settings) if name in chosen else tensors[0]
            target.copy_(check_result(name, result, target.dtype))
    return merged


def mergekit_settings(method, n, has_base, **knobs):
    """What mergekit's merge_tensors takes for n models and our knobs, as keyword arguments. Raises MergeError.

    The tensors come in the order base (if there is one), first model, second model, ...
    """
    check_method(method, n, has_base, knobs)
    settings, first = {"base_index": 0 if has_base else None}, int(has_base)
    if method == "slerp":  # mergekit begins at what it calls base, and t is the share of the other one
        return {"base_index": 0, "parameters": {"t": 1 - check_alpha(knobs.get("alpha", 0.5))}}
    if method == "nuslerp":
        alpha = check_alpha(knobs.get("alpha", 0.5))
        return settings | {"parameters": {"weight": {first: alpha, first + 1: 1 - alpha}}}
    if "lam" not in KNOBS[method][1]:
        return settings
    lam, density = check_lambda(knobs.get("lam", 1.0)), check_density(knobs.get("density", 1.0))
    weights = check_multiples(knobs.get("weights"), n, positive=method == "ties")
    parameters = {"weight": dict(enumerate(weights, 1)), "lambda": lam}
    if "density" in KNOBS[method][1]:
        parameters |= {"density": density}
    if method == "dare_linear":  # on its own, mergekit would give each tensor the sum of magnitudes it had before
        check_seed(knobs.get("seed", 0))
        parameters |= {"rescale": False, "lambda": lam / density}
    return settings | {"parameters": parameters}


def mergekit_call():
    """mergekit's function that merges one tensor, or MergeError with the way to get it."""
    try:
        from mergekit.merge_methods.api import merge_tensors as merge_by
    except ImportError:
        raise MergeError(
            "This method is mergekit's, which is not installed here (LGPL-3.0): pip install -r requirements/scale.txt"
        ) from None
    return merge_by


def check_method(method, n, has_base, knobs):
    """Raise MergeError unless mergekit has the method, for n models, with these knobs, with or without a base."""
    if method not in KNOBS:
        raise MergeError(f"There is no method {method!r} here: choose one of {', '.join(KNOBS)}.")
    needs_base, known = KNOBS[method]
    if unknown := sorted(set(knobs) - set(known)):
        raise MergeError(f"{method} has no knob {unknown[0]!r}; it has {', '.join(known) or 'none'}.")
    if needs_base and not has_base:
        raise MergeError(f"{method} needs base=, the model that the others were finetuned from.")
    if needs_base is False and has_base:
        raise MergeError(f"{method} knows no base: leave base= out. nuslerp with base= turns the task vectors.")
    least, most = {"slerp": (2, 2), "nuslerp": (2, 2), "model_stock": (2, n)}.get(method, (1, n))
    if not least <= n <= most:
        raise MergeError(f"{method} merges {'exactly' if most == least else 'at least'} {least} models, not {n}.")


def check_lambda(lam):
    """lam as a float in [0, 2], or MergeError."""
    if not is_number(lam, 0, 2):
        raise MergeError(
            f"lam multiplies the merged task vector, a number from 0 (base) to 2, not {lam!r}. To subtract a task "
            "vector, give task_arithmetic a negative weight."
        )
    return float(lam)


def check_density(density):
    """density as a float in (0, 1], or MergeError."""
    if not is_number(density, 0, 1) or density == 0:
        raise MergeError(f"density is the share of numbers that is kept, above 0 and up to 1, not {density!r}.")
    return float(density)


def check_seed(seed):
    """Raise MergeError unless seed is a whole number that torch takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise MergeError(f"seed is a whole number from 0 on, not {seed!r}.")


def check_multiples(weights, n, positive=False):
    """What each of n task vectors is multiplied by, as floats from -2 to 2; None means 1 each. Raises MergeError."""
    weights = [1.0] * n if weights is None else list(weights)
    if len(weights) != n:
        raise MergeError(f"{n} task vectors need {n} weights, not {len(weights)}.")
    for weight in weights:
        if not is_number(weight, -2, 2) or (positive and weight <= 0):
            lowest = "above 0" if positive else "from -2"
            raise MergeError(f"Each weight multiplies a task vector, a number {lowest} to 2, not {weight!r}.")
    return [float(weight) for weight in weights]
