"""Texts sampled after the series' prompts, in one batch, and the share of them that is valid."""

from merging.measure.text import BEER_PROMPT, generate_texts, prompt_of
from merging.measure.valid import cannot_be_recipe, is_function


def valid_share(model, tokenizer, prompts, n, check, seed=32):
    """Share of n samples for each prompt that pass check: is_function (without the prompt) or is_recipe (with it).

    Functions may take 200 tokens, which is several times what they need, recipes 500; a recipe that cannot become
    one any more is given up, which saves time and changes no verdict.
    """
    limits = dict(max_length=200) if check is is_function else dict(max_length=500, hopeless=cannot_be_recipe)
    passed = 0
    for i, prompt in enumerate(prompts):
        for text in generate_texts(model, tokenizer, prompt, n, seed=seed + i, **limits):
            passed += check(text[len(prompt) :] if check is is_function else text)
    return passed / (n * len(prompts))


def sample_functions(model, tokenizer, tasks, n, seed=32):
    """n sampled functions for each task, as (task, code) pairs; all in one batch, of at most 200 tokens each."""
    prompts = [prompt_of(task) for task in tasks]
    texts = generate_texts(model, tokenizer, prompts, n, max_length=200, seed=seed)
    return [(tasks[i // n], text[len(prompts[i // n]) :]) for i, text in enumerate(texts)]


def sample_recipes(model, tokenizer, n, seed=32):
    """n sampled recipes after the article's prompt, in one batch; what cannot become a recipe any more is given up."""
    return generate_texts(model, tokenizer, BEER_PROMPT, n, max_length=500, seed=seed, hopeless=cannot_be_recipe)
