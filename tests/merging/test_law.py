"""What we save loads in plain transformers with all that its parents had, and what is lost is said."""

import copy
import json
import re

import peft
import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from small import (
    CHAT,
    CONFIGS,
    OWN,
    build,
    build_talker,
    build_tokenizer,
    bytes_of,
    largest_difference,
    logits,
    plain_average,
    save,
    write_chat,
    write_own,
    write_tokenizer,
)
from tokenizers import processors
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from helpers import generate_text, generate_texts, load_models, merge_models
from lessons.views.explorers import alpha_explorer, predict_then_reveal
from merging.averaging import merge_selected
from merging.disk.checkpoints import merge_checkpoints
from merging.disk.saving import save_merge
from merging.errors import LoadError, MergeError
from merging.load.loading import hub_source
from merging.load.preflight import preflight
from merging.measure.bits import text_windows
from merging.measure.prompts import encode
from merging.measure.text import next_tokens, stream_text
from merging.tensors import named_weights


def write_lora(folder, base, targets, **settings):
    """A random LoRA adapter of a base in a folder, in peft's format."""
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(5)
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=targets, **settings))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(folder)
    return folder


def plain(folder, dtype="auto"):
    """A folder as plain transformers loads it, in the dtype that it is stored in, or in another."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype), AutoTokenizer.from_pretrained(folder)


def rounded(model, dtype):
    """A copy of a model in float32 with every number rounded to a dtype."""
    model = copy.deepcopy(model)
    for tensor in named_weights(model).values():
        tensor.copy_(tensor.to(dtype))
    return model


def names_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def chat_pair(tmp_path):
    return {label: write_chat(tmp_path / label, seed) for seed, label in enumerate(("first", "second"))}


def saved_both_ways(sources, tmp_path, alpha=0.5):
    """(the merge in memory, its folder, the folder of the merge from disk to disk)."""
    loaded = load_models(sources, device="cpu")
    first, second = loaded.values()
    merged = merge_models(first.model, second.model, alpha)
    shares, paths = [alpha, 1 - alpha], list(sources.values())
    return (
        merged,
        save_merge(merged, first.tokenizer, tmp_path / "memory", paths, shares),
        merge_checkpoints(paths, shares, tmp_path / "disk"),
    )


# E: lost on the way to the folder


def test_a_merge_is_saved_with_all_that_its_first_model_had(chat_pair, tmp_path):
    merged, *folders = saved_both_ways(chat_pair, tmp_path, 0.25)
    own = AutoTokenizer.from_pretrained(chat_pair["first"])
    for folder in folders:
        model, tokenizer = plain(folder)
        assert model.dtype == torch.bfloat16
        assert torch.equal(logits(plain(folder, torch.float32)[0]), logits(rounded(merged, torch.bfloat16)))
        assert model.generation_config.eos_token_id == [0, 291] and model.generation_config.temperature == 0.6
        assert tokenizer.chat_template == CHAT and tokenizer.get_vocab() == own.get_vocab()
        assert tokenizer.special_tokens_map == own.special_tokens_map
        assert json.loads((folder / "config.json").read_text())["auto_map"]
        for name in ("modeling_own.py", "LICENSE", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            assert (folder / name).read_bytes() == (chat_pair["first"] / name).read_bytes()
    assert names_of(folders[0]) == names_of(folders[1]) and bytes_of(folders[0]) == bytes_of(folders[1])


def test_a_dtype_that_is_asked_for_is_saved(chat_pair, tmp_path):
    (first, tokenizer), (second, _) = load_models(chat_pair, device="cpu").values()
    merged = merge_models(first, second)
    folder = save_merge(merged, tokenizer, tmp_path / "m", ["a/a", "b/b"], [0.5, 0.5], dtype="float32")
    model, _ = plain(folder)
    assert model.dtype == torch.float32 and torch.equal(logits(model), logits(merged))


def test_what_the_reader_changes_in_memory_is_saved(chat_pair, tmp_path):
    (first, tokenizer), (second, _) = load_models(chat_pair, device="cpu").values()
    merged = merge_models(first, second)
    merged.generation_config.eos_token_id = [291]
    tokenizer.chat_template = "{{ messages[0].content }}"
    model, tokenizer = plain(save_merge(merged, tokenizer, tmp_path / "m", ["a/a", "b/b"], [0.5, 0.5]))
    assert model.generation_config.eos_token_id == [291] and model.generation_config.temperature == 0.6
    assert tokenizer.chat_template == "{{ messages[0].content }}"


# D: numbers of tokens after a cut


def in_range(model, tokenizer):
    """Every number of a token in a model's config, in its generation settings and in its tokenizer is a row."""
    rows = model.get_input_embeddings().num_embeddings
    numbers = list(tokenizer.get_vocab().values())
    for settings in (model.config, model.generation_config):
        for name, value in settings.to_dict().items():
            if name.endswith("_token_id") and value is not None:
                numbers += value if isinstance(value, list) else [value]
    return all(0 <= i < rows for i in numbers)


@pytest.fixture
def padded_pair(tmp_path):
    """The first model has a token [PAD] in a row of its own, and stops there, too; the second has neither."""
    tokenizer = build_tokenizer()
    save(
        (build("llama", 1, vocab_size=290, eos_token_id=0, bos_token_id=0, pad_token_id=None), tokenizer),
        tmp_path / "b",
    )
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    model = build("llama", 2, vocab_size=291, eos_token_id=0, bos_token_id=0, pad_token_id=290)
    model.generation_config = GenerationConfig(eos_token_id=[0, 290], pad_token_id=290)
    tokenizer.chat_template = CHAT
    save((model, tokenizer), tmp_path / "a")
    return {"first": tmp_path / "a", "second": tmp_path / "b"}


def test_after_a_cut_every_number_of_a_token_is_a_row_and_what_is_lost_is_named(padded_pair, tmp_path, capsys):
    assert "the merge loses [PAD]" in " ".join(preflight(padded_pair).notes)
    (first, tokenizer), (second, _) = load_models(padded_pair, device="cpu").values()
    said = capsys.readouterr().out
    assert "first: [PAD]" in said and 'align="union"' in said
    folder = save_merge(merge_models(first, second), tokenizer, tmp_path / "m", list(padded_pair.values()), [0.5, 0.5])
    model, tokenizer = plain(folder)
    assert in_range(model, tokenizer) and len(tokenizer) == 290
    assert model.config.pad_token_id is None and tokenizer.pad_token is None
    assert model.generation_config.eos_token_id == 0 and tokenizer.chat_template == CHAT
    assert torch.equal(logits(model), logits(merge_models(first, second)))


def test_a_union_keeps_the_rows_that_one_parent_lacks(padded_pair, tmp_path):
    as_stored = load_models(padded_pair, device="cpu", align=False)
    joined = load_models(padded_pair, device="cpu", align="union")
    (first, tokenizer), (second, _) = joined.values()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        own, other = (named_weights(item.model)[name] for item in as_stored.values())
        assert torch.equal(named_weights(first)[name], own)
        assert torch.equal(named_weights(second)[name], torch.cat([other, own[290:]]))
    merged = merge_models(first, second)
    folder = save_merge(merged, tokenizer, tmp_path / "m", list(padded_pair.values()), [0.5, 0.5])
    model, tokenizer = plain(folder)
    assert in_range(model, tokenizer) and tokenizer.pad_token_id == 290 == model.config.pad_token_id
    assert model.generation_config.eos_token_id == [0, 290] and torch.equal(logits(model), logits(merged))


def test_a_union_moves_tokens_that_two_parents_added_in_the_same_row(tmp_path):
    sources = {label: write_chat(tmp_path / label, seed, words=words) for seed, (label, words) in enumerate(
        {"first": ("<a>", "<b>"), "second": ("<c>", "<b>", "<d>")}.items())}  # fmt: skip
    as_stored = load_models(sources, device="cpu", align=False)
    with pytest.raises(ValueError, match='align="union". gives each of them a row of its own'):
        load_models(sources, device="cpu")
    joined = load_models(sources, device="cpu", align="union")
    words = joined["first"].tokenizer.get_vocab()
    assert words == joined["second"].tokenizer.get_vocab() and sorted(words.values()) == list(range(294))
    for label, owners in (("first", {"<a>": "first", "<c>": "second"}), ("second", {"<a>": "first", "<b>": "second"})):
        table = joined[label].model.get_input_embeddings().weight
        for word, owner in owners.items():
            model, tokenizer = as_stored[owner]
            there = model.get_input_embeddings().weight[tokenizer.get_vocab()[word]]
            assert torch.equal(table[words[word]], there), (label, word)
    assert joined["second"].model.generation_config.eos_token_id == [0, words["<b>"]]


def test_a_token_in_a_spare_row_is_no_clash(tmp_path, capsys):
    sources = {
        "first": write_chat(tmp_path / "a", 1, words=("<x>", "<tool>"), rows=304),
        "second": write_chat(tmp_path / "b", 2, words=("<x>",), rows=304),
    }
    card = preflight(sources)
    assert not card.refusals and any("<tool>" in note for note in card.notes)
    load_models(sources, device="cpu")
    assert "<tool>" in capsys.readouterr().out


# J: differences nobody mentions


@pytest.mark.parametrize(
    "name, setting, value",
    [
        ("llama", "rms_norm_eps", 1e-3),
        ("llama", "max_position_embeddings", 128),
        ("gpt-neo", "layer_norm_epsilon", 1e-3),
        ("gpt-2", "scale_attn_by_inverse_layer_idx", True),
        ("mixtral", "num_experts_per_tok", 1),
        ("gemma2", "final_logit_softcapping", 3.0),
        ("granite", "embedding_multiplier", 4.0),
        ("granite", "logits_scaling", 4.0),
    ],
)
def test_every_setting_that_differs_is_said_before_the_merge(name, setting, value, tmp_path):
    sources = {"first": write_own(tmp_path / "a", name, 1), "second": write_own(tmp_path / "b", name, 2)}
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert config[setting] != value
    (tmp_path / "b" / "config.json").write_text(json.dumps(config | {setting: value}))
    card = preflight(sources)
    said = [note for note in card.refusals + card.notes if note.startswith(f"{setting} is ")]
    assert len(said) == 1 and f"in first and {value} in second" in said[0]
    first, second = (item.model for item in load_models(sources, device="cpu").values())
    with pytest.warns(UserWarning, match=f"{setting} is .* in model 1 and {value} in model 2"):
        merge_models(first, second)
    with pytest.warns(UserWarning, match=f"{setting} is .* in model 1 and {value} in model 2"):
        merge_checkpoints(sources.values(), [0.5, 0.5], tmp_path / "m")


def test_bookkeeping_is_no_difference(tmp_path):
    sources = {"first": write_own(tmp_path / "a", seed=1), "second": write_own(tmp_path / "b", seed=2)}
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    theirs = {
        "use_cache": False,
        "attention_dropout": 0.5,
        "transformers_version": "4.0",
        "_name_or_path": "x",
        "top_k": 3,
    }
    (tmp_path / "b" / "config.json").write_text(json.dumps(config | theirs))
    assert preflight(sources).notes == preflight(sources).refusals == []


# G: special tokens in prompts


CONVERSATION = [{"role": "user", "content": "Hi, 25 °C?"}]


def bos_tokenizer(bos="<|endoftext|>"):
    """A tokenizer that begins every text with a special token, as Llama's does, with a template that writes it, too."""
    tokenizer = build_tokenizer(["<|im_start|>", "<|im_end|>"])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.convert_tokens_to_ids(bos))]
    )
    tokenizer.chat_template = "{{ bos_token }}" + CHAT
    return tokenizer


@pytest.mark.parametrize(
    "template", ["{{ bos_token }}" + CHAT, CHAT, "### {% for m in messages %}{{ m.content }}{% endfor %}"]
)
def test_a_templated_prompt_gets_its_special_tokens_once_in_every_function(template):
    tokenizer, model = bos_tokenizer(), build_talker(292)
    tokenizer.chat_template = template
    text = tokenizer.apply_chat_template(CONVERSATION, tokenize=False)
    ids = tokenizer.apply_chat_template(CONVERSATION, return_dict=False)
    ids = ids["input_ids"] if isinstance(ids, dict) else ids
    assert encode(tokenizer, text) == ids and encode(tokenizer, "plain") == tokenizer("plain")["input_ids"]
    assert encode(tokenizer, "plain", chat=True) == tokenizer("plain", add_special_tokens=False)["input_ids"]
    expected = model(torch.tensor([ids])).logits[0, -1].softmax(-1)
    assert torch.equal(next_tokens(model, tokenizer, text), expected)
    greedy = model.generate(torch.tensor([ids]), max_length=40, do_sample=False, pad_token_id=0)[0, len(ids) :]
    for written in (generate_text(model, tokenizer, text, temperature=0, max_length=40),
                    generate_texts(model, tokenizer, [text, "x"], 1, temperature=0, max_length=40)[0]):  # fmt: skip
        assert written.startswith(text) and written[len(text) :] == tokenizer.decode(greedy, skip_special_tokens=True)
    streamed = list(stream_text(model, tokenizer, text, 40))
    assert streamed[-1] == generate_text(model, tokenizer, text, max_length=40, seed=32)
    (window, _), *_ = text_windows(text, tokenizer, 64)
    assert window == ([] if ids[0] == 0 else [0]) + tokenizer(text, add_special_tokens=False)["input_ids"]


def test_several_prompts_without_a_token_to_fill_with():
    tokenizer, model = build_tokenizer(), build_talker(290)
    tokenizer.eos_token = tokenizer.pad_token = None
    model.generation_config.eos_token_id = None
    prompts = ["def f(", "style: Brown Porter"]
    texts = generate_texts(model, tokenizer, prompts, 1, temperature=0, max_length=30)
    alone = [generate_text(model, tokenizer, prompt, temperature=0, max_length=30) for prompt in prompts]
    assert alone[0].startswith(texts[0]) and alone[1] == texts[1] and len(texts[0]) > len(prompts[0])


def test_a_text_ends_at_each_of_its_stop_tokens(chat_pair):
    model, tokenizer = load_models(chat_pair, device="cpu")["first"]
    assert model.generation_config.eos_token_id == [0, 291]
    for stop in (0, 291):
        with torch.no_grad():
            model.lm_head.weight.zero_()
            model.lm_head.weight[stop] = 50 * model.model.norm.weight
        assert generate_text(model, tokenizer, "ab", max_length=30, temperature=0) == "ab"
        assert list(stream_text(model, tokenizer, "ab", 30)) == ["ab"]


# H: names on disk and in memory; I: settings that contradict the weights


def rewritten(folder, change, keep=("model.safetensors",)):
    """A folder whose stored tensors went through a change of the dict name -> tensor."""
    tensors = change(load_file(folder / "model.safetensors"))
    if keep:
        save_file(tensors, folder / keep[0], metadata={"format": "pt"})
    else:
        (folder / "model.safetensors").unlink()
        torch.save(tensors, folder / "pytorch_model.bin")
    return folder


ODD_NAMES = {
    "gpt-2 without transformer.": ("gpt-2", lambda t: {n.removeprefix("transformer."): v for n, v in t.items()}),
    "a tied head stored twice": (
        "llama-tied",
        lambda t: t | {"lm_head.weight": t["model.embed_tokens.weight"].clone()},
    ),
    "tables of rotary embeddings": (
        "llama",
        lambda t: t | {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(2) for i in range(2)},
    ),
    "masks of attention": ("gpt-2", lambda t: t | {"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4).bool()}),
    "a compiled model": ("llama", lambda t: {f"_orig_mod.{n}": v for n, v in t.items()}),
    "a data-parallel model": ("llama", lambda t: {f"module.{n}": v for n, v in t.items()}),
}


def write_llava(folder, seed):
    """A folder with a random model that sees pictures."""
    torch.manual_seed(seed)
    part = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    vision, text = CLIPVisionConfig(**part, image_size=8, patch_size=4), LlamaConfig(**part | OWN)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=5)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    return write_tokenizer(folder)


OLD_PREFIXES = {
    "as transformers writes them": lambda n: n,
    "with the vision model's own": lambda n: n.replace("vision_tower.", "vision_tower.vision_model."),
    "those in memory": lambda n: (
        n.replace("language_model.lm_head", "lm_head")
        if "lm_head" in n
        else "model." + n.replace("model.model", "model")
    ),
}


@pytest.mark.parametrize("rename", OLD_PREFIXES.values(), ids=OLD_PREFIXES)
def test_prefixes_of_models_that_see_pictures_are_read_on_disk_as_in_memory(rename, tmp_path, capsys):
    sources = [write_llava(tmp_path / str(seed), seed) for seed in (0, 1)]
    read = LlavaForConditionalGeneration.from_pretrained
    expected = plain_average([read(source) for source in sources], [0.25, 0.75])
    rewritten(sources[1], lambda t: {rename(n): v for n, v in t.items()})
    _, *folders = saved_both_ways(dict(zip(("first", "second"), sources)), tmp_path, 0.25)
    assert bytes_of(folders[0]) == bytes_of(folders[1])
    for folder in folders:
        model, info = read(folder, output_loading_info=True)
        assert not any(info.values()) and largest_difference(model, expected) < 1e-6


def norms_apart(tensors):
    """Tensors in bfloat16, but those of norms as they are."""
    return {name: tensor if "norm" in name else tensor.bfloat16() for name, tensor in tensors.items()}


@pytest.mark.parametrize("told", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", ["llama", "llama-tied", "mixtral"])
def test_each_tensor_is_saved_in_the_dtype_that_the_first_model_stores_it_in(name, told, tmp_path):
    sources = [rewritten(write_own(tmp_path / str(seed), name, seed), norms_apart) for seed in (0, 1)]
    edit_config(sources[0], dtype=told)  # it may be wrong: what is stored counts
    merged, *folders = saved_both_ways(dict(zip(("first", "second"), sources)), tmp_path)
    assert bytes_of(folders[0]) == bytes_of(folders[1])
    for folder in folders:
        stored, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
        dtypes = {n: t.dtype for n, t in load_file(sources[0] / "model.safetensors").items()}
        assert {n: t.dtype for n, t in stored.items()} == dtypes and len(set(dtypes.values())) == 2
        assert config["dtype"] == "bfloat16"
        assert torch.equal(plain(folder, torch.float32)[0].model.norm.weight, merged.model.norm.weight)
    folder = save_merge(
        merged, AutoTokenizer.from_pretrained(sources[0]), tmp_path / "m", sources, [0.5, 0.5], dtype="bfloat16"
    )
    assert {t.dtype for t in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}


def test_a_data_parallel_object_and_what_torch_saves_of_it(tmp_path, capsys):
    """`module.` before every name, in a .bin file, and dtypes that differ."""
    sources = [write_own(tmp_path / str(seed), "llama", seed) for seed in (0, 1)]
    for source in sources:
        wrapped = torch.nn.DataParallel(plain(source)[0])
        rewritten(source, lambda _: norms_apart(wrapped.state_dict()), keep=())
        assert "module.lm_head.weight" in torch.load(source / "pytorch_model.bin")
    merged, *folders = saved_both_ways(dict(zip(("first", "second"), sources)), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(sources[0])
    folders.append(save_merge(torch.nn.DataParallel(merged), tokenizer, tmp_path / "m", sources, [0.5, 0.5]))
    assert "are named module.... because a wrapper was saved" in capsys.readouterr().out
    assert bytes_of(folders[0]) == bytes_of(folders[1]) == bytes_of(folders[2])
    model, info = AutoModelForCausalLM.from_pretrained(folders[0], dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()) and torch.equal(model.model.norm.weight, merged.model.norm.weight)
    assert {t.dtype for t in load_file(folders[0] / "model.safetensors").values()} == {torch.float32, torch.bfloat16}


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("odd", ODD_NAMES)
def test_names_of_other_versions_are_read_on_disk_as_in_memory(odd, which, tmp_path, capsys):
    name, change = ODD_NAMES[odd]
    sources = [write_own(tmp_path / str(seed), name, seed) for seed in (0, 1)]
    expected = plain_average([plain(source)[0] for source in sources], [0.25, 0.75])
    for i in which:
        rewritten(sources[i], change)
    merged, *folders = saved_both_ways(dict(zip(("first", "second"), sources)), tmp_path, 0.25)
    assert capsys.readouterr().out.count("It is loaded and saved once") == len(which)
    assert bytes_of(folders[0]) == bytes_of(folders[1])
    for folder in folders:
        model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        assert not any(info.values()) and largest_difference(model, expected) < 1e-6
        assert torch.equal(logits(model), logits(merged))


def test_weights_as_bin_and_an_adapter_are_sources_on_disk(tmp_path, capsys):
    first, second = (write_own(tmp_path / str(seed), "llama", seed) for seed in (0, 1))
    lora = write_lora(tmp_path / "lora", second, ["q_proj"])
    rewritten(first, dict, keep=())
    sources = {"first": first, "second": lora}
    merged, *folders = saved_both_ways(sources, tmp_path)
    assert bytes_of(folders[0]) == bytes_of(folders[1])
    assert "it is an adapter. It is loaded and saved once" in capsys.readouterr().out


def test_mixtral_is_one_model_by_two_sets_of_names(tmp_path, capsys):
    sources = {label: write_own(tmp_path / label, "mixtral", seed) for seed, label in enumerate(("first", "second"))}
    (first, tokenizer), (second, _) = load_models(sources, device="cpu").values()
    names = [name for name in named_weights(first) if ".experts." in name]
    merged = merge_selected(first, second, names, 0.5)
    paths = list(sources.values())
    folder = save_merge(merged, tokenizer, tmp_path / "m", paths, [0.5, 0.5], names)
    stored = load_file(folder / "model.safetensors")
    chosen = [name for name in stored if ".experts." in name]
    config = yaml.safe_load((folder / "mergekit_config.yml").read_text())
    filters = [each["filter"] for each in config["models"][0]["parameters"]["weight"] if "filter" in each]
    assert sorted(filters) == sorted(chosen) and len(chosen) == 2 * 4 * 3
    on_disk = merge_checkpoints(paths, [0.5, 0.5], tmp_path / "d", names=chosen)
    assert bytes_of(on_disk) == bytes_of(folder) and torch.equal(logits(plain(folder)[0]), logits(merged))


def test_a_selection_that_the_files_have_no_names_for_gets_no_merge_config(tmp_path, capsys):
    sources = [
        rewritten(write_own(tmp_path / str(i), "gpt-2", i), ODD_NAMES["gpt-2 without transformer."][1]) for i in (0, 1)
    ]
    (first, tokenizer), (second, _) = load_models({"a": sources[0], "b": sources[1]}, device="cpu").values()
    names = [name for name in named_weights(first) if ".attn." in name]
    folder = save_merge(merge_selected(first, second, names), tokenizer, tmp_path / "m", sources, [0.5, 0.5], names)
    assert not (folder / "mergekit_config.yml").exists() and "no merge config" in (folder / "README.md").read_text()


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def test_a_stale_quantisation_is_left_out(tmp_path, capsys):
    stale = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    sources = {label: edit_config(write_own(tmp_path / label, "llama", i), quantization_config=stale) for i, label in
               enumerate(("first", "second"))}  # fmt: skip
    assert not preflight(sources).refusals
    merged, *folders = saved_both_ways(sources, tmp_path)
    assert "its numbers are plain" in capsys.readouterr().out
    for folder in folders:
        assert torch.equal(logits(plain(folder)[0]), logits(merged))


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(vocab_size=2040), "has shape"),
        (dict(pad_token_id=2050), "pad_token_id|padding_idx|Padding_idx"),
        (dict(num_hidden_layers=3), "layers.2.*|lacks"),
        (dict(num_hidden_layers=1), "layers.1"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_replaces_nothing(changes, message, tmp_path, capsys):
    sources = [write_own(tmp_path / str(seed), "llama", seed) for seed in (0, 1)]
    old = merge_checkpoints(sources, [0.5, 0.5], tmp_path / "m")
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    for source in sources:
        edit_config(source, **changes)
    try:
        merge_checkpoints(sources, [0.5, 0.5], old, overwrite=True)
    except (LoadError, MergeError) as error:
        assert re.search(message, str(error)) and "\n" not in str(error)
        assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    else:  # a layer less than is stored: what has no place was named, and the merge is of the smaller model
        assert "have no place in this model" in capsys.readouterr().out
        AutoModelForCausalLM.from_pretrained(old)


# F: parts that are not read


def test_a_classifier_is_loaded_as_what_its_config_says(tmp_path, capsys):
    sources = {label: tmp_path / label for label in ("first", "second")}
    for seed, folder in enumerate(sources.values()):
        torch.manual_seed(seed)
        config = (CONFIGS["llama"])(**OWN | dict(num_labels=3, pad_token_id=0))
        LlamaForSequenceClassification(config).save_pretrained(folder)
        write_tokenizer(folder)
    merged, *folders = saved_both_ways(sources, tmp_path)
    for folder in folders:
        model = LlamaForSequenceClassification.from_pretrained(folder)
        assert torch.equal(model.score.weight, merged.score.weight) and torch.equal(logits(model), logits(merged))
    assert isinstance(merged, LlamaForSequenceClassification)


def test_tensors_without_a_place_are_named(tmp_path, capsys):
    folder = rewritten(write_own(tmp_path / "m"), lambda t: t | {"v_head.summary.weight": torch.ones(1, 16)})
    load_models({"m": folder}, device="cpu")
    assert "v_head.summary.weight" in capsys.readouterr().out


# A: tied weights; C: what is an adapter


def test_an_adapter_of_a_tied_output_layer_leaves_the_embedding_alone(tmp_path, capsys):
    base = write_own(tmp_path / "base", "llama-tied")
    loras = [write_lora(tmp_path / f"lora{i}", base, ["lm_head", "q_proj"][: 2 - i]) for i in (0, 1)]
    loaded = load_models({"base": base, "one": loras[0], "other": loras[1]}, device="cpu")
    plain_base, lora = plain(base)[0], load_file(loras[0] / "adapter_model.safetensors")
    down, up = (lora[f"base_model.model.lm_head.lora_{which}.weight"] for which in "AB")
    table, model = plain_base.get_input_embeddings().weight, loaded["one"].model
    assert torch.equal(model.get_input_embeddings().weight, table)
    assert torch.allclose(model.lm_head.weight, table + 2 * up @ down, atol=1e-6)
    assert torch.equal(logits(loaded["base"].model), logits(plain_base))
    merged = merge_models(model, loaded["other"].model)
    folder = save_merge(merged, loaded["one"].tokenizer, tmp_path / "m", ["a/a", "b/b"], [0.5, 0.5])
    assert torch.equal(logits(plain(folder)[0]), logits(merged))


def test_a_whole_model_beside_a_leftover_adapter_is_the_model(tmp_path, capsys):
    folder, other = write_own(tmp_path / "m"), write_own(tmp_path / "other", seed=1)
    before = plain(folder)[0]
    write_lora(folder, folder, ["q_proj"])
    loaded = load_models({"first": folder}, device="cpu")["first"].model
    assert largest_difference(loaded, before) == 0
    assert "holds a whole model, which is taken" in capsys.readouterr().out
    assert not preflight({"first": folder, "second": other}).notes
    merged = merge_checkpoints([folder, other], [0.5, 0.5], tmp_path / "merged")
    assert not (merged / "adapter_config.json").exists()
    assert largest_difference(plain(merged)[0], plain_average([before, plain(other)[0]], [0.5, 0.5])) < 1e-6


@pytest.mark.parametrize(
    "settings", [dict(use_dora=True), dict(modules_to_save=["lm_head"]), dict(bias="all")], ids=str
)
def test_an_adapter_beyond_plain_lora_is_refused_with_a_way_out_that_works(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = write_own(tmp_path / "base")
    lora = write_lora(tmp_path / "lora", base, ["q_proj"], **settings)
    said = []
    for ask in (load_models, preflight):
        with pytest.raises(LoadError, match="beyond plain LoRA") as caught:
            ask({"base": base, "m": lora})
        said.append(str(caught.value))
    assert said[0] == said[1]
    exec(re.search(r"peft\.Auto.*?save_pretrained\('whole'\)", said[0])[0], {"peft": peft})
    write_tokenizer(tmp_path / "whole")
    expected = peft.AutoPeftModelForCausalLM.from_pretrained(str(lora)).merge_and_unload()
    assert torch.equal(logits(load_models({"m": tmp_path / "whole"}, device="cpu")["m"].model), logits(expected))


def test_wrapped_models_are_unwrapped_and_adapters_refused_by_name(tmp_path):
    first, second = build("llama", 1).eval(), build("llama", 2).eval()
    expected = merge_models(first, second, 0.25)
    for wrap in (torch.compile, torch.nn.DataParallel):
        wrapped = wrap(first), wrap(second)
        assert largest_difference(merge_models(*wrapped, 0.25), expected) == 0
        out = build("llama", 3)
        merge_models(*wrapped, 0.25, out=wrap(out))
        assert largest_difference(out, expected) == 0
    adapted = get_peft_model(build("llama", 1), LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(MergeError, match="model.merge_and_unload"):
        merge_models(adapted, adapted)
    merge_models(adapted.merge_and_unload(), second)


def test_an_adapter_brings_its_own_tokenizer_template_and_stop_token(tmp_path):
    base = write_chat(tmp_path / "base", 0)
    lora = write_lora(tmp_path / "lora", base, ["q_proj"])
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template, tokenizer.eos_token = "{{ messages }}", "<|im_start|>"
    tokenizer.save_pretrained(lora)
    card = preflight({"first": base, "second": lora})
    assert any("chat templates" in note for note in card.notes)
    model, own = load_models({"base": base, "m": lora}, device="cpu")["m"]
    assert own.chat_template == "{{ messages }}" and own.eos_token == "<|im_start|>"
    assert model.generation_config.eos_token_id == [290, 0, 291]
    model, own = plain(save_merge(model, own, tmp_path / "m", ["a/a"], [1.0]))
    assert own.chat_template == "{{ messages }}" and model.generation_config.eos_token_id == [290, 0, 291]


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_an_adapters_template_is_taken_without_a_tokenizer_of_its_own(file, tmp_path):
    base, mine = write_chat(tmp_path / "base", 0), "{{ messages[0].content }}"
    lora = write_lora(tmp_path / "lora", base, ["q_proj"])
    (lora / file).write_text(mine if file.endswith("jinja") else json.dumps({"chat_template": mine}))
    assert any(
        "chat templates of first and second differ" in n for n in preflight({"first": base, "second": lora}).notes
    )
    model, tokenizer = load_models({"m": lora}, device="cpu")["m"]
    folders = [save_merge(model, tokenizer, tmp_path / "memory", [lora], [1.0])]
    folders.append(merge_checkpoints([lora], [1.0], tmp_path / "disk"))
    for folder in folders:
        assert plain(folder)[1].chat_template == mine and plain(folder)[1].get_vocab() == tokenizer.get_vocab()
    assert load_models({"base": base}, device="cpu")["base"].tokenizer.chat_template == CHAT


def test_a_quantised_base_is_the_base_that_is_named(tmp_path):
    base, good = write_own(tmp_path / "base"), write_own(tmp_path / "good")
    lora = write_lora(tmp_path / "lora", base, ["q_proj"])
    rewritten(base, lambda t: t | {"model.layers.0.self_attn.q_proj.weight": torch.ones(8, 16, dtype=torch.uint8)})
    edit_config(base, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    refusals = preflight({"first": good, "m": lora}).refusals
    assert len(refusals) == 1 and refusals[0].startswith("The base of m is quantised")
    with pytest.raises(LoadError, match="the base that it names, .*, is quantised.*Give the base's release"):
        load_models({"first": good, "m": lora}, device="cpu")
    load_models({"base": good, "m": lora}, device="cpu")  # the way out


# M: each message is true, and its advice works when it is followed


def test_a_folder_of_checkpoints_names_the_latest(tmp_path):
    inner = write_own(tmp_path / "run" / "checkpoint-500")
    write_tokenizer(tmp_path / "run")
    for ask in (load_models, preflight, lambda family: merge_checkpoints(family.values(), [1.0], tmp_path / "x")):
        with pytest.raises(LoadError, match=f"give {inner}"):
            ask({"m": tmp_path / "run"})
    load_models({"m": inner}, device="cpu")


def test_a_base_on_the_trainers_machine(tmp_path):
    base = write_own(tmp_path / "base")
    lora = write_lora(tmp_path / "lora", base, ["q_proj"])
    config = json.loads((lora / "adapter_config.json").read_text())
    theirs = config | {"base_model_name_or_path": "/home/somebody/llama"}
    (lora / "adapter_config.json").write_text(json.dumps(theirs))
    for ask in (load_models, preflight):
        with pytest.raises(
            LoadError, match="/home/somebody/llama, and that is not here. Give the base beside it"
        ) as caught:
            ask({"m": lora})
        assert "make models" not in str(caught.value)
    load_models({"base": base, "m": lora}, device="cpu")


@pytest.mark.parametrize(
    "source, expected",
    [
        ("owner/name@v1.0", ("owner/name", "v1.0")),
        ("https://huggingface.co/owner/name", ("owner/name", None)),
        ("https://huggingface.co/owner/name/tree/main", ("owner/name", "main")),
        ("https://huggingface.co/owner/name/blob/main/config.json", ("owner/name", "main")),
        ("hf://owner/name", ("owner/name", None)),
        ("owner/name", ("owner/name", None)),
        ("gpt2", ("gpt2", None)),
    ],
)
def test_addresses_and_revisions_are_hub_ids(source, expected):
    assert hub_source("m", source) == expected


@pytest.mark.parametrize(
    "source", ["https://huggingface.co/datasets/owner/name", "a/b/c", "https://example.org/a/b", "../x"]
)
def test_what_is_no_model_on_the_hub(source):
    with pytest.raises(LoadError) as caught:
        hub_source("m", source)
    assert "make models" not in str(caught.value)


def test_models_without_numbers(tmp_path):
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(CONFIGS["llama"]())
    with pytest.raises(MergeError, match="meta device"):
        merge_models(empty, empty)


# K: uneven alphas


@pytest.mark.parametrize("alphas", [[0, 0.25, 0.3, 0.35, 1], [0.2, 0.4, 0.6], [0, 0.5, 1]], ids=str)
def test_a_view_takes_the_alphas_it_is_given(alphas):
    tokenizer, models = build_tokenizer(), [("one", build_talker(290, 1)), ("two", build_talker(290, 2))]
    bits = [1 + i / 100 for i in range(len(alphas))]
    view = alpha_explorer(
        *models, tokenizer, alphas, {"mine": bits}, {}, {"code": "def"}, alpha=alphas[1], max_length=4
    )
    guess = predict_then_reveal(alphas, bits, ("two", "one"), "kept")
    for alpha, value in zip(alphas, bits):
        view.set(alpha=alpha)
        assert f"alpha = {alpha:.2f} (share of one), bits per byte: mine {value:.2f}" in view.words.value
        guess.set(guess=alpha)
        assert f"alpha = {alpha:.2f}" in guess.words.value
    positions = getattr(view.controls["alpha"], "options", None)
    if positions:
        assert [value for _, value in positions] == alphas
