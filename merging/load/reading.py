"""A checkpoint folder as a model, whole or not at all: transformers' loading report decides."""

import copy
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import GenerationConfig

from merging.errors import LoadError, out_of_memory
from merging.load.files import SMALL, asks_for_code, read_config, read_object, reason
from merging.load.kinds import CONFIG, DTYPES, stored_types, wrapper_of
from merging.load.layout import expected_tensors, model_class, no_language
from merging.load.memory import does_not_fit
from merging.load.quiet import quiet

QUANTISED = (
    "is quantised: its numbers are codes, and the average of two codes means nothing. Take the release in float32, "
    "bfloat16 or float16."
)


class Origin(NamedTuple):
    """Where a model comes from, as its attribute `origin`: what a merge of it is saved with.

    folder: of its files; dtype: of its stored numbers; generation: its generation settings as they are stored;
    simple: those that it has in memory, as a dict, without what changes samples; untied: an adapter gave it an output
    layer of its own.
    """

    folder: Path
    dtype: torch.dtype
    generation: GenerationConfig
    simple: dict
    untied: bool = False


def read_model(label, folder, dtype=torch.float32):
    """The model in a folder, in eval mode, with its Origin. Raises LoadError, also if a tensor is missing."""
    folder = Path(folder)
    types, config = stored_types(folder), read_config(folder)
    if is_quantised(label, folder, config):
        raise LoadError(f"Model {label!r}: {folder} {QUANTISED}")
    if why := no_language(f"Model {label!r}", config):
        raise LoadError(asks_for_code(folder) if getattr(config, "auto_map", None) else why)
    stored = stored_dtype(config, types)
    generation = own_generation(folder, config)
    forget_sampling(config)
    prefix = wrapper_of(types)
    if prefix:
        print(f"{label}: its tensors are named {prefix}... because a wrapper was saved; they are read without that.")
    renaming = {"key_mapping": {"^" + prefix.replace(".", r"\."): ""}} if prefix else {}
    with quiet(), without_adapter(label, folder) as place:
        model, info = model_class(config).from_pretrained(
            place,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            **renaming,
        )
    check_report(label, folder, info, {name for name, _ in model.named_buffers()})
    model._weight_conversions = None  # else it would be saved by the names that it was found under
    model.config._name_or_path = model.name_or_path = str(folder)
    model.origin = Origin(folder, stored, generation, {})
    return model.eval()


def not_loadable(label, folder, error):
    """The error for a folder that could not be loaded, from that of another library or of a check here."""
    if out_of_memory(error):
        return LoadError(does_not_fit(label, "cpu"))
    why = str(error) if isinstance(error, LoadError) else reason(error, folder)
    if why.startswith("Model "):
        return error
    why = why.replace(f"{folder}{os.sep}", "")
    return LoadError(f"Model {label!r}: {folder} is no checkpoint that transformers can load: {why}")


def check_report(label, folder, info, constants=()):
    """Raise LoadError if tensors are missing or of another shape; name those that the model has no place for.

    constants: names of the model's buffers. Old files hold such masks and tables, which are no loss.
    """
    missing = sorted(info["missing_keys"])
    if missing:
        raise LoadError(
            f"Model {label!r}: {folder} lacks {len(missing)} tensors, {missing[0]} among them. The "
            "checkpoint is incomplete; download it again."
        )
    wrong = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])
    if wrong:
        raise LoadError(
            f"its tensors have other shapes than its config.json says, {wrong[0]} among them. Download it again."
        )
    old = lambda name: name in constants or name.endswith((".masked_bias", ".rotary_emb.inv_freq"))
    unexpected = sorted(name for name in info["unexpected_keys"] if not old(name))
    if unexpected:
        print(
            f"{label}: {len(unexpected)} tensors in {folder} have no place in this model and are left out, "
            f"{', '.join(unexpected[:3])} among them."
        )


def stored_dtype(config, types):
    """The dtype of a checkpoint: that of most of its tensors, else what the config says, else float32."""
    found = [DTYPES[code] for code in types.values() if code in DTYPES]
    told = getattr(config, "dtype", None)
    return max(DTYPES.values(), key=found.count) if found else told if isinstance(told, torch.dtype) else torch.float32


def is_quantised(label, folder, config):
    """True if the stored numbers are codes, as the config says. Where they are all of the model's, as floats, it is
    wrong: the setting is taken out of it, and a sentence says so.
    """
    if not getattr(config, "quantization_config", None):
        return False
    types, plain = stored_types(folder), copy.deepcopy(config)
    del plain.quantization_config
    if not types or not set(types.values()) <= set(DTYPES) or set(types) != set(expected_tensors(plain)):
        return True
    del config.quantization_config
    print(f"{label}: its config says that it is quantised, but its numbers are plain: that setting is left out.")
    return False


def own_generation(folder, config=None):
    """The generation settings of a folder, from generation_config.json or, in old checkpoints, from its config."""
    if (Path(folder) / "generation_config.json").is_file():
        try:
            return GenerationConfig.from_dict(read_object(Path(folder) / "generation_config.json", SMALL))
        except Exception as error:
            raise LoadError(
                f"{Path(folder) / 'generation_config.json'} holds no generation settings ({reason(error)}). Correct or "
                "remove it."
            ) from None
    return GenerationConfig.from_model_config(config) if config else None


def forget_sampling(config):
    """Reset sampling settings that hide in a config (beer's typical_p): they would change one model's samples only."""
    for name in ("do_sample", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty"):
        if hasattr(config, name):
            setattr(config, name, getattr(GenerationConfig(), name))


def stop_tokens(generation):
    """The tokens that end a text, as a list."""
    stops = generation.eos_token_id
    return [] if stops is None else list(stops) if isinstance(stops, list | tuple) else [stops]


def settle(model, tokenizer):
    """Give a model only those generation settings that change no sample: what begins, ends and fills a text."""
    if not model.can_generate():
        return model
    stops, end = stop_tokens(model.origin.generation), tokenizer.eos_token_id
    stops += [end] if end is not None and end not in stops else []
    begin, fill = (getattr(tokenizer, name) for name in ("bos_token_id", "pad_token_id"))
    model.generation_config = GenerationConfig(
        bos_token_id=model.origin.generation.bos_token_id if begin is None else begin,
        eos_token_id=stops[0] if len(stops) == 1 else stops or None,
        pad_token_id=fill if fill is not None else end if end is not None else next(iter(stops), None),
    )
    model.origin = model.origin._replace(simple=model.generation_config.to_dict())
    return model


@contextmanager
def without_adapter(label, folder):
    """A folder to read a whole model from: transformers would put an adapter that lies beside it on top of it."""
    if not (folder / CONFIG).is_file():
        yield folder
        return
    print(f"{label}: {folder} holds a whole model, which is taken; {CONFIG} beside it is left out.")
    with tempfile.TemporaryDirectory() as apart:
        for file in folder.iterdir():
            if file.is_file() and not file.name.startswith("adapter_"):
                try:
                    os.symlink(file.resolve(), Path(apart) / file.name)
                except OSError as error:  # Windows asks for a right to make links
                    raise LoadError(
                        f"Model {label!r}: {folder} holds a whole model and an {CONFIG} ({error.strerror}). Remove the "
                        "one that you do not mean."
                    ) from None
        yield Path(apart)
