"""LoRA adapters: a small correction to a base becomes a model of its own, by adding it to the base's weights.

An adapter holds two thin matrices A (rank, in) and B (out, rank) for each matrix W (out, in) that it corrects; merged,
the model computes with W + scale * B A. Source: LoRA (Hu et al. 2021, arXiv 2106.09685); file format: peft.
"""

import copy
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

from merging.checks import is_number
from merging.errors import LoadError, enough_memory
from merging.load.files import SMALL, check_own, has_tokenizer, read_config, read_object, reason
from merging.load.kinds import CONFIG, is_adapter, types_in
from merging.load.limits import bin_tensors, first_match
from merging.load.memory import does_not_fit
from merging.load.reading import is_quantised

__all__ = ["is_adapter"]  # which notebook 11 asks for
START, END = "base_model.model.", ".lora_A.weight"  # around the name of a module in an adapter's file

# How the names in a plain adapter end; of a corrected output layer peft saves what it corrects, too.
PLAIN = (".lora_A.weight", ".lora_B.weight", ".base_layer.weight")

# Settings of an adapter that is more than B A added to some matrices, and what each means.
MORE = {
    "use_dora": "DoRA",
    "modules_to_save": "whole modules of its own",
    "trainable_token_indices": "trained rows of the embedding",
    "lora_bias": "biases",
    "target_parameters": "corrections of single parameters",
    "layer_replication": "repeated layers",
    "use_qalora": "QALoRA",
    "alora_invocation_tokens": "a correction that begins at certain tokens",
}


def adapter_config(label, folder):
    """The settings of a LoRA adapter as a dict. Raises LoadError if they are damaged or of another kind of adapter."""
    try:
        check_own(Path(folder))
        config = read_object(Path(folder) / CONFIG, SMALL)
    except LoadError as error:
        raise LoadError(f"Model {label!r}: {error}") from None
    if (kind := config.get("peft_type")) != "LORA":
        raise LoadError(
            f"Model {label!r}: {folder} is an adapter of the kind {kind}, and only LoRA adapters (peft_type LORA) can "
            "be added to a base's weights here."
        )
    return config


def check_plain(label, folder):
    """Raise LoadError for an adapter that is more than plain LoRA, from its settings and, if there, its file."""
    config = adapter_config(label, folder)
    found = [words for setting, words in MORE.items() if config.get(setting)]
    found += ["biases"] if config.get("bias", "none") != "none" else []
    found += sorted(n for n in types_in([Path(folder) / "adapter_model.safetensors"]) if not n.endswith(PLAIN))
    if found:
        raise LoadError(
            f"Model {label!r}: {folder} holds {found[0]}: beyond plain LoRA on linear layers. Let peft add it and save "
            f"the whole model: peft.AutoPeftModelForCausalLM.from_pretrained({str(folder)!r}).merge_and_unload()"
            ".save_pretrained('whole'). Copy the tokenizer's files into the folder whole, and give that."
        )


def base_of(label, folder):
    """The folder or Hub id of the base that an adapter names. Raises LoadError."""
    base = adapter_config(label, folder).get("base_model_name_or_path")
    beside = f"Give the base beside it: load_models({{'base': ..., {label!r}: ...}})."
    if not isinstance(base, str) or not base:
        raise LoadError(f"Model {label!r}: {folder} is an adapter that does not name its base. {beside}")
    if not Path(base).exists() and (not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", base) or base[0] == "."):
        raise LoadError(
            f"Model {label!r}: the adapter {folder} names its base by a path of the machine that it was trained on, "
            f"{base}, and that is not here. {beside}"
        )
    return base


def check_base(label, folder, base):
    """Raise LoadError if the base that an adapter names is quantised; base: its folder."""
    if is_quantised(f"base of {label}", base, read_config(base)):
        raise LoadError(
            f"Model {label!r}: {folder} is an adapter, and the base that it names, {base_of(label, folder)}, is "
            f"quantised: nothing can be added to its codes. Give the base's release in bfloat16 or float32 beside it: "
            f"load_models({{'base': ..., {label!r}: ...}})."
        )


def tokenizer_folder(folder, base):
    """Where the tokenizer of an adapter is: in its own folder if that has one, else in the base's."""
    return Path(folder) if has_tokenizer({file.name for file in Path(folder).iterdir()}) else Path(base)


def with_template(tokenizer, folder):
    """The tokenizer of an adapter's base, with the chat template that lies beside the adapter, if one does."""
    file, settings = Path(folder) / "chat_template.jinja", Path(folder) / "tokenizer_config.json"
    template = read_object(settings, SMALL).get("chat_template") if settings.is_file() else None
    template = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else template
    if isinstance(template, str):
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.chat_template = template
    return tokenizer


def head_name(model):
    """The name of a model's output layer if that is its embedding, else None."""
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight.data_ptr() != table.weight.data_ptr():
        return None
    return next(name for name, module in model.named_modules(remove_duplicate=False) if module is head)


def untie(model):
    """Give a tied model, in place, an output layer of its own with the embedding's numbers: it computes the same."""
    name, head = head_name(model), model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), head.weight.requires_grad)
    model.config.tie_word_embeddings = model.config.get_text_config().tie_word_embeddings = False
    ties = model.all_tied_weights_keys.items()
    model.all_tied_weights_keys = {a: b for a, b in ties if f"{name}.weight" not in (a, b)}
    return model


def untie_all(loaded):
    """Where an adapter has untied its model, untie the others in place, so that they can be merged."""
    if any(model.origin.untied for model, _ in loaded.values()):
        for label, (model, _) in loaded.items():
            if head_name(model) is not None:
                untie(model)
                print(f"{label}: gets an output layer of its own, too, with the numbers of its embedding.")


def corrected(tensors):
    """name of a module -> the first matrix, A, of an adapter's correction to it."""
    return {name.removesuffix(END).removeprefix(START): A for name, A in tensors.items() if name.endswith(END)}


def merge_adapter(label, folder, base):
    """A copy of the base model with scale * B A of the adapter added to its weights. Raises LoadError before that."""
    check_plain(label, folder)
    config, tensors = adapter_config(label, folder), adapter_tensors(label, folder)
    check_adapter(label, folder, tensors, base)
    factors = scales(label, folder, config, tensors)
    with enough_memory(LoadError, does_not_fit(label, base.device)), torch.no_grad():
        own = copy.deepcopy(base)
        if head_name(own) in factors:
            untie(own).origin = own.origin._replace(untied=True)
            print(f"{label}: the adapter corrects the output layer, which was the embedding: they are two tensors now")
        for place, scale in factors.items():
            module = own.get_submodule(place)
            B, A, stored = (tensors.get(f"{START}{place}.{part}.weight") for part in ("lora_B", "lora_A", "base_layer"))
            if stored is not None:
                module.weight.copy_(stored)
            change = scale * (B.to(module.weight) @ A.to(module.weight))
            module.weight.add_(change.T if isinstance(module, Conv1D) else change)
            if not module.weight.isfinite().all():
                raise LoadError(f"Model {label!r}: {folder} makes numbers of {place} infinite. Take a sound one.")
    print(f"{label}: a LoRA adapter of rank {config.get('r')}, added to {len(factors)} matrices of its base")
    return own


def scales(label, folder, config, tensors):
    """name of a corrected module -> what B A is multiplied by: alpha / rank, or by its root (rsLoRA, arXiv 2312.03732).

    Both may be set by patterns of names, which are matched with a bound. Raises LoadError if the settings contradict
    the file.
    """
    refuse = lambda why: LoadError(f"Model {label!r}: {folder}: {why}. Download the adapter again, or take another.")
    ranks = {name: len(A) for name, A in corrected(tensors).items()}
    start, found = config.get("init_lora_weights", True), []
    if not (isinstance(start, bool) or start in (None, "gaussian", "orthogonal", "eva")):
        raise refuse(f"it began from weights that were changed before ({start!r:.50}), and not from its base's")
    for key, default in (("rank_pattern", config.get("r", 8)), ("alpha_pattern", config.get("lora_alpha", 8))):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict) or not all(is_number(n, 0, 1e6) for n in (default, *patterns.values())):
            raise refuse(f"its rank, alpha or {key} is no number that can be")
        try:
            chosen = first_match(patterns, ranks)
        except (TimeoutError, ValueError) as error:
            raise refuse(f"its {key} cannot be matched ({str(error) or 'it takes too long'})") from None
        found.append({name: patterns.get(pattern, default) for name, pattern in chosen.items()})
    told, alphas = found
    if wrong := next((name for name, rank in ranks.items() if not told[name] == rank > 0), None):
        raise refuse(f"the rank of {wrong:.100} is {told[wrong]} in its settings and {ranks[wrong]} in its file")
    return {name: alphas[name] / (rank**0.5 if config.get("use_rslora") else rank) for name, rank in ranks.items()}


def adapter_tensors(label, folder):
    """name -> tensor of an adapter's file. Raises LoadError."""
    files = [Path(folder) / f"adapter_model.{end}" for end in ("safetensors", "bin")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise LoadError(f"Model {label!r}: {folder} lacks adapter_model.safetensors. Download the adapter again.")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        names, found = bin_tensors(file), torch.load(file, map_location="cpu", weights_only=True)
        return {name: found[name] for name in names}
    except Exception as error:
        raise LoadError(
            f"Model {label!r}: the weights in {folder} are damaged ({reason(error)}). Download it again."
        ) from None


def check_adapter(label, folder, tensors, base):
    """Raise LoadError unless every pair of an adapter's matrices has a matrix of the base that it fits."""
    modules, found = dict(base.named_modules()), corrected(tensors)
    if not found:
        raise LoadError(f"Model {label!r}: {folder} holds no lora_A.weight. Download the adapter again.")
    for place, A in found.items():
        shape = tuple(getattr(getattr(modules.get(place), "weight", None), "shape", ()))
        if isinstance(modules.get(place), Conv1D):  # GPT-2's layers keep their weights as (in, out)
            shape = shape[::-1]
        B, stored = (tensors.get(f"{START}{place}.{part}.weight") for part in ("lora_B", "base_layer"))
        if B is None or A.dim() != 2 or B.dim() != 2 or shape != (B.shape[0], A.shape[1]):
            theirs = "no second matrix" if B is None else f"a correction of shape {(*B.shape[:1], *A.shape[-1:])}"
            raise LoadError(
                f"Model {label!r}: {folder} has {theirs} for {place}, "
                + (f"which has shape {shape} in the base." if shape else "which the base does not have.")
                + " It was trained on another base: give that one as 'base'."
            )
        if not (A.isfinite().all() and B.isfinite().all()):
            raise LoadError(f"Model {label!r}: {folder} holds NaN or infinite numbers for {place}. Take a sound one.")
        if stored is not None and stored.shape != modules[place].weight.shape:
            raise LoadError(f"Model {label!r}: {folder} holds {place} in another shape than the base. Give its base.")
