"""LoRA adapters: a small correction to a base becomes a model of its own, by adding it to the base's weights.

An adapter holds two thin matrices A (rank, in) and B (out, rank) for each matrix W (out, in) that it corrects; merged,
the model computes with W + scale * B A. Source: LoRA (Hu et al. 2021, arXiv 2106.09685); file format: peft.
"""

import copy
import re
import warnings
from collections import Counter
from pathlib import Path

import torch
from transformers.pytorch_utils import Conv1D

from merging.checks import is_number
from merging.errors import LoadError, out_of_memory
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
    """Give a model, in place, an output layer of its own with the embedding's numbers: it computes the same."""
    name, head = head_name(model), model.get_output_embeddings()
    if name is not None:
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
    """A copy of the base model with the adapter's B A added to its weights. Raises LoadError before any arithmetic."""
    check_plain(label, folder)
    config, tensors = adapter_config(label, folder), adapter_tensors(label, folder)
    check_adapter(label, folder, tensors, base)
    own = copy.deepcopy(base)
    if head_name(own) in corrected(tensors):
        untie(own).origin = own.origin._replace(untied=True)
        print(f"{label}: the adapter corrects the output layer, which was the embedding: they are two tensors now")
    settings = plain_settings(label, folder, config, tensors)
    from peft import LoraConfig, PeftModel

    try:
        with warnings.catch_warnings():  # what peft says of these weights passes; of its own code, nobody here can act
            warnings.simplefilter("ignore", FutureWarning)
            adapted = PeftModel.from_pretrained(own, str(folder), config=LoraConfig(**settings))
            merged = adapted.merge_and_unload(safe_merge=True)
    except Exception as error:
        if out_of_memory(error):
            raise LoadError(does_not_fit(label, base.device)) from None
        raise LoadError(f"Model {label!r}: peft cannot add {folder} to its base: {reason(error)}") from None
    merged.requires_grad_(True)  # peft froze the base's weights, to train the adapter's alone
    n = len(corrected(tensors))
    print(f"{label}: a LoRA adapter of rank {config.get('r')}, added to {n} matrices of its base")
    return merged


def plain_settings(label, folder, config, tensors):
    """peft's settings for the matrices that an adapter holds, each by its whole name: no pattern of the file is left.

    peft matches patterns without a bound and makes matrices of the rank that a file asks for: here both come from the
    tensors that are there. Raises LoadError if they contradict the settings.
    """
    refuse = lambda why: LoadError(f"Model {label!r}: {folder}: {why}. Download the adapter again, or take another.")
    ranks = {name: len(A) for name, A in corrected(tensors).items()}
    start, found = config.get("init_lora_weights", True), {}
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
        found[key] = {name: patterns.get(pattern, default) for name, pattern in chosen.items()}
    if wrong := next((name for name, rank in ranks.items() if found["rank_pattern"][name] != rank), None):
        raise refuse(
            f"the rank of {wrong:.100} is {found['rank_pattern'][wrong]} in its settings and {ranks[wrong]} in its file"
        )
    most = {key: Counter(values.values()).most_common(1)[0][0] for key, values in found.items()}
    others = {
        key: {re.escape(name): n for name, n in values.items() if n != most[key]} for key, values in found.items()
    }
    kept = {key: bool(config.get(key)) for key in ("use_rslora", "fan_in_fan_out")}
    names = dict(target_modules=list(ranks), r=most["rank_pattern"], lora_alpha=most["alpha_pattern"])
    return kept | names | others


def adapter_tensors(label, folder):
    """name -> tensor of an adapter's file. Raises LoadError."""
    try:
        from peft.utils import load_peft_weights
    except ImportError:
        raise LoadError(f"Model {label!r} is an adapter: reading it needs the package peft: pip install peft") from None
    if not list(Path(folder).glob("adapter_model.*")):
        raise LoadError(f"Model {label!r}: {folder} lacks adapter_model.safetensors. Download the adapter again.")
    try:
        for file in Path(folder).glob("adapter_model.bin"):
            bin_tensors(file)
        tensors = load_peft_weights(str(folder), device="cpu")
    except Exception as error:
        raise LoadError(
            f"Model {label!r}: the weights in {folder} are damaged ({reason(error)}). Download it again."
        ) from None
    if not isinstance(tensors, dict) or not all(getattr(t, "ndim", 0) for t in tensors.values()):
        raise LoadError(f"Model {label!r}: the weights in {folder} are no tensors. Download it again.")
    return tensors


def check_adapter(label, folder, tensors, base):
    """Raise LoadError unless every pair of an adapter's matrices has a matrix of the base that it fits."""
    modules, found = dict(base.named_modules()), corrected(tensors)
    if not found:
        raise LoadError(f"Model {label!r}: {folder} holds no lora_A.weight. Download the adapter again.")
    for place, A in found.items():
        shape = tuple(getattr(getattr(modules.get(place), "weight", None), "shape", ()))
        if isinstance(modules.get(place), Conv1D):  # GPT-2's layers keep their weights as (in, out)
            shape = shape[::-1]
        B = tensors.get(f"{START}{place}.lora_B.weight")
        if B is None or A.dim() != 2 or B.dim() != 2 or shape != (B.shape[0], A.shape[1]):
            theirs = "no second matrix" if B is None else f"a correction of shape {(B.shape[0], A.shape[-1])}"
            raise LoadError(
                f"Model {label!r}: {folder} has {theirs} for {place}, "
                + (f"which has shape {shape} in the base." if shape else "which the base does not have.")
                + " It was trained on another base: give that one as 'base'."
            )
        if not (A.isfinite().all() and B.isfinite().all()):
            raise LoadError(f"Model {label!r}: {folder} holds NaN or infinite numbers for {place}. Take a sound one.")
