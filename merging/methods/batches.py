"""Text as batches of tokens: the loss of a model on them, and gradient steps on it."""

import copy
import random
from contextlib import contextmanager

import torch
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence

from merging.checks import magnitude
from merging.errors import MergeError
from merging.load.device import threads_for


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
