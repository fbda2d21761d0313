"""How well a model predicts text: bits per byte, and the share of a specialist's gain that a merge keeps."""

import math
import warnings

import torch

from merging.load.device import quick, threads_for
from merging.measure.text import positions


def bits_per_byte(model, tokenizer, text):
    """Negative log-likelihood in bits per UTF-8 byte; lower is better, and tokenizers do not matter.

    text: a string, or a list of strings scored as separate documents. Each is conditioned on the token that starts a
    text (<|endoftext|> for GPT-Neo). One that is longer than the model's context is read in windows that overlap by
    half, each token scored once.
    """
    documents = [text] if isinstance(text, str) else list(text)
    n_bytes = sum(len(document.encode("utf-8")) for document in documents)
    if not n_bytes:
        raise ValueError("bits_per_byte needs at least one character of text.")
    model = quick(model)
    nats = [window_nats(model, windows) for windows in window_batches(model, tokenizer, documents)]
    return sum(torch.cat(nats).tolist()) / math.log(2) / n_bytes


def window_batches(model, tokenizer, documents):
    """Lists of the windows that cover documents (see text_windows), the longest first, each as suits the processor."""
    windows = [
        window for document in documents for window in text_windows(document, tokenizer, min(positions(model), 1024))
    ]
    windows.sort(key=lambda window: len(window[0]))
    # few tokens stay in a CPU's cache; a GPU gets more to do, while the scores of all words take 128 MB at most
    tokens = 1024 if model.device.type == "cpu" else max(1024, 2**25 // len(tokenizer))
    while windows:
        rows = max(1, tokens // len(windows[-1][0]))
        yield windows[-rows:]
        del windows[-rows:]


def text_windows(document, tokenizer, context):
    """(tokens, number of tokens at the end to score) pairs that cover a document."""
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if start is None:
        raise ValueError(
            "The tokenizer has neither a bos nor an eos token: there is nothing to predict the first token from."
        )
    ids = tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
    ids = ids if ids[:1] == [start] else [start, *ids]  # a chat template writes it itself
    windows, scored = [], 1
    while scored < len(ids):
        start = 0 if scored == 1 else scored - context // 2
        end = min(start + context, len(ids))
        windows.append((ids[start:end], end - scored))
        scored = end
    return windows


def window_nats(model, windows):
    """Negative log-likelihood in nats of each window's scored tokens, (windows,)."""
    with threads_for(model):
        logits, targets = window_logits(model, windows)
        nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view(len(windows), -1).sum(1)


@torch.no_grad()
def window_logits(model, windows):
    """What a model says of windows, (windows, length, words), and which token came, -100 where none is scored.

    Windows are padded on the right.
    """
    length = max(len(ids) for ids, _ in windows)
    inputs = torch.zeros(len(windows), length, dtype=torch.long)
    targets = torch.full((len(windows), length), -100)
    for row, (ids, n) in enumerate(windows):
        inputs[row, : len(ids)] = torch.tensor(ids)
        targets[row, len(ids) - n : len(ids)] = inputs[row, len(ids) - n : len(ids)]
    with threads_for(model):
        logits = model(input_ids=inputs[:, :-1].to(model.device), use_cache=False).logits.float()
    return logits, targets[:, 1:].to(model.device)


def scorer(texts, tokenizer):
    """A function of a model that gives its bits per byte on each of a few short texts, all in one pass.

    The same numbers as bits_per_byte, for documents that fit into the model's context.
    """
    windows = [
        window
        for documents in texts.values()
        for document in documents
        for window in text_windows(document, tokenizer, 1024)
    ]
    n_bytes = {kind: sum(len(document.encode("utf-8")) for document in documents) for kind, documents in texts.items()}

    def score(model):
        nats = iter(window_nats(model, windows).tolist())
        return {
            kind: sum(next(nats) for _ in documents) / math.log(2) / n_bytes[kind] for kind, documents in texts.items()
        }

    return score


def gain_kept(base, specialist, merged):
    """Share of a specialist's gain over base that a merge keeps, from their bits per byte: 1 is all of it, 0 none.

    Warns if the gain is below 2 % of base's bits, or a loss. Raises ValueError if base and specialist score the same.
    """
    if base == specialist:
        raise ValueError(f"base and specialist both score {base}: there is no gain of which a share could be kept.")
    gain = base - specialist
    if gain < 0.02 * base:
        small = f"gains {gain:.3f} bits per byte over base's {base:.3f}, less than 2 %: a share of so small a gain"
        loss = f"needs {-gain:.3f} bits per byte more than base's {base:.3f}, so there is no gain: a share of a loss"
        warnings.warn(
            f"On this text the specialist {small if gain > 0 else loss} says little. Choose a text that the specialist "
            "was made for.",
            stacklevel=2,
        )
    return (base - merged) / gain


def keeper(base, specialists, tokenizer, texts):
    """A function of a model that gives the share of each specialist's gain over base that the model keeps.

    specialists: kind of text -> model; each gain is that on the specialist's own kind, see gain_kept. Raises ValueError
    if a specialist scores what base scores.
    """

    def bits(model, kind):
        return bits_per_byte(model, tokenizer, texts[kind])

    ends = {kind: (bits(base, kind), bits(model, kind)) for kind, model in specialists.items()}
    return lambda model: tuple(gain_kept(*ends[kind], bits(model, kind)) for kind in ends)
