"""Sources that do not lie on disk as transformers writes them: loaded and saved once, in the merge's partial folder.

So are adapters (added to their base), weights as .bin, and the names of old versions: GPT-2 without `transformer.`, a
tied output layer that is stored twice, tables of rotary embeddings, `_orig_mod.` from a compiled model.
"""

import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict

from merging.checks import check_result
from merging.disk.companions import write_companions
from merging.disk.folders import check_space
from merging.disk.stored import MAX_SHARD_SIZE, all_tensors
from merging.errors import MergeError
from merging.load.files import check_files, read_config
from merging.load.kinds import DTYPES, is_adapter, model_files, stored_types, wrapper_of
from merging.load.layout import bare_bytes, bare_model, disk_tensors, expected_tensors
from merging.load.loading import load_models
from merging.load.memory import check_memory
from merging.load.reading import not_loadable, read_model
from merging.load.vocabulary import id_settings


@contextmanager
def as_transformers_writes(folders, partial):
    """The folders, each that is not so replaced by one in the folder that is written, until the block ends.

    A sentence says which and why. Raises LoadError if one cannot be loaded.
    """
    reasons = [strange(folder) for folder in folders]
    if not any(reasons):
        yield folders
        return
    with tempfile.TemporaryDirectory(dir=partial) as place:
        kept = []
        for i, (folder, why) in enumerate(zip(folders, reasons), 1):
            if why:
                print(f"source {i}, {folder}: {why}. It is loaded and saved once, for this merge alone.")
            kept.append(rewrite(f"source {i}", folder, Path(place) / str(i)) if why else folder)
        yield kept


def strange(folder):
    """In what a folder is not as transformers would write it, as words; "" if it is."""
    if is_adapter(folder):
        return "it is an adapter"
    if not any(file.suffix == ".safetensors" for file in model_files(folder)):
        return "its weights are .bin, which cannot be read in pieces" if model_files(folder) else ""
    stored, expected = all_tensors(folder), expected_tensors(read_config(folder))
    extra, missing = sorted(stored.keys() - expected), sorted(expected.keys() - stored)
    if not expected or not (extra or missing):
        return ""
    return f"transformers knows {missing[0]} there" if not extra else f"it has {extra[0]}, by a name of its own"


def rewrite(label, folder, place):
    """Load a checkpoint and save it as transformers does, in the dtype that it is stored in; returns the new folder."""
    if is_adapter(folder):
        [(model, tokenizer)] = load_models({label: str(folder)}, device="cpu", align=False).values()
    else:
        try:
            check_files(folder, tokenizer=False)
            check_memory({str(folder): bare_bytes(read_config(folder))})
            wide = torch.float64 if "F64" in stored_types(folder).values() else torch.float32  # no number is rounded
            model, tokenizer = read_model(label, folder, wide), None
        except Exception as error:
            raise not_loadable(label, folder, error) from None
    place.mkdir()
    write_state(place, model)
    write_companions(place, model, tokenizer, model.origin.dtype)
    return place


def write_state(folder, model, dtype=None):
    """Write a model's weights as save_pretrained does, in a dtype; None: each in that in which its origin stores it.

    A tensor that has another name there gets the dtype of most. Returns name -> dtype, by the names on disk. Raises
    MergeError where values do not fit, OSError.
    """
    origin, state = getattr(model, "origin", None), disk_tensors(model)
    types = stored_types(origin.folder) if origin and dtype is None and origin.folder.is_dir() else {}
    prefix, most = wrapper_of(types), dtype or (origin.dtype if origin else None)
    stored = {name.removeprefix(prefix): DTYPES.get(code) for name, code in types.items()}
    alone = lambda t: t if t.nbytes == t.untyped_storage().nbytes() else t.clone()  # Mixtral's experts are one tensor
    state = {name: in_dtype(name, alone(t), stored.get(name) or most or t.dtype) for name, t in state.items()}
    check_space(folder, sum(tensor.nbytes for tensor in state.values()))
    save_torch_state_dict(state, folder, max_shard_size=MAX_SHARD_SIZE)
    return {name: tensor.dtype for name, tensor in state.items()}


def in_dtype(name, tensor, dtype):
    """A tensor in another dtype, if it holds floats. Raises MergeError where its values do not fit."""
    if not tensor.is_floating_point() or tensor.dtype == dtype:
        return tensor
    return check_result(name, tensor.detach().to(dtype), dtype)


def check_written(folder):
    """Raise MergeError unless plain transformers would load a folder whole: config, names, shapes, numbers of tokens.

    The model is built without numbers; only the headers of the weights are read.
    """
    try:
        config = read_config(folder)
        model = bare_model(config)
    except Exception as error:
        raise MergeError(f"The merge could not be loaded again: {' '.join(str(error).split())[:300]}") from None
    stored, expected = all_tensors(folder), disk_tensors(model)
    for name in sorted(expected.keys() | stored):
        if name not in stored or name not in expected:
            where = "lacks" if name in expected else "would hold, and not read,"
            raise MergeError(
                f"The merge could not be loaded again: it {where} {name}. The config of the first model is of another "
                "model than its weights; load it, save it with save_pretrained, and merge that."
            )
        if tuple(expected[name].shape) != stored[name].shape or stored[name].dtype not in DTYPES:
            raise MergeError(
                f"The merge could not be loaded again: {name} has shape {stored[name].shape}, and the config of the "
                f"first model asks for {tuple(expected[name].shape)}. Load it with the config that belongs to it."
            )
    table = model.get_input_embeddings()
    for name, value in id_settings(config.get_text_config()).items():
        wrong = [
            i for i in (value if isinstance(value, list) else [value]) if table is not None and i >= len(table.weight)
        ]
        if wrong and name.endswith("_token_id"):
            raise MergeError(
                f"The merge could not be used: {name} is {wrong[0]} in its config, and its embedding has "
                f"{len(table.weight)} rows. Correct it in the first model's config.json."
            )
