"""Small random models and tokenizers, and what several test files ask of them."""

import json
import math
import shutil

import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GenerationConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MixtralConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from merging.disk.checkpoints import merge_checkpoints
from merging.errors import MergeError
from merging.load.loading import FAMILIES

SMALL = dict(vocab_size=64, max_position_embeddings=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=4)
GATED = dict(num_key_value_heads=2, intermediate_size=32)
CONFIGS = {
    "gpt-neo": lambda **changes: GPTNeoConfig(
        **SMALL | dict(attention_types=[[["global", "local"], 1]], window_size=8, intermediate_size=32) | changes
    ),
    "gpt-2": lambda **changes: GPT2Config(**SMALL | changes),
    "llama": lambda **changes: LlamaConfig(**SMALL | GATED | changes),
    "llama-tied": lambda **changes: LlamaConfig(**SMALL | GATED | dict(tie_word_embeddings=True) | changes),
    "qwen2": lambda **changes: Qwen2Config(**SMALL | GATED | changes),
    "gpt-neox": lambda **changes: GPTNeoXConfig(**SMALL | dict(intermediate_size=32) | changes),
    "opt": lambda **changes: OPTConfig(**SMALL | dict(ffn_dim=32, word_embed_proj_dim=16) | changes),
}
MORE = {  # with settings of their own
    "mixtral": lambda **changes: MixtralConfig(**SMALL | GATED | dict(num_local_experts=4) | changes),
    "gemma2": lambda **changes: Gemma2Config(**SMALL | GATED | dict(head_dim=4) | changes),
    "granite": lambda **changes: GraniteConfig(**SMALL | GATED | changes),
}
TIED = ("gpt-neo", "gpt-2", "llama-tied", "opt")
# Module path of a block, its attention and its feed-forward modules, as the code of each architecture has them.
BLOCKS = {
    "gpt-neo": ("transformer.h.{}", ["attn"], ["mlp"]),
    "gpt-2": ("transformer.h.{}", ["attn"], ["mlp"]),
    "llama": ("model.layers.{}", ["self_attn"], ["mlp"]),
    "llama-tied": ("model.layers.{}", ["self_attn"], ["mlp"]),
    "qwen2": ("model.layers.{}", ["self_attn"], ["mlp"]),
    "gpt-neox": ("gpt_neox.layers.{}", ["attention"], ["mlp"]),
    "opt": ("model.decoder.layers.{}", ["self_attn"], ["fc1", "fc2"]),
}
every_architecture = pytest.mark.parametrize("name", CONFIGS)
# A model of any architecture that reads what the trio's tokenizer writes.
OWN = dict(vocab_size=2048, max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=None)


def build(name="gpt-neo", seed=0, **changes):
    """A random model whose biases and norms are random too, so that no two seeds share a tensor."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config((CONFIGS | MORE)[name](**changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.train()


def pair(name="gpt-neo", **changes):
    return build(name, 1, **changes), build(name, 2, **changes)


def plain_average(models, weights):
    """name -> the average as a loop in float64 gives it."""
    states = [model.state_dict() for model in models]
    return {name: sum(w * state[name].double() for w, state in zip(weights, states)) for name in states[0]}


def largest_difference(model, other):
    """Over all tensors by name; other is a model or a dict of tensors."""
    state, other = model.state_dict(), other if isinstance(other, dict) else other.state_dict()
    assert set(state) == set(other)
    return max((state[name].double() - other[name].double()).abs().max().item() for name in state)


def snapshot(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_bytes(model, other):
    state, other = model.state_dict(), other if isinstance(other, dict) else other.state_dict()
    as_bytes = lambda tensor: tensor.contiguous().flatten().view(torch.uint8)
    return set(state) == set(other) and all(
        state[name].dtype == other[name].dtype and torch.equal(as_bytes(state[name]), as_bytes(other[name]))
        for name in state
    )


def storages(model):
    return {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}


def logits(model, ids=tuple(range(20))):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits


@torch.no_grad()
def set_value(model, value, name="transformer.h.1.mlp.c_fc.weight"):
    model.get_parameter(name)[1, 2] = value
    return model


def under(name, model, which):
    """The parameters (as objects) under the attention (0) or feed-forward (1) modules of all blocks."""
    block, *kinds = BLOCKS[name]
    modules = [model.get_submodule(f"{block.format(i)}.{path}") for i in range(2) for path in kinds[which]]
    return [parameter for module in modules for parameter in module.parameters()]


def refused(call, *models, says=()):
    """The call raises MergeError, its message holds every word of `says`, and no model changed."""
    before = [snapshot(model) for model in models]
    with pytest.raises(MergeError) as caught:
        call()
    assert all(same_bytes(model, bytes_) for model, bytes_ in zip(models, before))
    message = str(caught.value)
    for word in says:
        assert str(word) in message
    return message


# A made-up sweep, and prompts for a view.
ALPHAS, BITS = [0.0, 0.5, 1.0], {"code": [1.5, 1.25, 1.0], "beer": [0.25, 0.5, 2.0]}
PROMPTS = {"code": "def f(", "beer": "style:"}

EOT, CONTEXT = "<|endoftext|>", 48
TEXT = (
    "def greet(name):\n    print('Hello,', name)\n\n\nstyle: Brown Porter\nbatch_size: 25\nGrüße aus Köln, 25 °C 🍺\n"
)


def shares(numbers):
    """Whole numbers, not all 0, as weights that sum to 1."""
    return [number / sum(numbers) for number in numbers]


def build_tokenizer(extra_words=()):
    """A byte-level vocabulary of 290 words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=[EOT], show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=EOT, eos_token=EOT, unk_token=EOT)
    wrapped.add_tokens(list(extra_words))
    return wrapped


def build_talker(rows, seed=0):
    """Random weights, large enough that some words are much more likely than others."""
    torch.manual_seed(seed)
    config = GPTNeoConfig(
        vocab_size=rows,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=8,
        intermediate_size=64,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoForCausalLM(config).eval()


def save(loaded, folder):
    for part in loaded:
        part.save_pretrained(folder)
    return folder


def tokens(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def log2_probabilities(model, ids):
    """log2 p(next token) after ids, in float64."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double()
    return (logits - logits.logsumexp(0)) / math.log(2)


def refused_merge(sources, tmp_path, message, error=MergeError, weights=(0.5, 0.5), **options):
    """The merge from disk to disk raises an error that matches, and leaves no file behind."""
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(error, match=message):
        merge_checkpoints(sources, weights, tmp_path / "merged", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def write_tokenizer(folder, template=None):
    """The trio's tokenizer, maybe with a chat template."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FAMILIES["tiny"]["base"] / name, folder)
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def write_own(folder, name="llama", seed=0):
    """A folder with a random model of any architecture and the trio's tokenizer."""
    build(name, seed, **OWN).save_pretrained(folder)
    return write_tokenizer(folder)


def write_model(folder, seed, dtype=torch.float32, shard="50GB", **settings):
    """A random checkpoint in one file or several, which no tokenizer is needed to merge."""
    torch.manual_seed(seed)
    config = GPTNeoConfig(
        **dict(
            vocab_size=211,
            hidden_size=24,
            num_layers=3,
            num_heads=3,
            max_position_embeddings=37,
            attention_types=[[["global"], 3]],
            bos_token_id=0,
            eos_token_id=0,
        )
        | settings
    )
    GPTNeoForCausalLM(config).to(dtype).save_pretrained(folder, max_shard_size=shard)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if ".safetensors" in path.name}


def written_config(folder):
    """The merge config in a folder, as mergekit reads it."""
    return MergeConfiguration.model_validate(yaml.safe_load((folder / "mergekit_config.yml").read_text()))


CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def write_chat(
    folder, seed, dtype=torch.bfloat16, words=("<|im_start|>", "<|im_end|>"), rows=None, name="llama", **more
):
    """A small chat model as a folder: a template, two stop tokens, sampling settings, a licence, code of its own."""
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(list(words), special_tokens=True)
    tokenizer.chat_template = CHAT
    settings = dict(vocab_size=rows or len(tokenizer), bos_token_id=0, eos_token_id=0, pad_token_id=None) | more
    model = build(name, seed, **settings).to(dtype)
    stops = [0, *(tokenizer.convert_tokens_to_ids(list(words))[1:2])]
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=stops, do_sample=True, temperature=0.6)
    save((model, tokenizer), folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_own.Own"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_own.py").write_text("raise SystemExit('this code was run')\n")
    (folder / "LICENSE").write_text("free\n")
    return folder
