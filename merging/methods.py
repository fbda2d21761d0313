"""Merges beyond the average that read text: RegMean, Fisher-weighted averages and learned lambdas.

They are in no library that we would add, and take an iterable of token batches, see token_batches. mergekit's methods
are in mergekit_methods. alpha is the share of the first model.
"""

import copy
import random
from contextlib import contextmanager

import torch
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence
from transformers.pytorch_utils import Conv1D

from merging.averaging import average_into, open_merge
from merging.checks import check_mergeable, check_result, check_weights, is_number, magnitude
from merging.errors import MergeError
from merging.tensors import tensor_kind
from merging.text import threads_for

# --- text as token batches --------------------------------------------------------------------------------------


def token_batches(tokenizer, documents, rows=8, length=512):
    """Documents as a list of batches {"input_ids", "attention_mask"}, each (rows, tokens), padded on the right.

    Every document begins and ends with the token that ends a text; documents of similar length share a batch; what
    exceeds `length` tokens is cut off. Raises ValueError if there is no document.
    """
    end, encode = tokenizer.eos_token_id, lambda text: tokenizer(text, add_special_tokens=False, verbose=False)
    ids = sorted(([end, *encode(text)["input_ids"], end][:length] for text in documents), key=len)
    if not ids:
        raise ValueError("token_batches needs at least one document.")
    groups = [[torch.tensor(row) for row in ids[start : start + rows]] for start in range(0, len(ids), rows)]
    return [
        {
            "input_ids": pad_sequence(group, batch_first=True, padding_value=end),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in group], batch_first=True),
        }
        for group in groups
    ]


def batch_nats(model, batch, theta=None, reduction="mean"):
    """Negative log-likelihood in nats of a batch's next tokens, without the padding.

    theta: name -> tensor to compute with instead of the model's own. reduction: "mean" over the tokens, or "sum".
    """
    batch = {key: tensor.to(model.device) for key, tensor in batch.items()}
    inputs = {key: tensor[:, :-1] for key, tensor in batch.items()} | {"use_cache": False}
    logits = (model(**inputs) if theta is None else functional_call(model, theta, (), inputs)).logits.float()
    targets = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)[:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)


@contextmanager
def as_in_use(model):
    """Let a model compute without dropout, a tiny one on one thread, and leave it in the mode it was in."""
    training = model.training
    try:
        with threads_for(model):
            yield model.eval()
    finally:
        model.train(training)


# --- RegMean ----------------------------------------------------------------------------------------------------

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


@torch.no_grad()
def regmean(models, products, weights=None, shrink=0.9, out=None):
    """W = (sum_i w_i G_i)^-1 sum_i w_i G_i W_i in every linear layer of a block; a new model, or `out`.

    This W minimises sum_i w_i |X_i W - X_i W_i|^2: it answers each model's inputs X_i as that model did. products: the
    input_products of each model, G_i = X_i^T X_i / tokens, their off-diagonals times shrink (0 to 1), because little
    text says little about them. weights sum to 1 (None: 1/N each). Embeddings, norms and biases are averaged with the
    same weights, as in the paper. Solved on the CPU in float64. Raises MergeError. Source: arXiv 2212.09849.
    """
    models, products = list(models), list(products)
    weights = check_weights([1 / len(models)] * len(models) if weights is None and models else weights, len(models))
    merged, theta, thetas = open_merge(models, out)
    layers = linear_layers(merged)
    check_measured(products, {name: [turn(layer, layer.weight).shape[0]] * 2 for name, layer in layers.items()}, models)
    for name, target in theta.items():
        tensors = [each[name] for each in thetas]
        if name not in layers:
            average_into(target, tensors, weights)
            continue
        # a step from the average: merge(a, a) is a, and inputs that no text moved keep the average
        average = average_into(torch.empty_like(target, dtype=torch.float64, device="cpu"), tensors, weights)
        grams = [weight * shrunk(each[name], shrink) for weight, each in zip(weights, products)]
        miss = sum(gram @ turn(layers[name], tensor.cpu().double() - average) for gram, tensor in zip(grams, tensors))
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


def check_measured(measured, shapes, models):
    """Raise MergeError unless each model has its measurement: a finite tensor of the right shape for every name."""
    if len(measured) != len(models):
        raise MergeError(f"{len(models)} models need as many measurements of text, one each, not {len(measured)}.")
    for i, each in enumerate(measured, 1):
        for name, shape in shapes.items():
            found = f"shape {tuple(each[name].shape)}" if name in each else "nothing"
            if found != f"shape {tuple(shape)}":
                raise MergeError(
                    f"Measurement {i} holds {found} for {name}, which needs shape {tuple(shape)}: measure the models "
                    "that you merge."
                )
            if not magnitude(each[name]) < float("inf"):
                raise MergeError(f"Measurement {i} of {name} holds values that are NaN or infinite.")


# --- Fisher -----------------------------------------------------------------------------------------------------


def fisher(model, batches):
    """name -> mean over the documents of (d log p(document) / d theta)^2, scaled to a mean of 1 over all parameters.

    The diagonal of the empirical Fisher: of the documents' own tokens, where the paper samples labels from the model.
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


@torch.no_grad()
def fisher_average(models, fishers, weights=None, out=None):
    """theta = sum_i w_i F_i theta_i / sum_i w_i F_i, number by number in every parameter; a new model, or `out`.

    fishers: the fisher of each model. Embeddings, norms and biases are treated like all others. A millionth is added to
    each F: where no text moves a number (a word that never comes), the plain average stays. weights sum to 1 (None: 1/N
    each). Raises MergeError. Source: arXiv 2111.09832.
    """
    models, fishers = list(models), list(fishers)
    weights = check_weights([1 / len(models)] * len(models) if weights is None and models else weights, len(models))
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


# --- learned lambdas --------------------------------------------------------------------------------------------


def learn_lambdas(base, models, batches, steps=16, lr=0.02, start=0.5, seed=0):
    """(kind, block) -> one lambda for each model, learned by gradient on the loss of base + sum_i lambda_i tau_i.

    batches: a list of token batches for each kind of text; a step draws one batch of each (seed) and adds their mean
    losses. Adam from `start`; only the lambdas move. In each block attention, feed-forward and norms have lambdas of
    their own, biases those of their layer; so have the embeddings and the last norm.
    Source of the idea: AdaMerging, arXiv 2310.02575, whose loss is the entropy of the answers.
    """
    theta, *thetas = check_mergeable([base, *models])
    taus = [{name: each[name] - tensor for name, tensor in theta.items()} for each in thetas]
    lambdas = {place: torch.full((len(taus),), float(start)) for place in map(tensor_kind, theta)}
    optimizer = torch.optim.Adam([factors.requires_grad_() for factors in lambdas.values()], lr=lr)
    dice = random.Random(seed)
    with as_in_use(base):
        for _ in range(steps):
            optimizer.zero_grad()
            mixed = dict(mix(theta, taus, lambdas))
            sum(batch_nats(base, dice.choice(kind), mixed) for kind in batches).backward()
            optimizer.step()
    return {place: factors.tolist() for place, factors in lambdas.items()}


def mix(theta, taus, lambdas):
    """(name, theta + sum_i lambda_i tau_i) pairs, each tensor with the lambdas of its kind and block."""
    for name, tensor in theta.items():
        yield name, tensor + sum(factor * tau[name] for factor, tau in zip(lambdas[tensor_kind(name)], taus))


@torch.no_grad()
def merge_lambdas(base, models, lambdas, out=None):
    """base + sum_i lambda_i tau_i with the lambdas of learn_lambdas; a new model, or `out`. Raises MergeError."""
    models = list(models)
    merged, theta, (start, *thetas) = open_merge([base, *models], out)
    check_lambdas(lambdas, theta, len(models))
    taus = [{name: each[name].float() - tensor.float() for name, tensor in start.items()} for each in thetas]
    for name, result in mix(start, taus, lambdas):
        theta[name].copy_(check_result(name, result, theta[name].dtype))
    return merged


def check_lambdas(lambdas, theta, n):
    """Raise MergeError unless there are n finite numbers for each kind and block of the model's tensors."""
    for kind, block in map(tensor_kind, theta):
        factors = lambdas.get((kind, block), ())
        if len(factors) != n or not all(is_number(factor, -1e30, 1e30) for factor in factors):
            raise MergeError(f"{kind} of block {block} needs {n} finite lambdas, one for each model, not {factors!r}.")


def finetune(model, batches, steps=16, lr=1e-4, seed=0):
    """A copy of a model after gradient steps on all weights, with the text of learn_lambdas: their honest rival."""
    tuned, dice = copy.deepcopy(model).eval(), random.Random(seed)
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=lr, weight_decay=0.0)
    with as_in_use(tuned):
        for _ in range(steps):
            optimizer.zero_grad()
            sum(batch_nats(tuned, dice.choice(kind)) for kind in batches).backward()
            optimizer.step()
    return tuned
