"""Saving a merge that is in memory, so that others can see what it is and repeat it."""

from pathlib import Path

from merging.checks import check_selection, check_weights
from merging.disk.card import describe_merge
from merging.disk.companions import write_companions
from merging.disk.folders import whole_folder
from merging.disk.sources import check_written, write_state
from merging.errors import MergeError
from merging.load.kinds import CODES, DTYPES, stored_types
from merging.load.layout import disk_names
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
    names = check_selection(names, tensors)
    with whole_folder(destination, sources, overwrite) as partial:
        types = write_state(partial, model, dtype and saved_dtype(model, dtype))
        write_companions(partial, model, tokenizer, saved_dtype(model, dtype))
        on_disk = lambda chosen: filters(model, chosen)
        describe_merge(partial, sources, weights, names, tensors, types.values(), scores, notes, on_disk)
        check_written(partial)
    return destination


def filters(model, names):
    """The names on disk of a selection of a model's tensors, or None if the files it came from lack one of them."""
    found, origin = disk_names(model, names), getattr(model, "origin", None)
    stored = stored_types(origin.folder) if origin and origin.folder.is_dir() else {}
    return found if found and (not stored or all(name in stored for name in found)) else None


def saved_dtype(model, name):
    """The torch dtype to save a model in: the one named, else that of its origin, else its own. Raises MergeError."""
    if name is None:
        origin = getattr(model, "origin", None)
        return origin.dtype if origin else model.dtype
    name = str(name).removeprefix("torch.")
    if name not in CODES:
        raise MergeError(f"dtype is the name of one of {', '.join(CODES)}, not {name!r}.")
    return DTYPES[CODES[name]]
