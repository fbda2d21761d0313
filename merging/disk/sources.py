"""Sources that do not lie on disk as transformers writes them: loaded and saved once, in the merge's partial folder.

So are adapters (added to their base), weights as .bin, and the names of old versions: GPT-2 without `transformer.`, a
tied output layer that is stored twice, tables of rotary embeddings, `_orig_mod.` from a compiled model.
"""

import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch

from merging.disk.companions import write_companions
from merging.disk.saving import write_state
from merging.disk.stored import all_tensors
from merging.load.files import check_files, read_config
from merging.load.kinds import is_adapter, model_files, stored_types
from merging.load.layout import bare_bytes, expected_tensors
from merging.load.loading import load_models
from merging.load.memory import check_memory
from merging.load.reading import not_loadable, read_model


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
    write_companions(place, model, tokenizer)
    return place
