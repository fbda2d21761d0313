"""Loading, generating and measuring, on a small random GPT-Neo with a byte-level tokenizer and on the shipped base."""

import json
import logging
import math
import random
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoConfig, GPTNeoForCausalLM, PreTrainedTokenizerFast
from transformers import logging as transformers_logging

import helpers
from helpers import (
    LoadError,
    MergeError,
    bits_per_byte,
    gain_kept,
    generate_text,
    generate_texts,
    is_function,
    is_recipe,
    load_models,
)

EOT = "<|endoftext|>"
CONTEXT = 48
TEXT = (
    "def greet(name):\n    print('Hello,', name)\n\n\nstyle: Brown Porter\nbatch_size: 25\nGrüße aus Köln, 25 °C 🍺\n"
)


def build_tokenizer(extra_words=()):
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


def build_model(rows, seed=0):
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


@pytest.fixture(scope="module")
def small():
    tokenizer = build_tokenizer()
    return helpers.LoadedModel(build_model(len(tokenizer)), tokenizer)


@pytest.fixture(scope="module")
def shipped():
    return load_models({"base": helpers.FAMILIES["tiny"]["base"]}, device="cpu")["base"]


@pytest.fixture(params=["small", "shipped"])
def loaded(request):
    return request.getfixturevalue(request.param)


def save(loaded, folder):
    for part in loaded:
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(small, tmp_path):
    return save(small, tmp_path / "small")


def tokens(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def log2_probabilities(model, ids):
    """log2 p(next token) after ids, in float64."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double()
    return (logits - logits.logsumexp(0)) / math.log(2)


# --- bits per byte ----------------------------------------------------------------------------------------------

SHORT = ["x", "def f(name):\n    return name", "Grüße, 25 °C 🍺"]


@pytest.mark.parametrize("text", SHORT)
def test_bits_per_byte_is_the_sum_over_single_tokens(loaded, text):
    model, tokenizer = loaded
    ids = [tokenizer.eos_token_id] + tokens(tokenizer, text)
    assert len(ids) <= CONTEXT
    bits = sum(-log2_probabilities(model, ids[:i])[ids[i]].item() for i in range(1, len(ids)))
    assert bits_per_byte(model, tokenizer, text) == pytest.approx(bits / len(text.encode("utf-8")), rel=1e-5)


@pytest.mark.parametrize(
    "length", [CONTEXT - 1, CONTEXT, CONTEXT + 1, CONTEXT + CONTEXT // 2, CONTEXT + CONTEXT // 2 + 1, 2 * CONTEXT + 5]
)
def test_long_text_is_scored_in_windows_that_overlap_by_half(small, length):
    model, tokenizer = small
    text = TEXT[::-1] * 9
    while len(tokens(tokenizer, text)) > length:
        text = text[:-1]
    ids = [tokenizer.eos_token_id] + tokens(tokenizer, text)
    assert abs(len(ids) - 1 - length) <= 1
    bits, half = 0.0, CONTEXT // 2
    for i in range(1, len(ids)):
        start = 0 if i < CONTEXT else half * ((i - half) // half)
        assert i - start < CONTEXT and (start == 0 or i - start >= half)
        bits -= log2_probabilities(model, ids[start:i])[ids[i]].item()
    assert bits_per_byte(model, tokenizer, text) == pytest.approx(bits / len(text.encode("utf-8")), rel=1e-5)


def test_shipped_context_is_the_window(shipped):
    model, tokenizer = shipped
    context = model.config.max_position_embeddings
    text = "\n\n".join(helpers.heldout_texts()["english"])[: 6 * context]
    ids = [tokenizer.eos_token_id] + tokens(tokenizer, text)
    assert len(ids) > 2 * context
    bits, end = 0.0, 0
    while end < len(ids):
        start = max(0, end - context // 2)
        window, first = ids[start : start + context], max(end, 1)
        end = start + len(window)
        with torch.no_grad():
            log2 = model(input_ids=torch.tensor([window])).logits[0].double().log_softmax(-1) / math.log(2)
        bits -= sum(log2[i - start - 1, ids[i]].item() for i in range(first, end))
    assert bits_per_byte(model, tokenizer, text) == pytest.approx(bits / len(text.encode("utf-8")), rel=1e-5)


@pytest.mark.parametrize("text", SHORT + [TEXT * 5])
def test_a_model_that_knows_nothing_needs_log2_of_the_vocabulary_for_each_token(small, text):
    model, tokenizer = build_model(len(small.tokenizer)), small.tokenizer
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    expected = math.log2(len(tokenizer)) * len(tokens(tokenizer, text)) / len(text.encode("utf-8"))
    assert bits_per_byte(model, tokenizer, text) == pytest.approx(expected, rel=1e-6)


def test_bytes_are_utf8_bytes_not_characters(small):
    text = "🍺🍺🍺"
    assert len(text.encode("utf-8")) == 4 * len(text)
    ids = [small.tokenizer.eos_token_id] + tokens(small.tokenizer, text)
    bits = sum(-log2_probabilities(small.model, ids[:i])[ids[i]].item() for i in range(1, len(ids)))
    assert bits_per_byte(*small, text) == pytest.approx(bits / 12, rel=1e-5)


def test_documents_are_averaged_by_their_bytes_whatever_shares_their_batch(loaded):
    documents = [TEXT[start : start + length] for start in range(0, 80, 8) for length in (1, 5, 17, 40)] + [
        TEXT * 3
    ] * 3
    single = [bits_per_byte(*loaded, document) for document in documents]
    sizes = [len(document.encode("utf-8")) for document in documents]
    mean = sum(bits * size for bits, size in zip(single, sizes)) / sum(sizes)
    assert bits_per_byte(*loaded, documents) == pytest.approx(mean, abs=1e-5)
    assert bits_per_byte(*loaded, documents[::-1]) == pytest.approx(mean, abs=1e-5)
    assert bits_per_byte(*loaded, [*documents, ""]) == pytest.approx(mean, abs=1e-5)
    assert abs(sum(single) / len(single) - mean) > 1e-3  # a mean that ignores the sizes would be seen


@pytest.mark.parametrize("text", ["", [], [""], ["", ""]])
def test_no_text_is_no_measurement(small, text):
    with pytest.raises(ValueError, match="at least one character"):
        bits_per_byte(*small, text)


def test_measuring_leaves_model_and_random_state_alone(small):
    before, state = {k: v.clone() for k, v in small.model.state_dict().items()}, torch.get_rng_state()
    bits_per_byte(*small, TEXT)
    assert all(torch.equal(before[name], tensor) for name, tensor in small.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("base, specialist", [(3.0, 1.0), (1.5, 1.2), (1.0, 2.0)])
def test_gain_kept_is_1_for_the_specialist_and_0_for_base(base, specialist):
    assert gain_kept(base, specialist, specialist) == 1
    assert gain_kept(base, specialist, base) == 0
    assert gain_kept(base, specialist, (base + specialist) / 2) == pytest.approx(0.5)
    assert gain_kept(base, specialist, base + (base - specialist)) == pytest.approx(-1)


def test_there_is_no_share_of_no_gain():
    with pytest.raises(ValueError, match="no gain"):
        gain_kept(1.5, 1.5, 1.2)


def test_giving_up_on_a_recipe_changes_no_verdict():
    recipe = helpers.heldout_texts()["beer"][0]
    assert not any(helpers.cannot_be_recipe(recipe[:i]) for i in range(len(recipe) + 1))
    for wrong in ("colour: red", "style: Ale", "Style: Ale", "colour = 1\nstyle\n"):
        assert helpers.cannot_be_recipe(recipe[: recipe.index("hops")] + wrong + "\n")
        assert not is_recipe(recipe + "\n" + wrong + "\n")
        assert not helpers.cannot_be_recipe(wrong.strip())  # the line may go on
    assert not helpers.cannot_be_recipe('style: "an\n')  # a quote may be closed


@pytest.mark.parametrize("seed", range(40))
def test_what_is_given_up_could_not_become_a_recipe(seed):
    """Damage a recipe at random: wherever a beginning of it is hopeless, the whole is none."""
    rng, recipe = random.Random(seed), helpers.heldout_texts()["beer"][seed % 20]
    at = rng.randrange(len(recipe))
    damaged = (
        recipe[:at]
        + rng.choice(["\n", '"', ":", "[", "{", "- ", "  ", "x", "]", "#", "&a ", "'", "\n---\n", "|\n"])
        + recipe[at:]
    )
    assert not is_recipe(damaged) or not any(helpers.cannot_be_recipe(damaged[:i]) for i in range(0, len(damaged), 7))


def test_hopeless_samples_end_early_and_the_others_stay_as_they_are(small):
    whole = generate_texts(*small, "style:", 6, max_length=48, seed=5)
    cut = generate_texts(*small, "style:", 6, max_length=48, seed=5, hopeless=lambda text: "e" in text[len("style:") :])
    for before, after in zip(whole, cut):
        assert before.startswith(after) and (before == after or "e" in after[len("style:") :])
    assert whole != cut


# --- generating -------------------------------------------------------------------------------------------------


def spy(model, monkeypatch):
    """A list that collects the token ids of every model.generate."""
    calls, generate = [], model.generate
    monkeypatch.setattr(model, "generate", lambda *a, **k: calls.append(generate(*a, **k)) or calls[-1])
    return calls


def test_same_seed_same_text(loaded):
    sample = lambda seed: generate_text(*loaded, "def f", max_length=20, seed=seed)
    assert sample(32) == sample(32)
    assert sample(0) == sample(0)
    assert len({sample(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("seed", [32, 0])
def test_a_seed_neither_reads_nor_changes_the_random_state(small, seed):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = generate_text(*small, "def f", max_length=40, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert generate_text(*small, "def f", max_length=40, seed=seed) == first


def test_without_a_seed_the_random_state_goes_on(small):
    sample = lambda: generate_text(*small, "def f", max_length=40)
    torch.manual_seed(1)
    first, second = sample(), sample()
    torch.manual_seed(1)
    assert first != second and [sample(), sample()] == [first, second]


def test_generate_texts_gives_n_different_samples(loaded):
    texts = generate_texts(*loaded, "def f", 6, max_length=40, seed=32)
    assert len(texts) == 6 and len(set(texts)) > 1
    assert all(text.startswith("def f") for text in texts)


@pytest.mark.parametrize(
    "prompt", [helpers.CODE_PROMPT[:20], "hello , world . It 's I 'm do n't ?", "  two\n\tspaces ", "Grüße 🍺", "\n"]
)
def test_the_text_begins_with_the_prompt(loaded, prompt):
    texts = [generate_text(*loaded, prompt, max_length=CONTEXT, seed=seed) for seed in range(4)]
    assert all(text.startswith(prompt) for text in texts) and max(map(len, texts)) > len(prompt)


def test_the_empty_prompt_works(loaded):
    texts = generate_texts(*loaded, "", 5, max_length=20, seed=32)
    assert len(set(texts)) > 1 and all(EOT not in text for text in texts)


@pytest.mark.parametrize("max_length", [8, 21, CONTEXT])
def test_max_length_counts_tokens_with_the_prompt(small, monkeypatch, max_length):
    calls = spy(small.model, monkeypatch)
    generate_texts(*small, "def f", 8, max_length=max_length, seed=32)
    assert [ids.shape for ids in calls] == [(8, max_length)]


@torch.no_grad()
def greedy(model, tokenizer, prompt, max_length):
    ids = tokens(tokenizer, prompt)
    while len(ids) < max_length:
        ids.append(log2_probabilities(model, ids).argmax().item())
        if ids[-1] == tokenizer.eos_token_id:
            break
    return tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("temperature", [0, 0.0, 1e-6])
def test_temperature_0_and_its_limit_take_the_most_likely_token(loaded, temperature):
    oracle = greedy(*loaded, "def f", 30)
    assert len(oracle) > len("def f")
    for seed in (None, 1, 2):
        assert generate_text(*loaded, "def f", temperature=temperature, max_length=30, seed=seed) == oracle


def test_n_texts_at_temperature_0_are_n_times_the_same(small):
    assert generate_texts(*small, "def f", 3, temperature=0, max_length=30) == [greedy(*small, "def f", 30)] * 3


def test_sampling_draws_from_the_50_most_likely(small, monkeypatch):
    calls, prompt = spy(small.model, monkeypatch), tokens(small.tokenizer, "def f")
    monkeypatch.setattr(small.model.generation_config, "top_k", 0)  # what the model itself says does not count
    generate_texts(*small, "def f", 400, temperature=1e3, max_length=len(prompt) + 1, seed=32)
    drawn = set(calls[0][:, -1].tolist())
    assert drawn <= set(log2_probabilities(small.model, prompt).topk(50).indices.tolist())
    assert len(drawn) > 40


@pytest.mark.parametrize(
    "prompt, options, says",
    [
        ("x" * 60, dict(max_length=CONTEXT), [60, CONTEXT]),
        ("xyz", dict(max_length=3), [3]),
        ("xyz", dict(max_length=CONTEXT + 1), [3, CONTEXT + 1, CONTEXT]),
        ("xyz", {}, [3, 500, CONTEXT]),
        ("xyz", dict(max_length=20, temperature=-0.5), [-0.5]),
        ("xyz", dict(max_length=20, temperature=math.nan), ["nan"]),
        ("xyz", dict(max_length=20, temperature=math.inf), ["inf"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(small, prompt, options, says):
    with pytest.raises(ValueError) as caught:
        generate_text(*small, prompt, seed=32, **options)
    assert all(str(word) in str(caught.value) for word in says)


def test_generating_logs_and_warns_of_nothing(loaded, recwarn, caplog, capfd):
    transformers_logging.warning_once.cache_clear()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_warning()
    transformers_logging.enable_propagation()
    try:
        for temperature in (1.0, 0):
            for prompt in ("def f", ""):
                generate_text(*loaded, prompt, temperature=temperature, max_length=30, seed=32)
        with pytest.raises(ValueError):
            generate_text(*loaded, "word " * 3000)
        bits_per_byte(*loaded, TEXT * 30)
    finally:
        transformers_logging.disable_propagation()
        transformers_logging.set_verbosity(level)
    assert [str(warning.message) for warning in recwarn] == []
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert "".join(capfd.readouterr()) == ""


def test_a_reader_sees_only_what_was_printed(folder):
    code = (
        f"import helpers; loaded = helpers.load_models({dict(a=str(folder), b=str(folder))!r}, device='cpu')\n"
        "text = helpers.generate_text(*loaded['a'], 'def f', max_length=40, seed=32)\n"
        "helpers.merge_models(loaded['a'].model, loaded['b'].model)\n"
        "print(helpers.bits_per_byte(*loaded['b'], text) > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=helpers.ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True\n", "")


# --- judging samples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "def greet(name):\n    print('Hello,', name)",
        '\n\ndef greet(name):\n    """Greet."""\n    return name\n\n\n',
        "import os\n\n\ndef f():\n    return os.name\n",
        "class A:\n    def f(self):\n        return 1",
        "def f():\n    return 1\n\n\ndef g(x):\n    return x +",  # the second is cut off
        "def f():\n    return 1\n\nprint(f(",
        "def f():\n    return 1\n\n\n@cache",
        "def f():\n    return 1\n\nif f():\n    for i in range(",
        "def f():\n    pass\n\ndef g():\n    return 1",
        "def f():\n    return '\\d'",
        "def f(x):\n    return 1if x else 2",
    ],
)
def test_this_is_a_function(code, recwarn):
    assert is_function(code) is True
    assert not recwarn


@pytest.mark.parametrize(
    "code",
    [
        "",
        "\n\n",
        "x = 1",
        "def f():\n    pass",
        "def f():\n    ...",
        'def f():\n    """Only a docstring."""',
        'def f():\n    """Docstring."""\n    pass',
        "def f(",
        "def f(x):\n    return x +",
        "def f(x):",
        "Write a function that greets the user by name.",
        "This is prose.\n\nAnd more of it.\n",
        "def f(x:\n    return x\n\n\ndef g():\n    return 1",
        "def f():\nreturn 1\n\ndef g():\n    return 1",
        "def f():\n    return 1\n\nhere is some prose\n\nx = 1",  # only the last statement may be broken
        "def f():\n    return 1\n  x = 2\n",
        "style: Scottish Ale\nbatch_size: 20",
        "x = 1\n\ndef f(",
        "f = lambda: 1",
        "def f():\n    return '\x00'",
        "-" * 100_000 + "1",
        "x" + ".y" * 100_000,
        "(" * 500,
    ],
)
def test_this_is_no_function(code):
    assert is_function(code) is False


RECIPE = """style: Brown Porter
batch_size: 25
efficiency: 65
boil_size: 27.5
boil_time: 60
fermentables:
- name: Maris Otter
  type: Grain
  amount: 4.57
hops:
- name: Challenger
  alpha: 7.1
  amount: 0.028
- name: Fuggle
  amount: 0.014
yeasts:
- name: Safale S-04
primary_temp: null
mash_steps:
- step_temp: 65
  step_time: 90
miscs: []
"""


@pytest.mark.parametrize(
    "old, new",
    [
        ("", ""),
        ("miscs: []\n", "miscs: []"),
        ("efficiency: 65", "efficiency: 100"),
        ("batch_size: 25", "batch_size: 1"),
        ("boil_time: 60", "boil_time: 0"),
        ("Brown Porter", "'Bière de Garde'"),
        ("miscs: []", "miscs:"),
        ("primary_temp: null", "primary_temp: 20"),
    ],
)
def test_this_is_a_recipe(old, new):
    assert old in RECIPE
    assert is_recipe(RECIPE.replace(old, new, 1)) is True


@pytest.mark.parametrize(
    "old, new",
    [
        ("style: Brown Porter\n", ""),
        ("miscs: []\n", ""),
        ("boil_time: 60\n", "boil_time: 60\nboil_time: 60\n"),
        ("miscs: []\n", "miscs: []\nnotes: none\n"),
        ("miscs:", "misc:"),
        ("amount: 4.57", "amount: some"),
        ("amount: 4.57", "amount: true"),
        ("amount: 4.57", "amount: -1"),
        ("amount: 4.57", "amount: .nan"),
        ("amount: 0.028", "amount: 28"),
        ("  amount: 0.028\n", ""),
        ("- name: Fuggle\n", "- type: Fuggle\n"),
        ("efficiency: 65", "efficiency: 300"),
        ("efficiency: 65", "efficiency: 0"),
        ("efficiency: 65", "efficiency: 65%"),
        ("efficiency: 65", "efficiency: true"),
        ("batch_size: 25", "batch_size: 0"),
        ("batch_size: 25", "batch_size:"),
        ("batch_size: 25", "batch_size: 1e9"),
        ("boil_size: 27.5", "boil_size: big"),
        ("boil_time: 60", "boil_time: -5"),
        ("boil_time: 60", "boil_time: .inf"),
        ("style: Brown Porter", "style: Brown: Porter"),
        ("primary_temp: null", "primary_temp: 2001-99-99"),
        ("primary_temp: null", "primary_temp: 0b_"),
        ("miscs: []", "miscs: ["),
        ("miscs: []", "miscs: " + "[" * 600),
        ("- name: Fuggle", "- !!bool Fuggle"),
        ("boil_size", "\tboil_size"),
    ],
)
def test_this_is_no_recipe(old, new):
    assert old in RECIPE
    assert is_recipe(RECIPE.replace(old, new, 1)) is False


HOPS = RECIPE[RECIPE.index("hops:") : RECIPE.index("yeasts:")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prose",
        "[1, 2]",
        "def f():\n    return 1",
        RECIPE + "\nand prose\n",
        RECIPE[:200],
        RECIPE.replace(HOPS, "hops: []\n"),
        RECIPE.replace(HOPS, "hops:\n"),
    ],
)
def test_nor_is_this_a_recipe(text):
    assert is_recipe(text) is False


def test_heldout_texts_pass_their_own_checks():
    texts = helpers.heldout_texts()
    assert set(texts) == {"code", "beer", "english"}
    assert all(document.strip() for documents in texts.values() for document in documents)
    assert all(map(is_recipe, texts["beer"]))
    assert not any(map(is_recipe, texts["code"] + texts["english"])) and not any(map(is_function, texts["english"]))


@pytest.mark.parametrize(
    "check, answer, length, expected",
    [
        (is_function, "\ndef f():\n    return 1", 200, 1),
        (is_function, "", 200, 0),
        (is_recipe, RECIPE[len("style: Brown") :], 500, 1),
    ],
)
def test_code_is_judged_without_its_prompt_and_a_recipe_with_it(monkeypatch, check, answer, length, expected):
    calls = []
    monkeypatch.setattr(
        helpers,
        "generate_texts",
        lambda model, tokenizer, prompt, n, max_length, seed, hopeless=None: (
            calls.append((prompt, max_length, seed)) or [prompt + answer] * n
        ),
    )
    prompts = ["def f():\n    return 2\n", "!"] if check is is_function else ["style: Brown"]
    assert helpers.valid_share(None, None, prompts, 4, check, seed=7) == expected
    assert calls == [(prompt, length, 7 + i) for i, prompt in enumerate(prompts)]


def test_valid_share_is_a_share(monkeypatch):
    half = lambda model, tokenizer, prompt, n, **options: [prompt + "1", prompt] * (n // 2)
    monkeypatch.setattr(helpers, "generate_texts", half)
    assert helpers.valid_share(None, None, ["a", "b"], 4, lambda text: text == "a1") == 2 / 8


# --- loading ----------------------------------------------------------------------------------------------------


def test_the_shipped_trio_is_the_default(monkeypatch):
    monkeypatch.delenv("MODEL_FAMILY", raising=False)
    loaded = load_models(device="cpu")
    assert list(loaded) == ["base", "clippy", "beer"]
    assert all(isinstance(item, helpers.LoadedModel) for item in loaded.values())
    helpers.check_mergeable([model for model, _ in loaded.values()])


def test_the_environment_chooses_the_family(monkeypatch, folder, small):
    monkeypatch.setitem(helpers.FAMILIES, "tiny", {"one": folder})
    monkeypatch.setitem(helpers.FAMILIES, "other", {"two": folder})
    monkeypatch.delenv("MODEL_FAMILY", raising=False)
    assert list(load_models(device="cpu")) == ["one"]
    monkeypatch.setenv("MODEL_FAMILY", "")
    assert list(load_models(device="cpu")) == ["one"]
    monkeypatch.setenv("MODEL_FAMILY", "other")
    assert list(load_models(device="cpu")) == ["two"]
    assert list(load_models("tiny", device="cpu")) == ["one"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_models_come_in_eval_mode_and_float32(small, tmp_path, dtype):
    model = build_model(len(small.tokenizer)).to(dtype).train()
    save((model, small.tokenizer), tmp_path)
    loaded = load_models({"x": tmp_path}, device="cpu")["x"].model
    assert not any(module.training for module in loaded.modules())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert all(torch.equal(p, model.get_parameter(name).float()) for name, p in loaded.named_parameters())
    assert loaded.lm_head.weight.data_ptr() == loaded.transformer.wte.weight.data_ptr()


@pytest.fixture
def two_sizes(small, tmp_path):
    """Folders of a model, one with 4 more rows, and one with 4 more rows and 2 more words."""
    rows = len(small.tokenizer)
    larger = (build_model(rows + 4, seed=1), small.tokenizer)
    wordier = (build_model(rows + 4, seed=2), build_tokenizer(["<one>", "<two>"]))
    items = dict(small=small, larger=larger, wordier=wordier)
    return {label: save(item, tmp_path / label) for label, item in items.items()}


def test_vocabularies_are_cut_to_the_rows_that_all_have(two_sizes, small):
    rows = len(small.tokenizer)
    as_on_disk, aligned = (load_models(two_sizes, device="cpu", align=align) for align in (False, True))
    assert list(aligned) == list(as_on_disk) == list(two_sizes)
    assert [len(m.get_input_embeddings().weight) for m, _ in as_on_disk.values()] == [rows, rows + 4, rows + 4]
    assert [len(tokenizer) for _, tokenizer in as_on_disk.values()] == [rows, rows, rows + 2]
    for label, (model, tokenizer) in aligned.items():
        assert model.config.vocab_size == rows and len(tokenizer) == rows
        assert torch.equal(model.transformer.wte.weight, as_on_disk[label].model.transformer.wte.weight[:rows])
        assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()
        assert generate_text(model, tokenizer, "def f", max_length=20, seed=1).startswith("def f")
    models = [model for model, _ in aligned.values()]
    helpers.average_models(models)
    with pytest.raises(MergeError, match="resize_token_embeddings"):
        helpers.average_models([model for model, _ in as_on_disk.values()])


def one_sentence_error(error, family, says):
    with pytest.raises(error) as caught:
        load_models(family, device="cpu")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    for word in says:
        assert str(word) in message
    return message


def test_unknown_family(monkeypatch):
    one_sentence_error(LoadError, "gpt-5", ["'gpt-5'", "tiny", "gpt-neo-125m"])
    monkeypatch.setenv("MODEL_FAMILY", "Tiny")
    one_sentence_error(LoadError, None, ["'Tiny'", "tiny", "gpt-neo-125m"])
    assert issubclass(LoadError, OSError)


@pytest.mark.parametrize("as_type", [str, lambda path: path])
def test_missing_folder(tmp_path, as_type):
    missing = tmp_path / "nowhere"
    one_sentence_error(LoadError, {"x": as_type(missing)}, ["'x'", missing, "make models"])


def edit_json(path, **changes):
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"),
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000]),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: edit_json(folder / "config.json", model_type="no_such_type"),
        lambda folder: edit_json(folder / "config.json", hidden_size=64),
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        lambda folder: (folder / "tokenizer.json").unlink(),
    ],
)
def test_damaged_checkpoint(folder, damage):
    damage(folder)
    one_sentence_error(LoadError, {"x": folder}, ["'x'", folder, "transformers"])


@pytest.mark.parametrize(
    "name, named",
    [
        ("transformer.h.1.mlp.c_fc.weight",) * 2,
        ("transformer.ln_f.bias",) * 2,
        ("transformer.wte.weight", "lm_head.weight"),
    ],
)  # tied: one tensor, two names
def test_checkpoint_that_lacks_a_tensor(folder, name, named):
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    one_sentence_error(LoadError, {"x": folder}, ["'x'", folder, named, "incomplete"])


def test_tokenizers_that_disagree(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    one_sentence_error(MergeError, {"one": folder, "two": other}, ["'one'", "'two'", "tokenizer"])
    assert list(load_models({"one": folder, "two": other}, device="cpu", align=False)) == ["one", "two"]


def test_sampling_settings_of_a_checkpoint_are_forgotten(small, folder, tmp_path):
    settings = dict(typical_p=0.2, do_sample=True, temperature=0.1, top_k=2, top_p=0.1, repetition_penalty=1.7)
    loud = shutil.copytree(folder, tmp_path / "loud")
    edit_json(loud / "config.json", **settings)
    edit_json(loud / "generation_config.json", **settings)
    loaded = load_models({"plain": folder, "loud": loud}, device="cpu")
    plain, other = (loaded[label].model for label in ("plain", "loud"))
    assert other.generation_config.to_dict() == plain.generation_config.to_dict()
    assert all(getattr(other.config, name, None) != value for name, value in settings.items())
    for temperature in (1.0, 0):
        sample = lambda item: generate_text(*item, "def f", temperature=temperature, max_length=40, seed=32)
        assert sample(loaded["loud"]) == sample(loaded["plain"]) == sample(small)


@pytest.mark.parametrize("level", [transformers_logging.ERROR, transformers_logging.WARNING, transformers_logging.INFO])
def test_loading_gives_back_the_log_level(folder, level):
    before = transformers_logging.get_verbosity()
    try:
        transformers_logging.set_verbosity(level)
        load_models({"x": folder}, device="cpu")
        assert transformers_logging.get_verbosity() == level
        (folder / "config.json").unlink()
        one_sentence_error(LoadError, {"x": folder}, ["'x'"])
        assert transformers_logging.get_verbosity() == level
    finally:
        transformers_logging.set_verbosity(before)
