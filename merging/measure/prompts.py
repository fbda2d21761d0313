"""From a prompt to tokens and back: special tokens once, and what a model wrote apart from what it was given."""

import os

import torch


def is_templated(tokenizer, text):
    """True if a text begins as the tokenizer's chat template does, or with the token that begins a text."""
    starts = [tokenizer.bos_token, *template_starts(tokenizer)]
    return any(text.startswith(start) for start in starts if start)


def template_starts(tokenizer):
    """What a chat template writes before the first message, with and without a message for the system."""
    here = "\N{WHITE SMILING FACE}here"
    user, system = ({"role": role, "content": here} for role in ("user", "system"))
    starts = []
    for messages in ([user], [system, user]) if tokenizer.chat_template else ():
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False)
        except Exception:  # a template may refuse a role, or miss what only its author knows
            continue
        starts.append(text.partition(here)[0] if here in text else "")
    return starts


def encode(tokenizer, text, chat=None):
    """The tokens of a text as a list, with the tokenizer's special tokens unless they are in the text already.

    chat: whether apply_chat_template wrote the text; None finds out by how it begins.
    """
    templated = is_templated(tokenizer, text) if chat is None else chat
    return tokenizer(text, add_special_tokens=not templated, verbose=False)["input_ids"]


def padded(rows, fill):
    """(ids, mask) of lists of tokens, as tensors filled on the left; the mask is 0 where they are filled."""
    longest = max(map(len, rows))
    ids = torch.tensor([[fill] * (longest - len(row)) + row for row in rows])
    return ids, torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])


def continuation(tokenizer, ids, given):
    """The text that tokens stand for behind the first `given` of them.

    Both are decoded whole, since some tokenizers write a token's space only within a text.
    """
    decode = lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True)
    whole, prompt = decode(ids), decode(ids[:given])
    return whole[len(os.path.commonprefix([whole, prompt])) :]


def stops(model, tokenizer):
    """The tokens that end a text, as a list: those of the model's generation settings and the tokenizer's own."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    own = [] if own is None else list(own) if isinstance(own, list | tuple) else [own]
    return [*dict.fromkeys([*own, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])])]


def filler(model, tokenizer):
    """A token to fill rows with, where no attention looks."""
    return next(
        (i for i in (tokenizer.eos_token_id, tokenizer.pad_token_id, *stops(model, tokenizer)) if i is not None), 0
    )
