"""LoRA adapters: a small correction to a base becomes a model of its own, by adding it to the base's weights.

An adapter holds two thin matrices A (rank, in) and B (out, rank) for each matrix W (out, in) that it corrects; merged,
the model computes with W + scale * B A. Source: LoRA (Hu et al. 2021, arXiv 2106.09685); file format: peft.
"""

import copy
import json
import warnings
from pathlib import Path

from transformers.pytorch_utils import Conv1D

from merging.errors import LoadError

CONFIG = "adapter_config.json"


def is_adapter(folder):
    """True for a folder in peft's format, which has no config.json of a model of its own."""
    return (Path(folder) / CONFIG).is_file() and not (Path(folder) / "config.json").is_file()


def adapter_config(label, folder):
    """The settings of a LoRA adapter as a dict. Raises LoadError if they are damaged or of another kind of adapter."""
    file = Path(folder) / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        kind = config.get("peft_type")
    except (OSError, ValueError, RecursionError, AttributeError):
        raise LoadError(f"Model {label!r}: {file} is no JSON object. Download the adapter again.") from None
    if kind != "LORA":
        raise LoadError(
            f"Model {label!r}: {folder} is an adapter of the kind {kind}, and only LoRA adapters (peft_type LORA) can "
            "be added to a base's weights here."
        )
    return config


def base_of(label, folder):
    """The folder or Hub id of the base that an adapter names. Raises LoadError."""
    base = adapter_config(label, folder).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise LoadError(
            f"Model {label!r}: {folder} is an adapter that does not name its base. Give the base beside it: "
            f"load_models({{'base': ..., {label!r}: ...}})."
        )
    return base


def merge_adapter(label, folder, base):
    """A copy of the base model with the adapter's B A added to its weights. Raises LoadError before any arithmetic."""
    config, tensors = adapter_config(label, folder), adapter_tensors(label, folder)
    check_adapter(label, folder, tensors, base)
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns of names that a check above has compared already
            merged = PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).merge_and_unload(safe_merge=True)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise LoadError(f"Model {label!r}: peft cannot add {folder} to its base: {reason}") from None
    pairs = sum(name.endswith("lora_A.weight") for name in tensors)
    merged.requires_grad_(True)  # peft froze the base's weights, to train the adapter's alone
    print(f"{label}: a LoRA adapter of rank {config.get('r')}, added to {pairs} matrices of its base")
    return merged


def adapter_tensors(label, folder):
    """name -> tensor of an adapter's file. Raises LoadError."""
    try:
        from peft.utils import load_peft_weights
    except ImportError:
        raise LoadError(f"Model {label!r} is an adapter: reading it needs the package peft: pip install peft") from None
    if not list(Path(folder).glob("adapter_model.*")):
        raise LoadError(f"Model {label!r}: {folder} lacks adapter_model.safetensors. Download the adapter again.")
    try:
        return load_peft_weights(str(folder), device="cpu")
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise LoadError(
            f"Model {label!r}: the weights in {folder} are damaged ({reason}). Download it again."
        ) from None


def check_adapter(label, folder, tensors, base):
    """Raise LoadError unless every pair of an adapter's matrices has a matrix of the base that it fits."""
    modules = dict(base.named_modules())
    pairs = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    others = [name for name in tensors if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    if others or not pairs:
        raise LoadError(
            f"Model {label!r}: {folder} holds {others[0] if others else 'no lora_A.weight'}: beyond plain LoRA on "
            "linear layers. Merge it with peft and save the whole model."
        )
    for pair in pairs:
        place = pair.removeprefix("base_model.model.")
        shape = tuple(getattr(getattr(modules.get(place), "weight", None), "shape", ()))
        if isinstance(modules.get(place), Conv1D):  # GPT-2's layers keep their weights as (in, out)
            shape = shape[::-1]
        down, up = (tensors.get(f"{pair}.lora_{which}.weight") for which in "AB")
        if up is None or down.dim() != 2 or up.dim() != 2 or shape != (up.shape[0], down.shape[1]):
            theirs = "no second matrix" if up is None else f"a correction of shape {(up.shape[0], down.shape[-1])}"
            raise LoadError(
                f"Model {label!r}: {folder} has {theirs} for {place}, "
                + (f"which has shape {shape} in the base." if shape else "which the base does not have.")
                + " It was trained on another base: give that one as 'base'."
            )
        if not (down.isfinite().all() and up.isfinite().all()):
            raise LoadError(f"Model {label!r}: {folder} holds NaN or infinite numbers for {place}. Take a sound one.")
