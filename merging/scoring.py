"""How well a model predicts held-out text, and how much of what it writes is valid."""

import ast
import math
import re
import warnings
from numbers import Real

import torch
import yaml

from merging.loading import ROOT
from merging.text import BEER_PROMPT, generate_texts, positions, quick

RECIPE_KEYS = (
    "style",
    "batch_size",
    "efficiency",
    "boil_size",
    "boil_time",
    "fermentables",
    "hops",
    "yeasts",
    "primary_temp",
    "mash_steps",
    "miscs",
)


def heldout_texts():
    """The texts that no model was trained on: "code", "beer" and "english", each a list of documents."""
    folder = ROOT / "models" / "heldout"
    return {
        path.stem: path.read_text(encoding="utf-8").strip("\n").split("\n\n\n")
        for path in (folder / "code.txt", folder / "beer.txt", folder / "english.txt")
    }


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
    windows = [
        window for document in documents for window in text_windows(document, tokenizer, min(positions(model), 1024))
    ]
    windows.sort(key=lambda window: len(window[0]))
    nats, model = 0.0, quick(model)
    while windows:
        rows = max(1, 1024 // len(windows[-1][0]))  # small batches stay in the processor's cache
        nats += sum(window_nats(model, windows[-rows:]))
        del windows[-rows:]
    return nats / math.log(2) / n_bytes


def text_windows(document, tokenizer, context):
    """(tokens, number of tokens at the end to score) pairs that cover a document."""
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if start is None:
        raise ValueError(
            "The tokenizer has neither a bos nor an eos token: there is nothing to predict the first token from."
        )
    ids = [start] + tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
    windows, scored = [], 1
    while scored < len(ids):
        start = 0 if scored == 1 else scored - context // 2
        end = min(start + context, len(ids))
        windows.append((ids[start:end], end - scored))
        scored = end
    return windows


@torch.no_grad()
def window_nats(model, windows):
    """Negative log-likelihood in nats of each window's scored tokens; the windows are padded on the right."""
    length = max(len(ids) for ids, _ in windows)
    inputs = torch.zeros(len(windows), length, dtype=torch.long)
    targets = torch.full((len(windows), length), -100)
    for row, (ids, n) in enumerate(windows):
        inputs[row, : len(ids)] = torch.tensor(ids)
        targets[row, len(ids) - n : len(ids)] = inputs[row, len(ids) - n : len(ids)]
    logits = model(input_ids=inputs[:, :-1].to(model.device), use_cache=False).logits.float()
    nats = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets[:, 1:].to(model.device).flatten(), reduction="none"
    )
    return nats.view(len(windows), -1).sum(1).tolist()


def excerpts(texts, tokenizer, tokens=48):
    """The first tokens of two documents of each text: short enough to be scored at every move of a slider."""
    head = lambda document: tokenizer.decode(tokenizer(document)["input_ids"][: tokens // 2])
    return {kind: [head(document) for document in documents[:2]] for kind, documents in texts.items()}


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
        nats = iter(window_nats(model, windows))
        return {
            kind: sum(next(nats) for _ in documents) / math.log(2) / n_bytes[kind] for kind, documents in texts.items()
        }

    return score


def gain_kept(base, specialist, merged):
    """Share of a specialist's gain over base that a merge keeps, from their bits per byte: 1 is all of it, 0 none.

    Raises ValueError if base and specialist score the same.
    """
    if base == specialist:
        raise ValueError(f"base and specialist both score {base}: there is no gain of which a share could be kept.")
    return (base - merged) / (base - specialist)


def is_function(code):
    """True if everything up to the last complete statement parses and defines a function that does something.

    The last top-level statement may be cut off, as it is when a sample ends at max_length.
    """
    lines = code.rstrip().split("\n")
    for end in [len(lines)] + [i for i in range(len(lines) - 1, 0, -1) if lines[i][:1].strip()][:1]:
        try:
            with warnings.catch_warnings(action="ignore"):  # sampled code provokes Python's own warnings
                tree = ast.parse("\n".join(lines[:end]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return any(
            isinstance(node, ast.FunctionDef) and any(map(_does_something, node.body)) for node in ast.walk(tree)
        )
    return False


def _does_something(statement):
    return not (
        isinstance(statement, ast.Pass) or isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def is_recipe(text):
    """True if the text is YAML with exactly the article's keys, each once, and numbers that a brewer could use."""
    try:
        recipe = yaml.safe_load(text)
    except Exception:  # sampled text finds more ways to fail than YAMLError: dates like 2001-99-99, deep nesting
        return False
    top_level = re.findall(r"^(\w+):", text, flags=re.MULTILINE)
    if not isinstance(recipe, dict) or sorted(top_level) != sorted(RECIPE_KEYS) or set(recipe) != set(RECIPE_KEYS):
        return False
    return (
        _in_range(recipe["batch_size"], 1, 2000)
        and _in_range(recipe["efficiency"], 1, 100)
        and _in_range(recipe["boil_size"], 1, 2000)
        and _in_range(recipe["boil_time"], 0, 600)
        and _items(recipe["fermentables"], 0, 500)
        and _items(recipe["hops"], 0, 10)
    )


def cannot_be_recipe(text):
    """True if no continuation of the text can pass is_recipe: its finished lines have a wrong key or a YAML error.

    An error in the last finished line may be one that the next lines mend (an open quote), and does not count.
    """
    lines = text[: text.rfind("\n") + 1]
    keys = re.findall(r"^(\w+):", lines, flags=re.MULTILINE)
    if len(keys) > len(set(keys)) or not set(keys) <= set(RECIPE_KEYS):
        return True
    try:
        yaml.load(lines, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        return error.problem_mark is not None and error.problem_mark.line < lines.count("\n") - 1
    except Exception:  # see is_recipe
        pass
    return False


def _in_range(value, low, high):
    return isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high


def _items(items, low, high):
    """True for a list of at least one map, each with a name and an amount within bounds."""
    return (
        isinstance(items, list)
        and len(items) > 0
        and all(
            isinstance(item, dict) and isinstance(item.get("name"), str) and _in_range(item.get("amount"), low, high)
            for item in items
        )
    )


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
    prompts = [f"Write a Python function to {task}:" for task in tasks]
    texts = generate_texts(model, tokenizer, prompts, n, max_length=200, seed=seed)
    return [(tasks[i // n], text[len(prompts[i // n]) :]) for i, text in enumerate(texts)]


def sample_recipes(model, tokenizer, n, seed=32):
    """n sampled recipes after the article's prompt, in one batch; what cannot become a recipe any more is given up."""
    return generate_texts(model, tokenizer, BEER_PROMPT, n, max_length=500, seed=seed, hopeless=cannot_be_recipe)
