"""From a prompt to tokens and back: special tokens once, and what a model wrote apart from what it was given."""

import functools
import json
import os
import subprocess
import sys
import warnings

import torch

from merging.load.reading import stop_tokens
from merging.paths import ROOT

PATIENCE = 60  # seconds by the clock for the child, which needs one; on a busy machine many


def template_starts(tokenizer):
    """What a chat template writes before the first message, with and without a message for the system."""
    try:
        template = tokenizer.get_chat_template()
    except ValueError:  # none, or several and none of them for a conversation
        return []
    starts = rendered(json.dumps(dict(template=template, tokens=tokenizer.special_tokens_map)))
    if starts is None:
        warnings.warn(
            f"The chat template of {tokenizer.name_or_path or 'this tokenizer'} takes too much time or memory, and is "
            "not used: say chat=True where it wrote the prompt.",
            stacklevel=4,
        )
    return starts or []


@functools.cache
def rendered(job):
    """The starts that the child finds for a job, or None if it reaches one of its limits."""
    try:
        command, options = [sys.executable, "-m", "merging.measure.template"], dict(capture_output=True, cwd=ROOT)
        return json.loads(subprocess.run(command, input=job.encode(), timeout=PATIENCE, **options).stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def encode(tokenizer, text, chat=None):
    """The tokens of a text as a list, with the tokenizer's special tokens unless they are in the text already.

    chat: whether apply_chat_template wrote the text; None finds out by how it begins: with the token that begins a
    text, or as the chat template does.
    """
    begins = lambda start: bool(start) and text.startswith(start)
    bare, whole = (tokenizer(text, add_special_tokens=add, verbose=False)["input_ids"] for add in (False, True))
    if chat is None:
        chat = bare != whole and (begins(tokenizer.bos_token) or any(map(begins, template_starts(tokenizer))))
    return bare if chat else whole


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
    own = stop_tokens(model.generation_config) if getattr(model, "generation_config", None) else []
    return [*dict.fromkeys([*own, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])])]


def filler(model, tokenizer):
    """A token to fill rows with, where no attention looks."""
    return next(
        (i for i in (tokenizer.eos_token_id, tokenizer.pad_token_id, *stops(model, tokenizer)) if i is not None), 0
    )
