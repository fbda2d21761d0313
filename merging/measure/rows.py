"""Many short answers at once: a batch that loses its rows as they end, which saves most of the time of a long tail."""

import torch
from transformers import DynamicCache

from merging.load.device import quick, seeded, threads_for
from merging.measure.prompts import continuation, encode, filler, padded, stops
from merging.measure.text import positions

LOOK = 12  # steps between two looks at which rows have ended


@torch.no_grad()
def answers_to(model, tokenizer, prompts, n, temperature, longest, seed=None, ended=None, chat=None):
    """n continuations of each prompt, without the prompt, of at most `longest` tokens: a list of lists of strings.

    Sampled from the 50 likeliest tokens like generate_texts, or at temperature 0 the likeliest. ended: a function of
    the continuation so far that is true if the rest is not worth waiting for. chat: as in generate_texts.
    """
    rows = [encode(tokenizer, prompt, chat) for prompt in prompts]
    ids, mask = (tensor.to(model.device) for tensor in padded(rows, filler(model, tokenizer)))
    ends, given = torch.tensor(stops(model, tokenizer), device=model.device), ids.shape[1]
    longest = min(longest, positions(model) - given)
    with seeded(seed), threads_for(model):
        fast, cache = quick(model), DynamicCache(config=model.config)
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        scores = fast(ids, attention_mask=mask, position_ids=places, past_key_values=cache).logits[:, -1]
        cache.batch_repeat_interleave(n)
        ids, mask, scores = (tensor.repeat_interleave(n, 0) for tensor in (ids, mask, scores))
        alive, written = torch.arange(len(ids), device=ids.device), [None] * len(ids)
        for step in range(1, longest + 1):
            ids = torch.cat([ids, choose_tokens(scores, temperature)], 1)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            over = torch.isin(ids[:, -1], ends)
            if ended and step % LOOK == 0:
                over |= torch.tensor([ended(continuation(tokenizer, row, given)) for row in ids], device=ids.device)
            if step == longest:
                over |= True
            for at in over.nonzero().flatten().tolist():
                written[alive[at]] = ids[at]
            if over.all():
                break
            if over.any():
                keep = (~over).nonzero().flatten()
                ids, mask, alive = ids[keep], mask[keep], alive[keep]
                cache.batch_select_indices(keep)
            places = mask.sum(-1, keepdim=True) - 1
            scores = fast(ids[:, -1:], attention_mask=mask, position_ids=places, past_key_values=cache).logits[:, -1]
    texts = [continuation(tokenizer, row, given) for row in written]
    return [texts[start : start + n] for start in range(0, len(texts), n)]


def choose_tokens(scores, temperature):
    """One token for each row of scores, (rows, 1): the likeliest, or drawn among the 50 likeliest."""
    if not temperature:
        return scores.argmax(-1, keepdim=True)
    best, at = (scores.float() / temperature).topk(min(50, scores.shape[-1]))
    return at.gather(-1, torch.multinomial(best.softmax(-1), 1))
