"""The functions of the article, as the notebooks use them: write a text, merge two models, merge parts, merge many.

Each stands here with its formula; what it calls (checks, loading, measuring) has a module of its own in merging/.
**alpha is the share of the first model.** Formulas: "Model soups" (Wortsman et al. 2022, arXiv 2203.05482).
"""

from merging.averaging import average_into, merge_into, merge_selected, open_merge
from merging.checks import check_alpha, check_mergeable, check_weights
from merging.errors import LoadError, MergeError
from merging.load.device import get_device
from merging.load.loading import LoadedModel, load_models
from merging.measure.bits import bits_per_byte, gain_kept
from merging.measure.samples import valid_share
from merging.measure.text import BEER_PROMPT, CODE_PROMPT, generate_texts
from merging.measure.texts import heldout_texts
from merging.measure.valid import is_function, is_recipe
from merging.tensors import named_weights, tensor_kind, touched

__all__ = [
    "BEER_PROMPT",
    "CODE_PROMPT",
    "LoadError",
    "LoadedModel",
    "MergeError",
    "average_into",
    "average_models",
    "bits_per_byte",
    "check_mergeable",
    "flat_weights",
    "gain_kept",
    "generate_text",
    "generate_texts",
    "get_device",
    "heldout_texts",
    "is_function",
    "is_recipe",
    "load_models",
    "merge_into",
    "merge_models",
    "merge_models_select",
    "merge_selected",
    "named_weights",
    "merge_tree",
    "tensor_kind",
    "touched",
    "valid_share",
]


def generate_text(model, tokenizer, prompt, device=None, temperature=1.0, max_length=500, seed=None, chat=None):
    """Sample a continuation and return prompt and continuation as one string (the article's function).

    text[len(prompt):] is the continuation alone. chat: whether apply_chat_template wrote the prompt and its special
    tokens; None finds out by how it begins.

    max_length counts tokens, the prompt's included. temperature 0 takes the most likely token each time; otherwise
    one of the 50 most likely is drawn. seed=None goes on with torch's random state, a number (the article uses 32)
    gives the same text again on the same machine. Raises ValueError if prompt or length do not fit the model.
    """
    return generate_texts(model, tokenizer, prompt, 1, device, temperature, max_length, seed, chat=chat)[0]


def merge_models(model1, model2, alpha=0.5, out=None):
    """theta = alpha * theta1 + (1 - alpha) * theta2 over all tensors: alpha is the share of the first model.

    Returns a new model, or writes into `out`, a third model of the same architecture. The parents never change.
    alpha = 1 is model1 bit for bit, alpha = 0 is model2. Raises MergeError. Source: arXiv 2203.05482.
    """
    alpha = check_alpha(alpha)
    merged, theta, (theta1, theta2) = open_merge([model1, model2], out)
    for name in theta:
        average_into(theta[name], [theta1[name], theta2[name]], [alpha, 1 - alpha])
    return merged


def merge_models_select(model1, model2, merge_attn=True, merge_mlp=True, alpha=0.5, out=None):
    """Merge only the attention and/or feed-forward tensors of the blocks; all others stay model1's.

    alpha is the share of the first model. Raises MergeError, also when the selection matches no tensor.
    """
    wanted = {kind for kind, on in (("attention", merge_attn), ("feed-forward", merge_mlp)) if on}
    names = [name for name in named_weights(model1) if tensor_kind(name)[0] in wanted]
    return merge_selected(model1, model2, names, alpha, out)


def average_models(models, weights=None, out=None):
    """theta = sum of weights[i] * theta_i over N models; weights sum to 1, None means 1/N each (a uniform soup).

    Returns a new model, or writes into `out`. Raises MergeError. Source: arXiv 2203.05482.
    """
    models = list(models)
    weights = check_weights(weights, len(models))
    merged, theta, thetas = open_merge(models, out)
    for name in theta:
        average_into(theta[name], [each[name] for each in thetas], weights)
    return merged


def merge_tree(tree, models):
    """Merge the models (label -> model or LoadedModel) as a tree says, through its flat weights.

    tree: a label, or (left, right, alpha) with alpha the share of left. Raises MergeError.
    """
    weights = flat_weights(tree)
    unknown = sorted(set(weights) - set(models))
    if unknown:
        raise MergeError(f"The tree names {unknown[0]!r}, but the models are {', '.join(map(repr, models))}.")
    chosen = [models[label] for label in weights]
    return average_models([m.model if isinstance(m, LoadedModel) else m for m in chosen], list(weights.values()))


def flat_weights(tree):
    """The weight of each label in the flat average that a tree of merges equals: the shares multiply along a path."""
    if isinstance(tree, str):
        return {tree: 1.0}
    if not isinstance(tree, tuple | list) or len(tree) != 3:
        raise MergeError(f"A tree is a label or (left, right, alpha), not {tree!r}.")
    left, right, alpha = tree
    alpha = check_alpha(alpha)
    weights = {label: alpha * weight for label, weight in flat_weights(left).items()}
    for label, weight in flat_weights(right).items():
        weights[label] = weights.get(label, 0.0) + (1 - alpha) * weight
    return weights
