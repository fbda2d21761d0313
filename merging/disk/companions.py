"""What a checkpoint needs beside its weights, written the same for a merge in memory and one from disk to disk.

Tokenizer, chat templates, generation settings, licence, and the code of models that bring their own: copied as files
from where the first model came from, and never run.
"""

import copy
import json
import shutil
from pathlib import Path

from merging.load.files import TEMPLATES, TOKENIZER, is_own, read_object, read_tokenizer, unreadable
from merging.load.vocabulary import fit_ids

# What else lies in a folder and must not come along: it belongs to a training, or to the sources' own merges.
LEFT = ("adapter_config.json", "trainer_state.json", "_results.json", ".index.json", "quantize_config.json")


def is_companion(name):
    """True for files that make a checkpoint complete beside its weights."""
    wanted = name.endswith((".json", ".model", ".txt", ".jinja", ".tiktoken", ".spm", ".py"))
    return wanted and not name.endswith(LEFT) or name.startswith(("LICENSE", "NOTICE"))


def companions(folder):
    """The files of a folder that belong to its checkpoint, as paths within it."""
    files = [file for file in Path(folder).iterdir() if is_companion(file.name)]
    files += (Path(folder) / TEMPLATES).glob("*.jinja")
    return sorted(file.relative_to(folder) for file in files if file.is_file() and is_own(file.parent, file.name))


def copy_companions(folder, partial):
    """Copy what belongs to a checkpoint into a folder that is being written. Raises LoadError."""
    for name in companions(folder):
        (partial / name).parent.mkdir(exist_ok=True)
        try:
            shutil.copyfile(folder / name, partial / name)
        except OSError as error:
            if getattr(error, "filename", None) == str(partial / name):
                raise
            raise unreadable(folder / name, error) from None


def write_companions(partial, model, tokenizer, dtype=None):
    """Write all but the weights of a model in memory: what its origin had, changed where the model is.

    tokenizer: None keeps the origin's files as they are. dtype: what config.json says of the weights; None is that of
    the origin, else the model's own.
    """
    origin = getattr(model, "origin", None)
    folder = origin.folder if origin else Path(model.name_or_path)
    if model.name_or_path and folder.is_dir():
        copy_companions(folder, partial)
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = dtype or (origin.dtype if origin else model.dtype)
    config.save_pretrained(partial)
    if tokenizer is not None:
        write_tokenizer(partial, tokenizer)
    if model.can_generate():
        generation_of(model).save_pretrained(partial)


def write_tokenizer(partial, tokenizer):
    """Save a tokenizer in place of the one that was copied: byte for byte what it came from, if it is still that."""
    of_tokenizer = lambda folder: [file for file in companions(folder) if str(file).startswith((*TOKENIZER, TEMPLATES))]
    for file in of_tokenizer(partial):
        (partial / file).unlink()
    tokenizer.save_pretrained(partial)
    if is_as_stored(tokenizer):
        source = Path(tokenizer.name_or_path)
        for file in of_tokenizer(source):
            (partial / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / file, partial / file)


def generation_of(model):
    """The generation settings to save with a model: those of its origin, and what was changed in memory since."""
    if not (origin := getattr(model, "origin", None)):
        return model.generation_config
    settings = copy.deepcopy(origin.generation)
    now = model.generation_config.to_dict()
    for name, value in now.items():
        if origin.simple.get(name) != value:
            setattr(settings, name, value)
    fit_ids(settings, model.get_input_embeddings().num_embeddings)
    return settings


def is_as_stored(tokenizer):
    """True if a tokenizer in memory is the one in the folder that it came from."""
    source = Path(tokenizer.name_or_path or "")
    if not tokenizer.name_or_path or not source.is_dir():
        return False
    try:
        stored = read_tokenizer(source)
    except Exception:
        return False
    words = lambda each: (each.get_vocab(), each.special_tokens_map, getattr(each, "extra_special_tokens", None))
    return words(stored) == words(tokenizer) and stored.chat_template == tokenizer.chat_template


def tidy_config(folder, dtype=None):
    """Write the name of a dtype into the config of a folder, and take out a quantisation: the numbers are no codes."""
    config = read_object(folder / "config.json")
    before = copy.deepcopy(config)
    for part in (config, *(part for part in config.values() if isinstance(part, dict))):
        for name in ("dtype", "torch_dtype"):
            if dtype and (part is config and name == "dtype" or part.get(name)):
                part[name] = dtype
    if config.pop("quantization_config", None):
        print("The config of source 1 says that it is quantised, but its numbers are plain: that setting is left out.")
    if config != before:
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
