"""What two or more notebooks of the series share, in the order of the story: models, text, measuring, merging, pictures.

alpha is always the share of the first model. Figures, formulas and names follow the linear averages of
"Model soups" (Wortsman et al. 2022, arXiv 2203.05482).
"""

import ast
import base64
import copy
import functools
import io
import itertools
import math
import os
import re
import warnings
import weakref
from contextlib import contextmanager
from numbers import Real
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

# A repository that holds only a .bin would otherwise make transformers ask a conversion service in the background,
# and may download a second copy of the weights.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

import torch
import transformers
import yaml
from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import logging as hub_logging
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, StoppingCriteria

ROOT = Path(__file__).resolve().parent
BLOCK = 1 << 20  # numbers averaged at a time where several models are read: 4 megabytes in float32
FAMILIES = {
    "tiny": {label: ROOT / "models" / label for label in ("base", "clippy", "beer")},
    "gpt-neo-125m": {
        "base": "EleutherAI/gpt-neo-125M",
        "clippy": "flax-community/gpt-neo-125M-code-clippy-dedup-2048",
        "beer": "b3ck1/gpt-neo-125M-finetuned-beer-recipes",
    },
}
CODE_PROMPT = "Write a Python function to greet the user by name:"
BEER_PROMPT = "style: Scottish Ale\nbatch_size: 20\nefficiency: 75\nboil_size:"
RECIPE_KEYS = ("style", "batch_size", "efficiency", "boil_size", "boil_time", "fermentables", "hops", "yeasts",
               "primary_temp", "mash_steps", "miscs")
# Okabe-Ito colours, one for each model in the whole series, with a second cue for eyes that mix them up.
# first and second are the reader's own models in 08.
COLOURS = {"base": "#000000", "clippy": "#0072B2", "beer": "#E69F00", "merged": "#009E73", "first": "#56B4E9", "second": "#CC79A7"}
MARKERS = {"base": "o", "clippy": "s", "beer": "^", "merged": "D", "first": "s", "second": "^"}
HATCHES = {"base": "", "clippy": "//", "beer": "..", "merged": "xx"}


class LoadError(OSError):
    """A model could not be loaded; the message says which, why, and the way out."""


class MergeError(ValueError):
    """Models, weights or a selection that cannot be merged; the message names the tensor and the remedy."""


class LoadedModel(NamedTuple):
    """A causal language model in eval mode and float32, with its tokenizer."""

    model: torch.nn.Module
    tokenizer: object


# --- models -----------------------------------------------------------------------------------------------------

def get_device():
    """The best device there is: "cuda", else "mps", else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load_models(family=None, device=None, align=True):
    """Load a family of models as label -> LoadedModel(model, tokenizer), in eval mode and float32.

    family: "tiny", "gpt-neo-125m", a dict of label -> Hub id or folder, or None for the environment variable
    MODEL_FAMILY (default "tiny"). align=True cuts every embedding to the rows that all models have, so that they
    can be merged; align=False leaves the models as they are. Raises LoadError (missing folder, unknown family or
    id, Hub out of reach) and MergeError (tokenizers that disagree).
    """
    family = family or os.environ.get("MODEL_FAMILY") or "tiny"
    sources = family if isinstance(family, dict) else FAMILIES[check_family(family)]
    loaded = {label: _load(label, find_folder(label, source), device or get_device())
              for label, source in sources.items()}
    return align_vocabularies(loaded) if align else loaded


def check_family(name):
    """The name of a family, or LoadError."""
    if name not in FAMILIES:
        raise LoadError(f"Unknown model family {name!r}: choose one of {', '.join(FAMILIES)}, "
                        "or give a dict of label -> Hub id or folder.")
    return name


def find_folder(label, source, weights=True):
    """The local folder of a checkpoint: a folder itself, or a Hub id looked up in the cache and then downloaded.

    weights=False: of a Hub id, config and tokenizer are enough.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    is_hub_id = isinstance(source, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) and source[0] not in ".~"
    if not is_hub_id:
        raise LoadError(f"Model {label!r}: there is no folder {source}. Check the path, or run `make models` if it "
                        "is one of the embedded trio.")
    return _cached(source, weights) or _download(label, source, weights)


def _cached(hub_id, weights):
    """The cached snapshot of a Hub id if it is complete, with or without weights, else None."""
    # snapshot_download(local_files_only=True) would be wrong: huggingface_hub 2.4 refuses a snapshot that lacks
    # any file of the repository, also those that _download leaves out.
    try:
        config = try_to_load_from_cache(hub_id, "config.json")
    except ValueError:  # not a name that the Hub allows
        return None
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    names = {path.name for path in folder.iterdir()}
    complete = not weights or any(name.endswith(".safetensors") or name == "pytorch_model.bin" for name in names)
    for index in folder.glob("*.index.json") if weights else ():
        shards = set(re.findall(r'"([^"]+\.(?:safetensors|bin))"', index.read_text()))
        complete = complete and shards <= names
    tokenizer = names & {"tokenizer.json", "tokenizer.model"} or {"vocab.json", "merges.txt"} <= names
    return folder if complete and tokenizer else None


def _download(label, hub_id, weights):
    """Ask the Hub for at most 4 seconds whether the model is there, then download what is needed."""
    way_out = "Without a network, the series runs on the embedded models: MODEL_FAMILY=tiny."
    gated = LoadError(f"Model {label!r}: the authors of {hub_id} ask for your consent first. Give it on the model's page on the "
                      "Hub, and log in here with `hf auth login`.")
    if constants.HF_HUB_OFFLINE:
        raise LoadError(f"Model {label!r} ({hub_id}) is not in the cache and HF_HUB_OFFLINE is set. {way_out}")
    try:
        files = [sibling.rfilename for sibling in HfApi().model_info(hub_id, timeout=4).siblings]
    except GatedRepoError:
        raise gated from None
    except RepositoryNotFoundError:
        raise LoadError(f"Model {label!r}: the Hub knows no public model {hub_id!r}, and there is no such folder. "
                        f"Check the spelling. {way_out}") from None
    except Exception as error:
        raise LoadError(f"Model {label!r} ({hub_id}) is not in the cache and the Hub cannot be reached "
                        f"({type(error).__name__}). {way_out}") from None
    kind = "*.safetensors" if any("/" not in f and f.endswith(".safetensors") for f in files) else "pytorch_model*.bin"
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # it reports every retry; what counts is how the download ends
    try:
        return Path(snapshot_download(hub_id, ignore_patterns=["*/*", "consolidated*"], allow_patterns=[
            "*.json", "*.jinja", "merges.txt", "tokenizer.model", *([kind] if weights else [])]))
    except GatedRepoError:
        raise gated from None
    except Exception as error:
        raise LoadError(f"Model {label!r}: the download of {hub_id} broke off ({type(error).__name__}). Run this "
                        f"again: complete files are kept. {way_out}") from None
    finally:
        hub_logging.set_verbosity(level)


def _load(label, folder, device):
    """Read a folder; refuse weights that are incomplete instead of filling them with random numbers."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # the mask buffers of old .bin files are reported, and harmless
    transformers.logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder)
        _forget_sampling(config)
        model, info = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32,
                                                           output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise LoadError(f"Model {label!r}: {folder} is no checkpoint that transformers can load: {reason}") from None
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()
    missing = sorted(info["missing_keys"])
    if missing:
        raise LoadError(f"Model {label!r}: {folder} lacks {len(missing)} tensors, {missing[0]} among them. The "
                        "checkpoint is incomplete; download it again.")
    model.generation_config = GenerationConfig(bos_token_id=tokenizer.bos_token_id,
                                               eos_token_id=tokenizer.eos_token_id,
                                               pad_token_id=tokenizer.eos_token_id)
    return LoadedModel(model.eval().to(device), tokenizer)


def _forget_sampling(config):
    """Reset sampling settings that hide in a config (beer's typical_p): they would change the samples of one model only."""
    for name in ("do_sample", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty"):
        if hasattr(config, name):
            setattr(config, name, getattr(GenerationConfig(), name))


def align_vocabularies(loaded):
    """Cut every embedding to the rows that all models have; a tokenizer that knows more gives way to one that does not."""
    rows = {label: model.get_input_embeddings().num_embeddings for label, (model, _) in loaded.items()}
    common = min(rows.values())
    first = min(rows, key=rows.get)
    words = {word: i for word, i in loaded[first].tokenizer.get_vocab().items() if i < common}
    for label, (model, tokenizer) in loaded.items():
        if {word: i for word, i in tokenizer.get_vocab().items() if i < common} != words:
            raise MergeError(f"The tokenizers of {first!r} and {label!r} give the same words different numbers: row "
                             "for row, averaging would mix unrelated words. Merge models that share a tokenizer.")
        if rows[label] != common:
            model.resize_token_embeddings(common)
        if len(tokenizer) > common:
            loaded = loaded | {label: LoadedModel(model, loaded[first].tokenizer)}
    return loaded


# --- text -------------------------------------------------------------------------------------------------------

def generate_text(model, tokenizer, prompt, device=None, temperature=1.0, max_length=500, seed=None):
    """Sample a continuation and return prompt and continuation as one string (the article's function).

    max_length counts tokens, the prompt's included. temperature 0 takes the most likely token each time; otherwise
    one of the 50 most likely is drawn. seed=None goes on with torch's random state, a number (the article uses 32)
    gives the same text again on the same machine. Raises ValueError if prompt or length do not fit the model.
    """
    return generate_texts(model, tokenizer, prompt, 1, device, temperature, max_length, seed)[0]


def generate_texts(model, tokenizer, prompt, n, device=None, temperature=1.0, max_length=500, seed=None, hopeless=None):
    """Like generate_text, n samples at once: a list of n strings.

    hopeless: a function of the text so far that is true if the rest is not worth waiting for; it must stay true.
    """
    inputs = tokenizer(prompt or tokenizer.bos_token or tokenizer.eos_token, return_tensors="pt", verbose=False).to(device or model.device)
    length, limit = inputs["input_ids"].shape[1], positions(model)
    if not length < max_length <= limit:
        raise ValueError(f"The prompt has {length} tokens and max_length is {max_length}: max_length must be larger "
                         f"than the prompt and at most {limit}, the positions of this model.")
    if temperature < 0 or not math.isfinite(temperature):
        raise ValueError(f"temperature must be 0 or a positive number, not {temperature}.")
    sampling = dict(do_sample=True, temperature=temperature, top_k=50) if temperature else dict(do_sample=False)
    with torch.random.fork_rng(enabled=seed is not None), threads_for(model):
        if seed is not None:
            torch.manual_seed(seed)
        ids = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_length=max_length,
                             num_return_sequences=n if temperature else 1, pad_token_id=tokenizer.eos_token_id,
                             stopping_criteria=[_GiveUp(tokenizer, hopeless)] if hopeless else None, **sampling)
    return tokenizer.batch_decode(ids, skip_special_tokens=True) * (1 if temperature else n)


class _GiveUp(StoppingCriteria):
    """Ends the samples whose text so far is hopeless; looks at every 16th token, since decoding takes time."""

    def __init__(self, tokenizer, hopeless):
        self.tokenizer, self.hopeless = tokenizer, hopeless

    def __call__(self, ids, scores, **options):
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True) if ids.shape[1] % 16 == 0 else [""] * len(ids)
        return torch.tensor([bool(text) and self.hopeless(text) for text in texts], device=ids.device)


def threads_for(model):
    """One CPU thread for a tiny model: on matrices this small, sharing the work costs more than it saves (2.5 times)."""
    tiny = model.device.type == "cpu" and sum(p.numel() for p in model.parameters()) < 10e6
    return use_threads(1 if tiny else torch.get_num_threads())


@contextmanager
def use_threads(n):
    """Let torch use n CPU threads inside of a with block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def positions(model):
    """How many tokens the model can see at once."""
    return getattr(model.config, "max_position_embeddings", None) or 1024


# --- measuring --------------------------------------------------------------------------------------------------

def heldout_texts():
    """The texts that no model was trained on: "code", "beer" and "english", each a list of documents."""
    folder = ROOT / "models" / "heldout"
    return {path.stem: path.read_text(encoding="utf-8").strip("\n").split("\n\n\n")
            for path in (folder / "code.txt", folder / "beer.txt", folder / "english.txt")}


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
    windows = [window for document in documents for window in text_windows(document, tokenizer, min(positions(model), 1024))]
    windows.sort(key=lambda window: len(window[0]))
    nats = 0.0
    while windows:
        rows = max(1, 1024 // len(windows[-1][0]))  # small batches stay in the processor's cache
        nats += sum(window_nats(model, windows[-rows:]))
        del windows[-rows:]
    return nats / math.log(2) / n_bytes


def text_windows(document, tokenizer, context):
    """(tokens, number of tokens at the end to score) pairs that cover a document."""
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if start is None:
        raise ValueError("The tokenizer has neither a bos nor an eos token: there is nothing to predict the first token from.")
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
    """Negative log-likelihood in nats of each window's scored tokens; the windows are padded on the right to one batch."""
    length = max(len(ids) for ids, _ in windows)
    inputs = torch.zeros(len(windows), length, dtype=torch.long)
    targets = torch.full((len(windows), length), -100)
    for row, (ids, n) in enumerate(windows):
        inputs[row, :len(ids)] = torch.tensor(ids)
        targets[row, len(ids) - n:len(ids)] = inputs[row, len(ids) - n:len(ids)]
    logits = model(input_ids=inputs[:, :-1].to(model.device), use_cache=False).logits.float()
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, 1:].to(model.device).flatten(),
                                             reduction="none")
    return nats.view(len(windows), -1).sum(1).tolist()


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
        return any(isinstance(node, ast.FunctionDef) and any(map(_does_something, node.body)) for node in ast.walk(tree))
    return False


def _does_something(statement):
    return not (isinstance(statement, ast.Pass)
                or isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def is_recipe(text):
    """True if the text is YAML with exactly the article's keys, each once, and numbers that a brewer could use."""
    try:
        recipe = yaml.safe_load(text)
    except Exception:  # sampled text finds more ways to fail than YAMLError: dates like 2001-99-99, deep nesting
        return False
    top_level = re.findall(r"^(\w+):", text, flags=re.MULTILINE)
    if not isinstance(recipe, dict) or sorted(top_level) != sorted(RECIPE_KEYS) or set(recipe) != set(RECIPE_KEYS):
        return False
    return (_in_range(recipe["batch_size"], 1, 2000) and _in_range(recipe["efficiency"], 1, 100)
            and _in_range(recipe["boil_size"], 1, 2000) and _in_range(recipe["boil_time"], 0, 600)
            and _items(recipe["fermentables"], 0, 500) and _items(recipe["hops"], 0, 10))


def cannot_be_recipe(text):
    """True if no continuation of the text can pass is_recipe: its finished lines have a wrong key or a YAML error.

    An error in the last finished line may be one that the next lines mend (an open quote), and does not count.
    """
    lines = text[:text.rfind("\n") + 1]
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
    return (isinstance(items, list) and len(items) > 0
            and all(isinstance(item, dict) and isinstance(item.get("name"), str)
                    and _in_range(item.get("amount"), low, high) for item in items))


def valid_share(model, tokenizer, prompts, n, check, seed=32):
    """Share of n samples for each prompt whose text passes check: is_function (without the prompt) or is_recipe (with it).

    Functions may take 200 tokens, which is several times what they need, recipes 500; a recipe that cannot become
    one any more is given up, which saves time and changes no verdict.
    """
    limits = dict(max_length=200) if check is is_function else dict(max_length=500, hopeless=cannot_be_recipe)
    passed = 0
    for i, prompt in enumerate(prompts):
        for text in generate_texts(model, tokenizer, prompt, n, seed=seed + i, **limits):
            passed += check(text[len(prompt):] if check is is_function else text)
    return passed / (n * len(prompts))


# --- merging ----------------------------------------------------------------------------------------------------

def merge_models(model1, model2, alpha=0.5, out=None):
    """theta = alpha * theta1 + (1 - alpha) * theta2 over all tensors: alpha is the share of the first model.

    Returns a new model, or writes into `out`, a third model of the same architecture. The parents never change.
    alpha = 1 is model1 bit for bit, alpha = 0 is model2. Raises MergeError. Source: arXiv 2203.05482.
    """
    alpha = check_alpha(alpha)
    return _combine([model1, model2], [alpha, 1 - alpha], out=out)


def merge_models_select(model1, model2, merge_attn=True, merge_mlp=True, alpha=0.5, out=None):
    """Merge only the attention and/or feed-forward tensors of the blocks; all others stay model1's.

    alpha is the share of the first model. Raises MergeError, also when the selection matches no tensor.
    """
    wanted = {kind for kind, on in (("attention", merge_attn), ("feed-forward", merge_mlp)) if on}
    names = [name for name in merge_tensors(model1) if tensor_kind(name)[0] in wanted]
    return merge_selected(model1, model2, names, alpha, out)


def merge_selected(model1, model2, names, alpha=0.5, out=None):
    """Merge only the named tensors (names as in merge_tensors); all others stay model1's."""
    alpha = check_alpha(alpha)
    names = set(names)
    unknown = sorted(names - set(merge_tensors(model1)))
    if unknown:
        raise MergeError(f"The selection names {unknown[0]}, which {_title(model1)} does not have. Names are those "
                         "of merge_tensors(model), for example " + next(iter(merge_tensors(model1))) + ".")
    if not names:
        raise MergeError("The selection matches no tensor, so nothing would be merged. Select at least one of the "
                         "names in merge_tensors(model).")
    return _combine([model1, model2], [alpha, 1 - alpha], names, out)


def average_models(models, weights=None, out=None):
    """Weighted average of N models, sum of weights[i] * theta_i; weights sum to 1, None means 1/N each (a uniform soup).

    Raises MergeError. Source: arXiv 2203.05482.
    """
    models = list(models)
    weights = [1 / len(models)] * len(models) if weights is None and models else weights
    return _combine(models, weights, out=out)


def merge_tree(tree, models):
    """Merge the models (label -> model or LoadedModel) as a tree says, through its flat weights.

    tree: a label, or (left, right, alpha) with alpha the share of left. Raises MergeError.
    """
    weights = flat_weights(tree)
    unknown = sorted(set(weights) - set(models))
    if unknown:
        raise MergeError(f"The tree names {unknown[0]!r}, but the models are {', '.join(map(repr, models))}.")
    chosen = [models[label] for label in weights]
    return average_models([m.model if isinstance(m, LoadedModel) else m for m in chosen], list(weights.values()))


def flat_weights(tree):
    """The weight of each label in the flat average that a tree of merges equals; a label's shares multiply on its path."""
    if isinstance(tree, str):
        return {tree: 1.0}
    if not isinstance(tree, (tuple, list)) or len(tree) != 3:
        raise MergeError(f"A tree is a label or (left, right, alpha), not {tree!r}.")
    left, right, alpha = tree
    alpha = check_alpha(alpha)
    weights = {label: alpha * weight for label, weight in flat_weights(left).items()}
    for label, weight in flat_weights(right).items():
        weights[label] = weights.get(label, 0.0) + (1 - alpha) * weight
    return weights


def merge_tensors(model):
    """name -> tensor for everything a merge touches: the state dict with each tied tensor once."""
    if not isinstance(model, torch.nn.Module):
        raise MergeError(f"A {type(model).__name__} is not a model. Pass the model itself, for example "
                         'load_models()["base"].model.')
    seen, tensors = set(), {}
    for name, tensor in _walk(model):
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else name
        if place not in seen:
            seen.add(place)
            tensors[name] = tensor.detach()
    return tensors


def _walk(module, prefix=""):
    """(name, tensor) pairs of the state dict, in its order; state_dict() itself takes more than twice as long."""
    own = [(prefix + name, tensor) for tensors in (module._parameters, module._buffers) for name, tensor in tensors.items()
           if tensor is not None and name not in module._non_persistent_buffers_set]
    return own + [pair for name, child in module._modules.items() if child is not None for pair in _walk(child, f"{prefix}{name}.")]


def tensor_kind(name):
    """("attention" | "feed-forward" | "norm" | "embedding" | "other", block number or None) of a tensor's name."""
    parts = name.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    block = int(parts[numbers[0]]) if numbers else None
    inside = parts[numbers[0] + 1] if numbers and numbers[0] + 1 < len(parts) else ""
    if inside in ("attn", "self_attn", "attention", "self_attention"):
        return "attention", block
    if inside in ("mlp", "fc1", "fc2", "feed_forward", "ffn", "block_sparse_moe"):
        return "feed-forward", block
    if any("norm" in part or re.fullmatch(r"ln_\w+", part) for part in parts):
        return "norm", block
    return ("embedding" if re.search(r"wte|wpe|embed|lm_head", name) else "other"), block


def touched(model, names):
    """How much a selection changes, as one sentence: tensors, parameters, per cent."""
    tensors = merge_tensors(model)
    n = sum(tensors[name].numel() for name in names)
    total = sum(tensor.numel() for tensor in tensors.values())
    return f"{len(names)} of {len(tensors)} tensors, {n:,} of {total:,} parameters ({n / total:.1%})"


def check_alpha(alpha):
    """alpha as a float in [0, 1], or MergeError."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not 0 <= alpha <= 1:
        raise MergeError(f"alpha is the share of the first model, a number from 0 to 1, not {alpha!r}. Outside that "
                         "range a merge would extrapolate.")
    return float(alpha)


def check_weights(weights, n):
    """N weights as floats that are finite, not negative and sum to 1, or MergeError."""
    if weights is None or n == 0:
        raise MergeError("There is no model to average: give at least one.")
    weights = list(weights)
    if len(weights) != n:
        raise MergeError(f"{n} models need {n} weights, not {len(weights)}.")
    for weight in weights:
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= weight <= 1:
            raise MergeError(f"Each weight is a number from 0 to 1, not {weight!r}.")
    if abs(sum(weights) - 1) > 1e-6:
        raise MergeError(f"The weights {weights} sum to {sum(weights):.6g}, not 1. Divide each by the sum.")
    return [float(weight) for weight in weights]


def check_mergeable(models, out=None):
    """Raise MergeError unless the models have the same architecture, tensors and shapes, and only finite floats.

    Returns the merge_tensors of each, those of `out`, if there is one to write into, at the end. A set of models is
    checked once: again only when a tensor was replaced or torch has counted a change of it (it does not count what is
    written through .data).
    """
    together = models if out is None else [*models, out]
    tensors = [merge_tensors(model) for model in together]
    sources = tensors[:len(models)]
    state = [_state(each, counted=i < len(models)) for i, each in enumerate(tensors)]
    key = (len(models), *map(weakref.ref, together))
    if _CHECKED.get(key) != state:
        _check_sources(models, sources)
        if out is not None:
            _check_out(out, tensors[-1], models, sources)
        for old in [old for old in _CHECKED if any(model() is None for model in old[1:])]:
            del _CHECKED[old]
        _CHECKED[key] = state
    return tensors


def _check_sources(models, sources):
    first, names = models[0], sources[0]
    for i, (model, tensors) in enumerate(zip(models, sources), 1):
        if i > 1:
            _check_architecture(first, model, i)
            _check_names(names, tensors, i)
        for name, tensor in tensors.items():
            if tensor.shape != names[name].shape:
                raise MergeError(shape_message(name, names[name].shape, tensor.shape, i))
            if tensor.device != names[name].device:
                raise MergeError(f"{name} is on {names[name].device} in model 1 and on {tensor.device} in model {i}. "
                                 "Move the models to one device with model.to(device).")
            if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
                raise MergeError(f"{name} of model {i} holds {tensor.dtype}: integer and quantised tensors cannot be "
                                 "averaged. Load the model unquantised, in float32.")
            check_values(name, tensor, i, names[name].dtype, _largest(model, name, tensor))


_UNCOUNTED = itertools.count(-1, -1)
_CHECKED = {}  # (how many are merged, weak references to them and out) -> the state in which they were checked


def _state(tensors, counted=True):
    """Numbers that tell tensors from replaced or changed ones; counted=False: they may have other values."""
    return [hash((tensor.data_ptr(), tensor.shape, tensor.stride(), _version(tensor) if counted else 0))
            for tensor in tensors.values()]


def _version(tensor):
    """How many changes torch has counted. In inference mode it counts none: there, no tensor is known twice."""
    return next(_UNCOUNTED) if tensor.is_inference() else tensor._version


_LARGEST = weakref.WeakKeyDictionary()  # model -> {name: (which state of the tensor, its largest magnitude)}


def _largest(model, name, tensor):
    """The largest magnitude in a tensor, remembered while the tensor stays as it is."""
    known, state = _LARGEST.setdefault(model, {}), (tensor.data_ptr(), _version(tensor))
    if known.get(name, (None, None))[0] != state:
        known[name] = state, magnitude(tensor)
    return known[name][1]


def magnitude(tensor):
    """The largest absolute value; NaN if there is one."""
    if not tensor.numel():
        return 0.0
    low, high = tensor.aminmax()
    return max(-low.item(), high.item())


def check_values(name, tensor, i, into, largest):
    """Refuse NaN, infinity, and numbers so large that their average could overflow; largest: the tensor's magnitude."""
    if largest <= _limit(tensor.dtype, into):
        return
    if not math.isfinite(largest):
        bad = int((~torch.isfinite(tensor)).sum())
        raise MergeError(f"{name} of model {i} holds {bad} values that are NaN or infinite. The checkpoint is damaged or "
                         "overflowed in half precision; load a sound one.")
    raise MergeError(f"{name} of model {i} holds a value of size {largest:.3g}: merging it into {into} would "
                     "overflow. Load both models in float32, or find out why a weight is that large.")


@functools.cache
def _limit(dtype, into):
    """The largest magnitude that can be averaged in at least float32 and saved in another dtype."""
    return min(torch.finfo(torch.promote_types(dtype, torch.float32)).max / 2, torch.finfo(into).max)


# Settings that change what the same tensors compute, in the words of several architectures.
ARCHITECTURE = ("model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads",
                 "attention_layers", "layer_types", "window_size", "sliding_window", "activation_function", "hidden_act",
                 "rope_theta", "rope_parameters", "tie_word_embeddings")


def _check_architecture(first, model, i):
    if type(first) is not type(model):
        raise MergeError(f"Model 1 is a {_title(first)}, model {i} a {_title(model)}: their tensors mean different "
                         "things. Merge models of one architecture.")
    check_configs(getattr(first, "config", None), getattr(model, "config", None), i)


def config_setting(config, name):
    """A setting of a configuration, or of its part for text where a model also sees pictures; None if there is none."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else None
    return getattr(config, name, getattr(text, name, None))


def check_configs(first, config, i):
    """Raise MergeError if two configurations let the same tensors compute different things."""
    for setting in ARCHITECTURE:
        one, other = config_setting(first, setting), config_setting(config, setting)
        if one != other:
            raise MergeError(f"{setting} is {one} in model 1 and {other} in model {i}: the same tensors would mean "
                             "different things. Merge models that were finetuned from the same base.")


def _check_names(names, tensors, i):
    for here, there, where, lacks in ((names, tensors, 1, i), (tensors, names, i, 1)):
        extra = [name for name in here if name not in there]
        if extra:
            raise MergeError(f"{extra[0]} (shape {tuple(here[extra[0]].shape)}) is in model {where} but not in model "
                             f"{lacks}. Merge models with the same tensors; if it is the output head, one of the "
                             "models has it tied to its embeddings and the other has not.")


def shape_message(name, one, other, i):
    """Why two shapes cannot be averaged, and the way out."""
    message = f"{name} has shape {tuple(one)} in model 1 and {tuple(other)} in model {i}."
    is_vocabulary = tensor_kind(name)[0] == "embedding" and not re.search(r"wpe|position", name)
    if is_vocabulary and one[1:] == other[1:]:
        rows = min(one[0], other[0])
        return (f"{message} The vocabularies differ in size. If the shared rows are the same words, cut the larger: "
                f"model.resize_token_embeddings({rows}), or load both with load_models(..., align=True).")
    return message + " Merge models of the same size."


def _title(model):
    return type(model).__name__


def _check_out(out, targets, models, sources):
    """`out` must be another model of the same shape; writing into a parent would change it."""
    _check_architecture(models[0], out, "`out`")
    tensors = sources[0]
    theirs = {tensor.data_ptr() for source in sources for tensor in source.values() if tensor.numel()}
    if any(tensor.data_ptr() in theirs for tensor in targets.values()):
        raise MergeError("`out` is one of the parents or shares memory with it, and would be overwritten while it is "
                         "read. Pass a model of its own, for example copy.deepcopy(model1).")
    for name in tensors | targets:
        one, other = tensors.get(name), targets.get(name)
        if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
            describe = lambda t: "missing" if t is None else f"{tuple(t.shape)} {t.dtype}"
            raise MergeError(f"`out` does not fit: {name} is {describe(one)} in the models and {describe(other)} in "
                             "`out`. Pass a model of the same architecture and dtype.")


def _combine(models, weights, names=None, out=None):
    """Weighted average of the named tensors (None: all) into `out` or a new model; the others are the first model's."""
    weights = check_weights(weights, len(models))
    if out is None:
        sources, out = check_mergeable(models), copy.deepcopy(models[0]).eval()
        targets = merge_tensors(out)
    else:
        *sources, targets = check_mergeable(models, out)
    only_first = [1.0] + [0.0] * (len(models) - 1)
    for name, target in targets.items():
        average_into(target, [source[name] for source in sources], weights if names is None or name in names else only_first)
    return out


def merge_into(out, models, weights, names=None):
    """Average only the named tensors (None: all) into `out` and leave its others alone, without any check.

    For many merges of one set of models, after one check_mergeable(models): what a slider does at every move.
    """
    for name in merge_tensors(out) if names is None else names:
        tensor = attrgetter(name)  # a walk through the state dicts would take as long as merging a block
        average_into(tensor(out).detach(), [tensor(model).detach() for model in models], weights)
    return out


def average_into(target, tensors, weights):
    """Write the weighted average of detached tensors into one, as a running mean; half precision is averaged in float32.

    After k tensors the mean holds their average with weights w_1..w_k rescaled to 1; torch.lerp is exact at both
    ends and for equal inputs, which makes alpha = 1, alpha = 0 and merge(a, a) exact.
    """
    if not all(weights):
        tensors, weights = zip(*[(tensor, weight) for tensor, weight in zip(tensors, weights) if weight])
    if len(tensors) == 1:
        return target.copy_(tensors[0])
    if len(tensors) > 2 and target.device.type == "cpu" and target.numel() > BLOCK and all(
            tensor.is_contiguous() for tensor in (target, *tensors)):
        for start in range(0, target.numel(), BLOCK):  # a mean that is written and read again stays in the cache
            piece = slice(start, start + BLOCK)
            average_into(target.view(-1)[piece], [tensor.view(-1)[piece] for tensor in tensors], weights)
        return target
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    in_place = target if target.dtype == dtype else None
    wide = lambda tensor: tensor if tensor.dtype == dtype else tensor.to(dtype)
    mean, total = wide(tensors[0]), weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:]):
        total += weight
        mean = torch.lerp(mean, wide(tensor), weight / total, out=in_place)
    return target if mean is target else target.copy_(mean)


# --- pictures ---------------------------------------------------------------------------------------------------

def new_figure(width=8, height=4, columns=1, **options):
    """A matplotlib figure and its axes, sized for a projector."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, **options)
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=11)
    return figure, axes


def figure_png(figure):
    """A figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def show_figure(figure, alt):
    """Show a figure as PNG with its alt text, which is also what a reader without pictures gets."""
    show_png(figure_png(figure), alt)


def show_picture(name, alt):
    """Show a drawn figure of images/, also where links to files lead nowhere, as in Colab."""
    show_png((ROOT / "images" / name).read_bytes(), alt, width=900)


def show_png(png, alt, **options):
    """Show the bytes of a PNG with its alt text; options: width in pixels."""
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt} | options})


def show_table(header, rows):
    """Show rows as a Markdown table: first column left, numbers (floats to three digits) right."""
    cell = lambda value: f"{value:.3f}" if isinstance(value, float) else str(value)
    lines = [list(map(str, header)), [":--"] + ["--:"] * (len(header) - 1)] + [list(map(cell, row)) for row in rows]
    display(Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines)))


def bar_chart(ax, groups, series, label):
    """Grouped bars: groups of names on the x axis, series of name -> one value per group, each with its number."""
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        at = [g - 0.4 + (i + 0.5) * width for g in range(len(groups))]
        colour = COLOURS.get(name, COLOURS["merged"])
        bars = ax.bar(at, values, width * 0.92, color=colour, label=name, hatch=HATCHES.get(name, "xx"), edgecolor="white")
        ax.bar_label(bars, fmt="%.2f", fontsize=10, padding=2)
    ax.set_xticks(range(len(groups)), groups, fontsize=12)
    ax.set_ylabel(label, fontsize=12)
    ax.legend(frameon=False, fontsize=11, ncols=len(series), loc="upper center", bbox_to_anchor=(0.5, 1.14))
