"""The article's prompts, and how a model continues them: sampled in batches, or token by token."""

import math

import torch
from transformers import StoppingCriteria

from merging.load.device import quick, seeded, threads_for
from merging.measure.prompts import continuation, encode, filler, padded, stops


def prompt_of(task):
    """The article's prompt for a function that does a task."""
    return f"Write a Python function to {task}:"


CODE_PROMPT = prompt_of("greet the user by name")
BEER_PROMPT = "style: Scottish Ale\nbatch_size: 20\nefficiency: 75\nboil_size:"


def generate_texts(
    model, tokenizer, prompt, n, device=None, temperature=1.0, max_length=500, seed=None, hopeless=None, chat=None
):
    """Like generate_text, n samples at once: a list of n strings; of a list of prompts, n for each, in their order.

    Each is its prompt, letter for letter, and what the model wrote: text[len(prompt):] is the continuation alone.
    hopeless: a function of the text so far that is true if the rest is not worth waiting for; it must stay true. chat:
    whether apply_chat_template wrote the prompts; None finds out by how they begin.
    """
    prompts = list(prompt) if isinstance(prompt, list) else [prompt]
    begin = tokenizer.bos_token or tokenizer.eos_token
    rows = [encode(tokenizer, prompt or begin, chat if prompt else None) for prompt in prompts]
    inputs, mask = (tensor.to(device or model.device) for tensor in padded(rows, filler(model, tokenizer)))
    length, limit = inputs.shape[1], positions(model)
    if not length < max_length <= limit:
        raise ValueError(
            f"The prompt has {length} tokens and max_length is {max_length}: max_length must be larger "
            f"than the prompt and at most {limit}, the positions of this model."
        )
    if temperature < 0 or not math.isfinite(temperature):
        raise ValueError(f"temperature must be 0 or a positive number, not {temperature}.")
    sampling = dict(do_sample=True, temperature=temperature, top_k=50) if temperature else dict(do_sample=False)
    with seeded(seed), threads_for(model):
        ids = quick(model).generate(
            inputs,
            attention_mask=mask,
            max_length=max_length,
            num_return_sequences=n if temperature else 1,
            pad_token_id=filler(model, tokenizer),
            eos_token_id=stops(model, tokenizer) or None,
            stopping_criteria=[_GiveUp(tokenizer, hopeless)] if hopeless else None,
            **sampling,
        )
    each = len(ids) // len(prompts)
    texts = [prompts[i // each] + continuation(tokenizer, row, length) for i, row in enumerate(ids)]
    return texts if temperature else [text for text in texts for _ in range(n)]


class _GiveUp(StoppingCriteria):
    """Ends the samples whose text so far is hopeless; looks at every 16th token, since decoding takes time."""

    def __init__(self, tokenizer, hopeless):
        self.tokenizer, self.hopeless = tokenizer, hopeless

    def __call__(self, ids, scores, **options):
        texts = (
            self.tokenizer.batch_decode(ids, skip_special_tokens=True) if ids.shape[1] % 16 == 0 else [""] * len(ids)
        )
        return torch.tensor([bool(text) and self.hopeless(text) for text in texts], device=ids.device)


@torch.no_grad()
def stream_text(model, tokenizer, prompt, max_length, seed=32, greedy=False):
    """Yield the text so far after each token; the last is what generate_text gives with the same seed.

    greedy: take the likeliest token each time instead of drawing one, as generate_text does at temperature 0.
    """
    ids = new = torch.tensor([encode(tokenizer, prompt)], device=model.device)
    given, ends = ids.shape[1], stops(model, tokenizer)
    if ids.shape[1] >= max_length:
        raise ValueError(f"The prompt has {ids.shape[1]} tokens: max_length must be larger, not {max_length}.")
    dice, cache = torch.Generator(model.device).manual_seed(seed), None
    while ids.shape[1] < max_length:
        with threads_for(model):
            output = model(new, past_key_values=cache, use_cache=True)
        cache, scores = output.past_key_values, output.logits[:, -1].float()
        likely = scores.masked_fill(scores < scores.topk(50).values[:, -1:], -torch.inf)
        new = scores.argmax(-1, True) if greedy else torch.multinomial(likely.softmax(-1), 1, generator=dice)
        ids = torch.cat([ids, new], dim=1)
        yield prompt + continuation(tokenizer, ids[0], given)
        if new.item() in ends:
            return


@torch.no_grad()
def next_tokens(model, tokenizer, prompt):
    """Probabilities of every token after a prompt, on the CPU."""
    ids = torch.tensor([encode(tokenizer, prompt)], device=model.device)
    with threads_for(model):
        return model(ids).logits[0, -1].float().softmax(-1).cpu()


# How many tokens a model can see, in the words of transformers' configurations: most of them map theirs to the first
# (GPT-2's n_positions, RWKV's context_length), MPT and Whisper do not.
CONTEXT = ("max_position_embeddings", "max_seq_len", "max_target_positions")


def positions(model):
    """How many tokens the model can see at once; 1024 where its configuration has no limit (Mamba, Bloom)."""
    text = getattr(model.config, "get_text_config", lambda: model.config)()
    return next((getattr(text, name) for name in CONTEXT if getattr(text, name, None)), 1024)
