"""An average of weights beside the average of what the models say: how near the one is to the other."""

import copy
import math

import torch

from merging.averaging import merge_into
from merging.checks import check_alpha, check_mergeable
from merging.measure.bits import window_batches, window_logits
from merging.tensors import named_weights


@torch.no_grad()
def merge_vs_ensemble(models, tokenizer, texts, steps, alpha=0.5):
    """How far an average of weights is from the average of logits, over the size of the steps that are averaged.

    models: a base and two models that were finetuned from it. At each of the steps s, base + s tau stands for each of
    the two; their merge averages weights, their ensemble logits, both with alpha as the share of the first. texts:
    name -> documents. Computes in the models' own dtype, since bfloat16 would blur what is measured here.
    Returns {"steps": list, "merge": name -> a number for each step, "parents": the same}, in bits per token: "merge" is
    the Kullback-Leibler divergence of the merge from the ensemble, "parents" that between the two, the mean of both
    directions. Raises MergeError. Source of the idea: "Model soups", arXiv 2203.05482, section 4.
    """
    alpha = check_alpha(alpha)
    theta, *ends = check_mergeable(models)
    first, second, merged = (copy.deepcopy(models[0]).eval() for _ in range(3))
    found = {"steps": list(steps), "merge": {kind: [] for kind in texts}, "parents": {kind: [] for kind in texts}}
    for step in found["steps"]:
        for moved, end in zip((first, second), ends):
            for name, tensor in named_weights(moved).items():
                tensor.copy_(torch.lerp(theta[name], end[name], step))
        merge_into(merged, [first, second], [alpha, 1 - alpha])
        for kind, documents in texts.items():
            apart = divergences(first, second, merged, tokenizer, documents, alpha)
            for what, bits in zip(("merge", "parents"), apart):
                found[what][kind].append(bits)
    return found


def divergences(first, second, merged, tokenizer, documents, alpha):
    """(that of the merge from the ensemble of logits, that between its parents), as merge_vs_ensemble defines them."""
    nats, tokens = [0.0, 0.0], 0
    for windows in window_batches(merged, tokenizer, documents):
        said = []
        for model in (first, second, merged):
            logits, targets = window_logits(model, windows)
            said.append(logits[targets != -100].log_softmax(-1))
        ensemble = torch.lerp(said[1], said[0], alpha).log_softmax(-1)
        nats[0] += divergence(ensemble, said[2])
        nats[1] += (divergence(said[0], said[1]) + divergence(said[1], said[0])) / 2
        tokens += len(ensemble)
    return [total / math.log(2) / tokens for total in nats]


def divergence(p, q):
    """Kullback-Leibler divergence of q from p, log-probabilities of shape (tokens, words): the sum over the tokens."""
    return (p.exp() * (p - q)).sum().item()
