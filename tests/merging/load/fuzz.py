"""Random damage to files: whatever a file holds, it is read correctly or refused in one sentence that names it.

The properties run for a few seconds with the other tests, always on the same examples (see test_damage.py).
`make fuzz` runs this file on new ones: FUZZ is the number of examples for each property.
"""

import copy
import json
import os
import struct
import sys
from pathlib import Path

import pytest
import safetensors
import torch
from bounds import bounded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from safetensors.torch import save_file

from merging.disk.stored import read_header, stored_tensors
from merging.errors import LoadError, escaped
from merging.load import gguf
from merging.load.adapters import adapter_config, adapter_tensors, base_of, scales
from merging.load.files import check_files, is_own, read_config, read_index
from merging.load.loading import find_folder, load_models
from merging.load.preflight import preflight
from merging.measure.valid import cannot_be_recipe, is_recipe

EXAMPLES = int(os.environ.get("FUZZ", 0))
examples = lambda n: settings(
    max_examples=EXAMPLES or n,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# --- damage -----------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([-1, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, 0.5, 4.0, -0.0, 1e308]),
    st.floats(),
)
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["F32", "BF16", "I8", "F4", "linear", "ties", "float16", "weight", "filter", "value", "LORA"]),
    st.sampled_from(
        ["", ".", "..", "/etc/passwd", "../outside.safetensors", "one.safetensors", "a\nb", "\x00", "\ud800"]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def places(value, path=()):
    """The path of every value inside of lists and dicts, and of the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [deeper for key, item in inside for deeper in places(item, (*path, key))]


@st.composite
def changed(draw, original):
    """A copy of a nested value, one to three parts of which are replaced, removed or added."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(value)))
        parent = part = value
        for key in path:
            parent, part = part, part[key]
        how = draw(st.integers(0, 5))
        if isinstance(part, dict) and how > 1:
            part[draw(WORDS)] = draw(VALUES)
        elif not path:
            value = draw(VALUES)
        elif how == 0:
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(VALUES)
    return value


@st.composite
def broken(draw, content):
    """Bytes of which a few are cut off, replaced or put in."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        gone = draw(st.integers(0, 9))
        new = draw(st.one_of(st.just(b""), st.binary(max_size=9), st.sampled_from([b"[" * 2000, b"{", b'"', b"null"])))
        content = content[:start] if gone == 9 else content[:start] + new + content[start + gone :]
    return content


def json_bytes(value):
    return json.dumps(value).encode("utf-8", "surrogatepass")


def damage(original):
    """The bytes of a JSON file with other values, with other bytes, or as they were."""
    plain = json_bytes(original)
    return st.one_of(changed(original).map(json_bytes), broken(plain), st.just(plain))


def refused(read, file, errors=LoadError):
    """What read() gives, or None if it raises one sentence that names the file; any other error is a finding."""
    try:
        return read()
    except errors as error:
        assert "\n" not in str(error) and str(file) in str(error) and len(str(error)) < 900
        return None


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# --- checkpoints ------------------------------------------------------------------------------------------------

HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
    "c": {"dtype": "F16", "shape": [0, 4], "data_offsets": [22, 22]},
    "d": {"dtype": "BOOL", "shape": [2], "data_offsets": [22, 24]},
}
DATA = bytes(range(24))


def with_length(header):
    return struct.pack("<Q", len(header)) + header


def check_against_the_library(file):
    """Read a header; where it is accepted, the safetensors library finds the same tensors and bytes in the file."""
    ours, content = refused(lambda: read_header(file), file), file.read_bytes()
    if ours is not None:
        with safetensors.safe_open(file, "pt") as theirs:
            assert set(theirs.keys()) == set(ours)
            for name, tensor in ours.items():
                assert theirs.get_slice(name).get_dtype() == tensor.dtype
                expected = theirs.get_tensor(name)
                assert expected.shape == tensor.shape
                stored = expected.flatten().view(torch.uint8).numpy().tobytes()
                assert content[tensor.start :][: len(stored)] == stored


@examples(100)
@given(header=changed(HEADER))
def test_a_header_with_other_values(place, header):
    file = place / "model.safetensors"
    file.write_bytes(with_length(json_bytes(header)) + DATA)
    check_against_the_library(file)


@examples(100)
@given(content=broken(with_length(json_bytes(HEADER)) + DATA))
def test_a_file_with_other_bytes(place, content):
    file = place / "model.safetensors"
    file.write_bytes(content)
    check_against_the_library(file)


@pytest.fixture(scope="session")
def sharded(tmp_path_factory):
    """A folder with two files and a third beside it, outside."""
    root = tmp_path_factory.mktemp("sharded")
    folder = root / "checkpoint"
    folder.mkdir()
    for file, name in ((folder / "one", "a"), (folder / "two", "b"), (root / "outside", "a")):
        save_file({name: torch.ones(3)}, f"{file}.safetensors", metadata={"format": "pt"})
    return folder


INDEX = {"metadata": {"total_size": 24}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}


@examples(200)
@given(content=damage(INDEX))
def test_an_index(sharded, content):
    index = sharded / "model.safetensors.index.json"
    index.write_bytes(content)
    refused(lambda: read_index(index), index)
    tensors = refused(lambda: stored_tensors(sharded), sharded)  # or one of its files
    for tensor in (tensors or {}).values():
        assert tensor.file.resolve().parent == sharded.resolve() and tensor.dtype == "F32" and tensor.shape == (3,)


CONFIG = dict(model_type="llama", hidden_size=16, num_hidden_layers=2, num_attention_heads=4, vocab_size=60, dtype=None)


@examples(100)
@given(content=damage(CONFIG))
def test_a_config(place, content):
    (place / "config.json").write_bytes(content)
    refused(lambda: read_config(place), place / "config.json")
    refused(lambda: check_files(place), place)


# --- adapters and GGUF ------------------------------------------------------------------------------------------

ADAPTER = dict(peft_type="LORA", r=2, lora_alpha=4, target_modules=["q"], base_model_name_or_path="owner/base")


@examples(100)
@given(content=damage(ADAPTER))
def test_an_adapters_settings(place, content):
    (place / "adapter_config.json").write_bytes(content)
    for read in (adapter_config, base_of):
        refused(lambda: read("m", place), place)


@examples(100)
@given(content=broken(with_length(json_bytes(HEADER)) + DATA))
def test_an_adapters_weights(place, content):
    (place / "adapter_model.safetensors").write_bytes(content)
    refused(lambda: adapter_tensors("m", place), place)


@pytest.fixture(scope="session")
def gguf_bytes(tmp_path_factory):
    from test_gguf import write_gguf

    file = tmp_path_factory.mktemp("gguf") / "small.gguf"
    write_gguf(file)
    return file.read_bytes()


@examples(100)
@given(data=st.data())
def test_a_gguf_file(place, gguf_bytes, data):
    file = Path(place / "damaged.gguf")
    head = gguf_bytes[:3000]  # magic number, counts, settings, the words of the tokenizer
    file.write_bytes(data.draw(broken(head)) + gguf_bytes[3000:])
    refused(lambda: gguf.read("m", file), file)


# --- strangers: nothing runs, nothing leaks, nothing hangs ------------------------------------------------------

MUCH = st.sampled_from([5_000, 10**10, 10**30, 1e10, 1e308])
COUNTS = st.sampled_from(["num_hidden_layers", "n_layer", "num_labels", "num_local_experts", "attention_types"])
KINDS = st.sampled_from(["llama", "gpt_neo", "gpt2", "mixtral", "gemma3", "clip", "mine"])


@examples(60)
@given(kind=KINDS, key=COUNTS, number=MUCH, nested=st.booleans())
def test_a_config_that_asks_for_much(place, kind, key, number, nested):
    part = {key: [[["global", "local"], number]] if key == "attention_types" else number}
    settings = CONFIG | {"model_type": kind} | ({"text_config": part} if nested else part)
    (place / "config.json").write_bytes(json_bytes(settings))
    with bounded(10, 500):
        refused(lambda: read_config(place), place / "config.json")


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A sound folder, and beside it a module and a package that write a file when they are imported."""
    from small import write_own

    root = tmp_path_factory.mktemp("own")
    write_own(root / "model")
    (root / "trap").mkdir()
    for file in (root / "model" / "mine.py", root / "trap" / "__init__.py"):
        file.write_text(f"open({str(root / 'made')!r}, 'w')")
    sys.path.insert(0, str(root))
    yield root / "model"
    sys.path.remove(str(root))


CODE = st.sampled_from([None, "mine.Model", ["mine.Mine", None], "mine--mine.Model", 3])
AUTO = st.fixed_dictionaries(
    {}, optional={key: CODE for key in ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer")}
)


@examples(40)
@given(kind=KINDS, model=AUTO, words=AUTO, name=st.sampled_from(["Mine", "GPT2Tokenizer", "PreTrainedTokenizerFast"]))
def test_code_that_files_ask_for(own, kind, model, words, name):
    config, tokenizer = own / "config.json", own / "tokenizer_config.json"
    before = config.read_bytes(), tokenizer.read_bytes()
    config.write_bytes(json_bytes(json.loads(before[0]) | {"model_type": kind, "auto_map": model}))
    tokenizer.write_bytes(json_bytes({"auto_map": words, "tokenizer_class": name}))
    try:
        with pytest.MonkeyPatch.context() as patch, bounded(20, 1000):
            patch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
            for load in (load_models, preflight):
                refused(lambda: load({"m": own}), "'m'")
    finally:
        config.write_bytes(before[0]), tokenizer.write_bytes(before[1])
    assert not (own.parent / "made").exists()


BASES = [
    "package:trap/file",
    "package:trap.inside/file",
    "package:../file",
    "trap",
    "~nobody/x",
    "/dev/zero",
    "x" * 5_000,
]


@examples(40)
@given(word=st.one_of(WORDS, st.sampled_from(BASES)))
def test_a_base_that_an_adapter_names(own, place, word):
    with pytest.MonkeyPatch.context() as patch, bounded(10, 500):
        patch.setattr("merging.load.loading.constants.HF_HUB_OFFLINE", True)
        refused(lambda: find_folder("m", word), "'m'")
    assert "trap" not in sys.modules


@examples(40)
@given(
    name=st.sampled_from(["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "LICENSE"]),
    how=st.sampled_from(["link", "pipe", "device"]),
)
def test_a_file_that_is_no_file_of_its_folder(own, name, how):
    file, aside = own / name, own.parent / "aside"
    if file.exists():
        file.rename(aside)
    try:
        os.mkfifo(file) if how == "pipe" else file.symlink_to("/dev/zero" if how == "device" else "/etc/passwd")
        with bounded(10, 500):
            assert refused(lambda: check_files(own), file) is None and not is_own(own, name)
            with pytest.raises(LoadError):
                check_files(own)
    finally:
        file.unlink()
        if aside.exists():
            aside.rename(file)


@examples(100)
@given(data=st.data(), number=st.sampled_from([1 << 20, 1 << 31, 1 << 40, (1 << 62) - 1]))
def test_a_number_in_a_gguf_header(place, gguf_bytes, data, number):
    counts = [i for i in range(8, 8000) if 0 < struct.unpack_from("<Q", gguf_bytes, i)[0] < 10_000]
    file, start = place / "large.gguf", data.draw(st.sampled_from(counts))
    file.write_bytes(gguf_bytes[:start] + struct.pack("<Q", number) + gguf_bytes[start + 8 :])
    with bounded(10, 500):
        refused(lambda: gguf.read("m", file), file)


PIECES = st.recursive(
    st.sampled_from([".", "a", "q", r"\w", "[!?]", ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("({0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from("*+?")).map("({0[0]}){0[1]}".format),
    ),
)


@examples(40)
@given(
    key=st.sampled_from(["rank_pattern", "alpha_pattern"]),
    pattern=st.one_of(PIECES, st.tuples(PIECES, PIECES).map("({0[0]}|{0[1]}|.|.)*[!?]".format)),
    number=st.one_of(st.just(2), NUMBERS),
)
def test_the_patterns_of_an_adapter(place, key, pattern, number):
    tensors = {f"base_model.model.h.{i}.attention.q_proj.lora_A.weight": torch.zeros(2, 4) for i in range(3)}
    with pytest.MonkeyPatch.context() as patch, bounded(20, 500):
        patch.setattr("merging.load.limits.PATIENCE", 0.05)
        refused(lambda: scales("m", place, ADAPTER | {key: {pattern: number}}, tensors), place)


WAYS = st.sampled_from(["{{<<: [{}]}}", "[{}]", "{{<<: *a0, b: [{}]}}", "{{x: [{}]}}"])


@examples(40)
@given(way=WAYS, deep=st.integers(1, 25), wide=st.integers(1, 9), decide=st.sampled_from([is_recipe, cannot_be_recipe]))
def test_yaml_that_holds_itself(way, deep, wide, decide):
    lines = [f"a{i}: &a{i} {way.format(', '.join([f'*a{i - 1}'] * wide))}\n" for i in range(1, deep + 1)]
    with bounded(10, 500):
        assert decide("a0: &a0 {x: 1}\n" + "".join(lines)) in (True, False)


MARKS = st.sampled_from(
    ["<b>", "[", "](x)", "|", "\n# ", "`", "**", "$", "https://x", "www.x", "&lt;", "\x1b[2J", "\\", "~~", "\u202e"]
)


@examples(100)
@given(text=st.lists(st.one_of(MARKS, st.text(max_size=3)), max_size=9).map("".join))
def test_words_of_others_stay_words(text):
    shown = escaped(text)
    assert shown.isprintable() and "://" not in shown and str(LoadError(text)).isprintable()
    kinds = {
        part.type
        for token in MarkdownIt().enable(["table", "strikethrough"]).parse(f"x {shown}")
        for part in token.children or ()
    }
    assert kinds <= {"text", "text_special", "code_inline"}
