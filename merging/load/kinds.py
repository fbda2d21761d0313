"""What a folder is: a whole model, an adapter, or neither. The card, loading and merging on disk all ask here."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from merging.errors import LoadError, MergeError
from merging.load.files import reason
from merging.load.limits import bin_tensors

CONFIG = "adapter_config.json"

# What wraps a model: a compiled or a data-parallel one puts these words before the name of every tensor.
WRAPPERS = ("_orig_mod.", "module.")

# The dtypes that can be averaged, by their codes in safetensors files, in that format's order.
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
CODES = {str(dtype).removeprefix("torch."): code for code, dtype in DTYPES.items()}  # "float32" -> "F32"


def dtype_code(name):
    """The code of a dtype that a merge can be saved in, by its name, as "bfloat16", or torch's. Raises MergeError."""
    name = str(name).removeprefix("torch.")
    if name not in CODES:
        raise MergeError(
            f"dtype is the name of one of the dtypes that a merge can be saved in ({', '.join(CODES)}), not {name!r}."
        )
    return CODES[name]


def model_files(folder):
    """The files in a folder that hold the weights of a whole model, the adapter's apart."""
    files = [*Path(folder).glob("*.safetensors"), *Path(folder).glob("pytorch_model*.bin")]
    return sorted(file for file in files if not file.name.startswith(("adapter_", "consolidated")))


def is_adapter(folder):
    """True for a folder in peft's format without a whole model; beside one, adapter_config.json is a leftover."""
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        return False
    return not (folder / "config.json").is_file() or (
        not model_files(folder) and any(folder.glob("adapter_model.*"))  # some tools put the base's config beside it
    )


def refuse_empty(label, folder, weights=True):
    """Raise LoadError for a folder that holds no model, if a folder in it does: the message names that one."""
    holds = lambda place: (place / "config.json").is_file() or (place / CONFIG).is_file()
    if holds(folder) and (is_adapter(folder) or model_files(folder) or not weights):
        return
    inner = [place for pattern in ("*", "*/*") for place in folder.glob(pattern) if place.is_dir() and holds(place)]
    inner = [place for place in inner if is_adapter(place) or model_files(place)]
    if inner:
        latest = max(inner, key=lambda place: place.stat().st_mtime_ns)
        raise LoadError(
            f"Model {label!r}: {folder} holds no model itself, but {len(inner)} of its folders "
            f"{'does' if len(inner) == 1 else 'do'}: give {latest}"
            + (", the latest, or another of them." if len(inner) > 1 else ".")
        )


def stored_types(folder):
    """name -> code of the dtype of every tensor of a whole model in a folder, as types_in; {} if it has none."""
    files, alone = model_files(folder), Path(folder) / "model.safetensors"
    files = [file for file in files if file.suffix == ".safetensors"] or files
    return types_in([alone] if alone.is_file() else files)  # with an index beside it, too


def types_in(files):
    """name -> code of the dtype, as in "BF16", of every tensor in safetensors or .bin files; {} if one is not sound.

    In .bin files, None stands for what is no float; raises LoadError for one that is damaged, or unpacks to more than
    it can hold.
    """
    types = {}
    for file in files:
        try:
            if file.suffix == ".bin":
                types |= {name: CODES.get(str(t.dtype).removeprefix("torch.")) for name, t in bin_tensors(file).items()}
            else:
                with safe_open(file, "pt") as opened:
                    types |= {name: opened.get_slice(name).get_dtype() for name in opened.keys()}
        except (SafetensorError, OSError):  # what is wrong with it will be said when it is read
            return {}
        except Exception as error:
            raise LoadError(f"{file}: {reason(error)}") from None
    return types


def wrapper_of(names):
    """What stands before the name of every tensor because a wrapper was saved and not its model, or ""."""
    return next((prefix for prefix in WRAPPERS if names and all(name.startswith(prefix) for name in names)), "")
