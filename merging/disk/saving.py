"""Saving a merge that is in memory, so that others can see what it is and repeat it."""

from pathlib import Path

from merging.checks import check_selection, check_weights
from merging.disk.card import describe_merge
from merging.disk.folders import whole_folder
from merging.tensors import named_weights


def save_merge(model, tokenizer, destination, sources, weights, names=None, scores=None, notes=(), overwrite=False):
    """Save a merge with its tokenizer, a model card and a merge config: others can see what it is, and repeat it.

    sources, weights, names: what was merged, as in merge_checkpoints. For the card, scores: text -> number, what was
    measured; notes: sentences, for example those of preflight. destination appears when it is complete; overwrite=True
    replaces an older one only then. Returns destination as a Path. Raises MergeError, FileExistsError, OSError (disk
    full).
    """
    weights, destination = check_weights(weights, len(sources)), Path(destination).expanduser()
    tensors = named_weights(model)
    names = check_selection(names, tensors)
    with whole_folder(destination, sources, overwrite, sum(tensor.nbytes for tensor in tensors.values())) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        describe_merge(
            partial, sources, weights, names, {name: tensor.dtype for name, tensor in tensors.items()}, scores, notes
        )
    return destination
