"""Bits per byte against sums over single tokens, and what counts as a function or a recipe."""

import math
import random

import pytest
import torch
from bounds import bounded
from small import CONTEXT, TEXT, build_talker, log2_probabilities, tokens

from merging.measure import samples
from merging.measure.bits import bits_per_byte, gain_kept, scorer
from merging.measure.samples import valid_share
from merging.measure.texts import heldout_texts
from merging.measure.valid import cannot_be_recipe, is_function, is_recipe

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
    text = "\n\n".join(heldout_texts()["english"])[: 6 * context]
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
    model, tokenizer = build_talker(len(small.tokenizer)), small.tokenizer
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


def test_the_scores_of_a_view_are_bits_per_byte(random_trio, tokenizer):
    texts = {
        "code": ["def f(x):\n    return x", "x"],
        "beer": ["style: Kölsch"],
        "english": ["A day.", "Two days later."],
    }
    scores = scorer(texts, tokenizer)(random_trio["beer"])
    assert scores == {
        kind: pytest.approx(bits_per_byte(random_trio["beer"], tokenizer, documents), rel=1e-5)
        for kind, documents in texts.items()
    }


@pytest.mark.parametrize("base, specialist", [(3.0, 1.0), (1.5, 1.2), (1.0, 2.0)])
def test_gain_kept_is_1_for_the_specialist_and_0_for_base(base, specialist):
    assert gain_kept(base, specialist, specialist) == 1
    assert gain_kept(base, specialist, base) == 0
    assert gain_kept(base, specialist, (base + specialist) / 2) == pytest.approx(0.5)
    assert gain_kept(base, specialist, base + (base - specialist)) == pytest.approx(-1)


@pytest.mark.parametrize(
    "specialist, said",
    [
        (1.9, []),
        (1.95, []),
        (1.97, ["gains 0.030 bits per byte over base's 2.000, less than 2 %: a share of so small a gain says little"]),
        (2.1, ["needs 0.100 bits per byte more than base's 2.000, so there is no gain: a share of a loss says little"]),
    ],
)
def test_a_share_of_a_small_gain_or_of_a_loss_says_so(specialist, said, recwarn):
    gain_kept(2.0, specialist, 1.8)
    start, end = "On this text the specialist ", ". Choose a text that the specialist was made for."
    assert [str(each.message) for each in recwarn] == [start + words + end for words in said]


def test_there_is_no_share_of_no_gain():
    with pytest.raises(ValueError, match="no gain"):
        gain_kept(1.5, 1.5, 1.2)


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


def test_giving_up_on_a_recipe_changes_no_verdict():
    recipe = heldout_texts()["beer"][0]
    assert not any(cannot_be_recipe(recipe[:i]) for i in range(len(recipe) + 1))
    for wrong in ("colour: red", "style: Ale", "Style: Ale", "colour = 1\nstyle\n"):
        assert cannot_be_recipe(recipe[: recipe.index("hops")] + wrong + "\n")
        assert not is_recipe(recipe + "\n" + wrong + "\n")
        assert not cannot_be_recipe(wrong.strip())  # the line may go on
    assert not cannot_be_recipe('style: "an\n')  # a quote may be closed


def test_what_is_given_up_could_not_become_a_recipe():
    """Damage recipes at random: wherever a beginning of one is hopeless, the whole is none."""
    for seed in range(40):
        rng, recipe = random.Random(seed), heldout_texts()["beer"][seed % 20]
        at = rng.randrange(len(recipe))
        signs = ["\n", '"', ":", "[", "{", "- ", "  ", "x", "]", "#", "&a ", "'", "\n---\n", "|\n"]
        damaged = recipe[:at] + rng.choice(signs) + recipe[at:]
        hopeless = any(cannot_be_recipe(damaged[:i]) for i in range(0, len(damaged), 7))
        assert not (is_recipe(damaged) and hopeless), damaged


def test_heldout_texts_pass_their_own_checks():
    texts = heldout_texts()
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
        samples,
        "generate_texts",
        lambda model, tokenizer, prompt, n, max_length, seed, hopeless=None: (
            calls.append((prompt, max_length, seed)) or [prompt + answer] * n
        ),
    )
    prompts = ["def f():\n    return 2\n", "!"] if check is is_function else ["style: Brown"]
    assert valid_share(None, None, prompts, 4, check, seed=7) == expected
    assert calls == [(prompt, length, 7 + i) for i, prompt in enumerate(prompts)]


def test_valid_share_is_a_share(monkeypatch):
    half = lambda model, tokenizer, prompt, n, **options: [prompt + "1", prompt] * (n // 2)
    monkeypatch.setattr(samples, "generate_texts", half)
    assert valid_share(None, None, ["a", "b"], 4, lambda text: text == "a1") == 2 / 8


def doubled(way, depth=24):
    """YAML in which each map holds the one before it nine times over."""
    part = lambda i: way.format(", ".join([f"*a{i - 1}"] * 9))
    return "".join(f"a{i}: &a{i} {part(i) if i else '{x: 1}'}\n" for i in range(depth))


@pytest.mark.parametrize(
    "text",
    [doubled("{{<<: [{}]}}"), doubled("[{}]"), "a: &a {x: 1}\n" + "b: *a\n" * 9_000, "- " * 9_000, "a: " + "x" * 10**7],
    ids=["merge keys", "aliases", "many aliases", "deep", "long"],
)
@pytest.mark.parametrize("end", ["", RECIPE])
@pytest.mark.parametrize("decide", [is_recipe, cannot_be_recipe])
def test_what_a_model_writes_takes_no_more_than_a_recipe(text, end, decide):
    with bounded(10, 200):
        assert decide(text + end) is (decide is cannot_be_recipe) or end == "" and text.startswith("- ")
