"""What is refused before any number is averaged: shares, architectures, names, shapes, values."""

import functools
import math
import re
import warnings
from numbers import Real

import torch

from merging.errors import MergeError
from merging.tensors import named_weights, tensor_kind, unwrapped


def check_alpha(alpha):
    """alpha as a float in [0, 1], or MergeError."""
    if not is_number(alpha, 0, 1):
        raise MergeError(
            f"alpha is the share of the first model, a number from 0 to 1, not {alpha!r}. Outside that "
            "range a merge would extrapolate."
        )
    return float(alpha)


def check_weights(weights, n):
    """N weights as floats that are finite, not negative and sum to 1, or MergeError; None means 1/N each."""
    if n == 0:
        raise MergeError("There is no model to average: give at least one.")
    weights = [1 / n] * n if weights is None else list(weights)
    if len(weights) != n:
        raise MergeError(f"{n} models need {n} weights, not {len(weights)}.")
    for weight in weights:
        if not is_number(weight, 0, 1):
            raise MergeError(f"Each weight is a number from 0 to 1, not {weight!r}.")
    if abs(sum(weights) - 1) > 1e-6:
        raise MergeError(f"The weights {weights} sum to {sum(weights):.6g}, not 1. Divide each by the sum.")
    return [float(weight) for weight in weights]


def check_mergeable(models, out=None):
    """Raise MergeError unless the models have the same architecture, tensors and shapes, and only finite floats.

    Returns the named_weights of each, those of `out`, if there is one to write into, at the end. It reads every number
    of the models: who merges one set again and again checks it once, and merges with merge_into.
    """
    together = [unwrapped(model) for model in (models if out is None else [*models, out])]
    models, tensors = together[: len(models)], [named_weights(model) for model in together]
    _check_sources(models, tensors[: len(models)])
    if out is not None:
        _check_out(together[-1], tensors[-1], models, tensors[: len(models)])
    return tensors


def _check_sources(models, sources):
    first, names = models[0], sources[0]
    for i, (model, tensors) in enumerate(zip(models, sources), 1):
        if i > 1:
            _check_architecture(first, model, i)
            check_names(names, tensors, i)
            say_settings(getattr(first, "config", None), getattr(model, "config", None), i)
        for name, tensor in tensors.items():
            if tensor.shape != names[name].shape:
                raise MergeError(shape_message(name, names[name].shape, tensor.shape, i))
            if tensor.is_meta:
                raise MergeError(
                    f"{name} of model {i} has no numbers: it is on the meta device. Load the model whole into memory, "
                    "without device_map and without init_empty_weights."
                )
            if tensor.device != names[name].device:
                raise MergeError(
                    f"{name} is on {names[name].device} in model 1 and on {tensor.device} in model {i}. "
                    "Move the models to one device with model.to(device)."
                )
            if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
                raise MergeError(
                    f"{name} of model {i} holds {tensor.dtype}: integer and quantised tensors cannot be "
                    "averaged. Load the model unquantised, in float32."
                )
            check_values(name, tensor, i, names[name].dtype, magnitude(tensor))


def magnitude(tensor):
    """The largest absolute value; NaN if there is one."""
    if not tensor.numel():
        return 0.0
    low, high = torch.stack(tensor.aminmax()).tolist()  # a GPU is asked, and waited for, once
    return max(-low, high)


def check_values(name, tensor, i, into, largest):
    """Refuse NaN, infinity, and numbers so large that their average could overflow; largest: the tensor's magnitude."""
    if largest <= _limit(tensor.dtype, into):
        return
    if not math.isfinite(largest):
        bad = int((~torch.isfinite(tensor)).sum())
        raise MergeError(
            f"{name} of model {i} holds {bad} values that are NaN or infinite. The checkpoint is damaged or "
            "overflowed in half precision; load a sound one."
        )
    raise MergeError(
        f"{name} of model {i} holds a value of size {largest:.3g}: merging it into {into} would "
        "overflow. Load both models in float32, or find out why a weight is that large."
    )


@functools.cache
def _limit(dtype, into):
    """The largest magnitude that can be averaged in at least float32 and saved in another dtype."""
    return min(torch.finfo(torch.promote_types(dtype, torch.float32)).max / 2, torch.finfo(into).max)


# Settings that change what the same tensors compute, in the words of several architectures.
ARCHITECTURE = (
    "model_type",
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "attention_layers",
    "layer_types",
    "window_size",
    "sliding_window",
    "activation_function",
    "hidden_act",
    "rope_theta",
    "rope_parameters",
    "tie_word_embeddings",
)

# What two configurations may differ in without a word: it names files and versions, counts rows and tokens (compared
# with the tokenizers), or is for training, sampling and what is returned, and changes no number that a model computes.
BOOKKEEPING = re.compile(
    r"_.*|architectures|auto_map|(torch_)?dtype|transformers_version|tokenizer_class|model_name|license|unsloth.*"
    r"|vocab_size|.*_token_(id|ids|index)|quantization_config|use_cache|return_dict|output_.*|gradient_checkpointing"
    r"|.*dropout.*|.*_pdrop|.*_loss_coef|.*jitter.*|initializer_.*|pretraining_tp|problem_type|id2label|label2id|summary_.*"
    r"|finetuning_task|task_specific_params|do_sample|temperature|top_[kp]|typical_p|repetition_penalty|m(ax|in)_length"
)


def other_settings(first, config):
    """name -> (first's value, the other's) of settings beside ARCHITECTURE that differ and may change what is computed.

    Parts of a configuration are named part.setting. For configurations of one architecture, see check_configs.
    """
    one, other = (flat_settings(each) for each in (first, config))
    return {
        name: (one.get(name), other.get(name))
        for name in sorted(one.keys() | other)
        if one.get(name) != other.get(name)
        and not name.startswith("quantization_config")
        and name.removeprefix("text_config.") not in ARCHITECTURE
        and not BOOKKEEPING.fullmatch(name.rpartition(".")[2])
    }


def flat_settings(config):
    """name -> value of every setting of a configuration, in the words that architectures share."""
    flat, shared = {}, {own: name for name, own in getattr(config, "attribute_map", {}).items()}
    for name, value in (config.to_dict() if hasattr(config, "to_dict") else {}).items():
        is_part = isinstance(value, dict) and name.endswith("_config")
        flat |= {f"{name}.{key}": each for key, each in value.items()} if is_part else {shared.get(name, name): value}
    return flat


def say_settings(first, config, i):
    """Warn of settings of a model that differ from the first model's: a merge computes with the first's."""
    for name, (one, other) in other_settings(first, config).items():
        warnings.warn(
            f"{name} is {one} in model 1 and {other} in model {i}: the merge computes with {one}, which model {i} was "
            "not trained with.",
            stacklevel=4,
        )


def _check_architecture(first, model, i):
    if type(first) is not type(model):
        raise MergeError(
            f"Model 1 is a {type(first).__name__}, model {i} a {type(model).__name__}: their tensors mean different "
            "things. Merge models of one architecture."
        )
    check_configs(getattr(first, "config", None), getattr(model, "config", None), i)


def config_setting(config, name):
    """A setting of a configuration, or of its part for text where a model also sees pictures; None if there is none."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else None
    return getattr(config, name, getattr(text, name, None))


def architecture_differences(first, config):
    """name -> (first's value, the other's) of the settings of ARCHITECTURE that differ; of model_type, if that does."""
    pairs = {name: (config_setting(first, name), config_setting(config, name)) for name in ARCHITECTURE}
    differ = {name: (one, other) for name, (one, other) in pairs.items() if one != other}
    return {"model_type": differ["model_type"]} if "model_type" in differ else differ


def check_configs(first, config, i):
    """Raise MergeError if two configurations let the same tensors compute different things."""
    for setting, (one, other) in architecture_differences(first, config).items():
        raise MergeError(
            f"{setting} is {one} in model 1 and {other} in model {i}: the same tensors would mean different things. "
            "Merge models that were finetuned from the same base."
        )


def check_names(names, tensors, i, what="model"):
    """Raise MergeError unless model or source i has the tensors of the first."""
    for here, there, where, lacks in ((names, tensors, 1, i), (tensors, names, i, 1)):
        extra = [name for name in here if name not in there]
        if extra:
            raise MergeError(
                f"{extra[0]} (shape {tuple(here[extra[0]].shape)}) is in {what} {where} but not in {what} "
                f"{lacks}. Merge models with the same tensors; if it is the output head, one of the "
                "models has it tied to its embeddings and the other has not."
            )


def shape_message(name, one, other, i):
    """Why two shapes cannot be averaged, and the way out."""
    message = f"{name} has shape {tuple(one)} in model 1 and {tuple(other)} in model {i}."
    is_vocabulary = tensor_kind(name)[0] == "embedding" and not re.search(r"wpe|position", name)
    if is_vocabulary and one[1:] == other[1:]:
        rows = min(one[0], other[0])
        return (
            f"{message} The vocabularies differ in size. If the shared rows are the same tokens, cut the larger: "
            f"model.resize_token_embeddings({rows}), or load both with load_models(..., align=True)."
        )
    return message + " Merge models of the same size."


def _check_out(out, targets, models, sources):
    """`out` must be another model of the same shape; writing into a parent would change it."""
    _check_architecture(models[0], out, "`out`")
    tensors = sources[0]
    theirs = {tensor.data_ptr() for source in sources for tensor in source.values() if tensor.numel()}
    if any(tensor.data_ptr() in theirs for tensor in targets.values()):
        raise MergeError(
            "`out` is one of the parents or shares memory with it, and would be overwritten while it is "
            "read. Pass a model of its own, for example copy.deepcopy(model1)."
        )
    for name in tensors | targets:
        one, other = tensors.get(name), targets.get(name)
        if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
            describe = lambda t: "missing" if t is None else f"{tuple(t.shape)} {t.dtype}"
            raise MergeError(
                f"`out` does not fit: {name} is {describe(one)} in the models and {describe(other)} in "
                "`out`. Pass a model of the same architecture and dtype."
            )
        if one.device != other.device:
            raise MergeError(
                f"`out` is on {other.device} and the models are on {one.device}: {name} cannot be written across. Move "
                f"it there with out.to({str(one.device)!r})."
            )


def check_selection(names, tensors):
    """The names of the tensors that are merged as a set, None for all; MergeError for none, or for an unknown one."""
    chosen = set(tensors if names is None else names)
    if unknown := sorted(chosen - set(tensors)):
        raise MergeError(
            f"The selection names {unknown[0]}, which the model does not have. Names are those of "
            f"named_weights(model), for example {next(iter(tensors))}."
        )
    if not chosen:
        raise MergeError(
            "The selection matches no tensor, so nothing would be merged. Select at least one of the names in "
            "named_weights(model)."
        )
    return chosen


def is_number(value, low, high):
    """True for a real number in [low, high] that is no bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high


def check_result(name, result, into):
    """A merged tensor, or MergeError if it does not fit into the dtype: a step beyond the models can overflow."""
    if not (largest := magnitude(result)) <= torch.finfo(into).max:
        raise MergeError(f"{name} would hold a value of size {largest:.3g}, too large for {into}: load in float32.")
    return result
