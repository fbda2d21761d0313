"""Saving a model that is in memory: as transformers does, in the dtypes it came in, and proved to load again."""

from pathlib import Path

from huggingface_hub import save_torch_state_dict

from merging.checks import check_result, check_selection, check_weights
from merging.disk.card import describe_merge
from merging.disk.companions import write_companions
from merging.disk.folders import check_space, whole_folder
from merging.disk.stored import MAX_SHARD_SIZE, all_tensors
from merging.errors import MergeError
from merging.load.files import read_config, reason
from merging.load.kinds import DTYPES, dtype_code, stored_types, wrapper_of
from merging.load.layout import bare_model, disk_names, disk_tensors
from merging.load.vocabulary import id_settings
from merging.tensors import named_weights, unwrapped


def save_merge(
    model, tokenizer, destination, sources, weights, names=None, scores=None, notes=(), overwrite=False, dtype=None
):
    """Save a merge with all that its first model had, a model card and a merge config: others can see and repeat it.

    sources, weights, names: what was merged, as in merge_checkpoints. For the card, scores: text -> number, what was
    measured; notes: sentences, for example those of preflight. dtype: what to save in, for example "bfloat16"; None is
    the dtype that the first model was stored in, tensor by tensor. Config, generation settings, code files and licence
    are those of the folder that the first model was loaded from, the tokenizer the one given. destination appears when
    it is complete and checked; overwrite=True replaces an older one only then. Returns destination as a Path. Raises
    MergeError, FileExistsError, OSError (disk full).
    """
    weights, destination, model = check_weights(weights, len(sources)), Path(destination).expanduser(), unwrapped(model)
    tensors = named_weights(model)
    names, dtype = check_selection(names, tensors), DTYPES[dtype_code(dtype)] if dtype else None
    with whole_folder(destination, sources, overwrite) as partial:
        types = write_state(partial, model, dtype)
        write_companions(partial, model, tokenizer, dtype)
        on_disk = lambda chosen: filters(model, chosen)
        describe_merge(partial, sources, weights, names, tensors, types.values(), scores, notes, on_disk)
        check_written(partial)
    return destination


def filters(model, names):
    """The names on disk of a selection of a model's tensors, or None if the files it came from lack one of them."""
    found, stored = disk_names(model, names), origin_types(model)
    return found if found and (not stored or all(name in stored for name in found)) else None


def origin_types(model):
    """name -> code of the dtype of every tensor where a model was loaded from; {} if that is not known, or gone."""
    origin = getattr(model, "origin", None)
    return stored_types(origin.folder) if origin and origin.folder.is_dir() else {}


def write_state(folder, model, dtype=None):
    """Write a model's weights as save_pretrained does, in a dtype; None: each in that in which its origin stores it.

    A tensor that has another name there gets the dtype of most. Returns name -> dtype, by the names on disk. Raises
    MergeError where values do not fit, OSError.
    """
    origin, state = getattr(model, "origin", None), disk_tensors(model)
    types = {} if dtype else origin_types(model)
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
        raise MergeError(f"The merge could not be loaded again: {reason(error)}") from None
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
