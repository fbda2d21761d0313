"""Which tensors a configuration stands for: in memory, and by their names on disk. No numbers are made."""

import copy

import torch
import transformers
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from merging.load.quiet import quiet


def model_class(config):
    """The class of transformers that a config names, else the one for causal language models.

    A class without any output layer (GPT2Model) is read as a causal language model where there is one.
    """
    kind = getattr(transformers, (getattr(config, "architectures", None) or [""])[0], None)
    if not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)) or kind.config_class is not type(config):
        return AutoModelForCausalLM
    bare = transformers.MODEL_MAPPING.get(type(config), None)
    return AutoModelForCausalLM if kind is bare and type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else kind


def bare_model(config):
    """The model that a configuration describes, without numbers (on the meta device)."""
    own, kind = copy.deepcopy(config), model_class(config)
    with torch.device("meta"), quiet():
        return kind.from_config(own, trust_remote_code=False) if kind is AutoModelForCausalLM else kind(own)


def no_language(label, config):
    """What to say of a model without words (of pictures, or CLIP); "" for one with an embedding of them."""
    try:
        unknown = model_class(config) is AutoModelForCausalLM and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING
        if not unknown and bare_model(config).get_input_embeddings() is not None:
            return ""
    except NotImplementedError:  # of CLIP, which has several
        pass
    except Exception:  # what is wrong with it will be said when it is loaded
        return ""
    return f"{label} is a {config.model_type}, no model of language as far as its config says. Merge models that write."


def bare_tensors(config):
    """name -> tensor without numbers of the model that a configuration describes; {} if it cannot be built."""
    try:
        return dict(bare_model(config).named_parameters())
    except Exception:
        return {}


def bare_bytes(config):
    """Bytes that the model of a configuration takes in float32, its masks and tables too."""
    model = bare_model(config)
    return 4 * sum(p.numel() for p in model.parameters()) + sum(b.nbytes for b in model.buffers())


def disk_tensors(model):
    """name -> tensor as save_pretrained writes a model. What is tied is left out, and old names are kept.

    Mixtral's experts, one tensor in memory, are many on disk: transformers' own tables say which.
    """
    state = dict(model.state_dict())
    for name in [*(model._keys_to_ignore_on_save or ()), *model.all_tied_weights_keys]:
        state.pop(name, None)
    return revert_weight_conversion(model, state)


def expected_tensors(config):
    """name on disk -> tensor without numbers of the model that a configuration describes; {} if it cannot be built."""
    try:
        return disk_tensors(bare_model(config))
    except Exception:
        return {}


def disk_names(model, names):
    """The names on disk of some of a model's tensors, or None where a tensor on disk is made of several in memory."""
    bare, state = set(disk_tensors(model)), dict(model.state_dict())
    found = set(revert_weight_conversion(model, {name: state[name] for name in names}))
    return sorted(found) if found <= bare else None
