"""Strangers' files, by kind and door: nothing runs, nothing leaks, nothing hangs; one sentence says what is wrong.

The doors: a model's folder, an adapter, a GGUF file, a merge from disk to disk. Each test sets its own bounds.
"""

import ast
import errno
import json
import os
import pathlib
import shutil
import struct
import sys
import zipfile

import pytest
import torch
import transformers
from bounds import bounded
from peft import PeftModel
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file
from small import build_tokenizer, same_bytes, write_own
from test_adapters import write_adapter
from test_gguf import write_gguf
from tokenizers.processors import TemplateProcessing

from merging.disk.checkpoints import merge_checkpoints
from merging.errors import LoadError, MergeError
from merging.load.files import read_config
from merging.load.gguf import Packaged, package_file
from merging.load.limits import first_match
from merging.load.loading import FAMILIES, load_models
from merging.load.preflight import preflight
from merging.measure.prompts import encode
from merging.paths import ROOT


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No network, a cache of the test's own, and nobody at the keyboard."""
    monkeypatch.setattr("merging.load.loading.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("merging.load.gguf.constants.HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("own") / "llama")


@pytest.fixture
def model(llama, tmp_path):
    """A sound folder that a test may damage."""
    return shutil.copytree(llama, tmp_path / "model")


@pytest.fixture
def adapter(tmp_path):
    """An adapter's settings; its weights are read later than what is tested with it."""
    return write_json(tmp_path / "lora" / "adapter_config.json", peft_type="LORA", r=2, base_model_name_or_path="a/b")


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """A whole adapter of the trio's base."""
    return write_adapter(tmp_path_factory.mktemp("adapter") / "lora")


@pytest.fixture
def gguf(tmp_path):
    (tmp_path / "gguf").mkdir()
    write_gguf(tmp_path / "gguf" / "small.gguf")
    return tmp_path / "gguf"


def write_json(file, **settings):
    """Add settings to a JSON file, which may be new; gives its folder."""
    file.parent.mkdir(exist_ok=True)
    old = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(old | settings))
    return file.parent


def within_bounds(call):
    """The call, with at most 20 seconds and a gigabyte."""

    def bounded_call(*arguments):
        with bounded(20, 1000):
            return call(*arguments)

    return bounded_call


DOORS = {
    "load_models": within_bounds(lambda source: load_models({"mine": source}, device="cpu")),
    "preflight": within_bounds(lambda source: preflight({"mine": source})),
}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


def refused(call, *words):
    """The call raises one sentence with all words in it."""
    with pytest.raises(LoadError) as caught:
        within_bounds(call)()
    message = str(caught.value)
    assert message.isprintable() and len(message) < 900, message
    assert all(str(word) in message for word in words), message
    return message


# --- nothing runs -----------------------------------------------------------------------------------------------


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A package on the path that says so when it is imported, and has a file inside and one beside it."""
    (tmp_path / "trap").mkdir()
    for name in ("__init__.py", "inside.py"):
        (tmp_path / "trap" / name).write_text("raise SystemExit('this code was run')")
    for place in ("trap/file", "beside"):
        (tmp_path / place).write_text("here")
    monkeypatch.syspath_prepend(tmp_path)


@doors
@pytest.mark.parametrize("word", ["package:trap.inside/x", "package:trap/file", str(FAMILIES["smollm2"]["base"])])
def test_package_is_no_word_of_an_adapter_or_a_reader(adapter, trap, door, word):
    write_json(adapter / "adapter_config.json", base_model_name_or_path=word)
    refused(lambda: door(adapter), word)
    refused(lambda: door(word), word)
    assert "trap" not in sys.modules


def test_a_packages_file_is_found_without_importing_it_and_is_inside(trap, tmp_path):
    assert package_file("m", Packaged("trap", "file")) == tmp_path / "trap" / "file"
    for package, file in (("trap", "../beside"), ("trap", str(tmp_path / "beside")), ("trap.inside", "file")):
        refused(lambda: package_file("m", Packaged(package, file)), "Model 'm'")
    assert "trap" not in sys.modules


CODE = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}


@pytest.mark.parametrize("kind", ["clip", "vit", "mine", "llama"])
@doors
def test_code_of_a_model_is_not_run_and_its_file_is_named(model, door, kind):
    """The type is none with a causal model, none at all, or one that needs no code."""
    (model / "mine.py").write_text("raise SystemExit('this code was run')")
    write_json(model / "config.json", model_type=kind, auto_map=CODE)
    if kind == "llama" or kind != "mine" and door is DOORS["preflight"]:  # no code is needed for what it reads
        door(model)
    else:
        refused(lambda: door(model), "'mine'", "config.json asks to run code of its own, ['mine.Config', 'mine.Model']")


@doors
def test_code_of_a_tokenizer_is_not_run_and_its_file_is_named(model, door):
    write_json(model / "tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": ["mine.Mine", None]})
    (model / "mine.py").write_text("raise SystemExit('this code was run')")
    refused(lambda: door(model), "tokenizer_config.json asks to run code of its own, [['mine.Mine', None]]")


@doors
def test_what_lies_beside_a_gguf_file_is_not_read(gguf, adapter, door):
    write_json(gguf / "tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": ["mine.Mine", None]})
    write_json(gguf / "adapter_config.json", peft_type="LORA", base_model_name_or_path="package:trap.inside/x")
    (gguf / "mine.py").write_text("raise SystemExit('this code was run')")
    (gguf / "chat_template.jinja").write_text("not of the file")
    (gguf / "generation_config.json").write_text("{")
    door(gguf / "small.gguf")
    assert "not of the file" not in "".join(
        file.read_text(errors="replace") for file in (gguf.parent / "cache").rglob("*.j*")
    )


def test_no_call_of_transformers_is_left_to_ask(model, gguf, monkeypatch):
    """Whether code may be run is decided in one function of transformers: it is never left open, and never yes."""
    write_json(model / "config.json", auto_map=CODE)
    write_json(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["mine.Mine", None]})
    said = []

    def decide(trust_remote_code, *others, **options):
        said.append(trust_remote_code)
        return trust_remote_code

    for name, module in list(sys.modules.items()):
        if name.startswith("transformers.") and "resolve_trust_remote_code" in vars(module):
            monkeypatch.setattr(module, "resolve_trust_remote_code", decide)
    for source in (model, gguf / "small.gguf"):
        for door in DOORS.values():
            door(source)
    assert len(said) > 6 and not any(trust is not False for trust in said)


def test_every_call_of_transformers_says_that_no_code_is_trusted():
    calls = {}
    for file in [ROOT / "helpers.py", *(ROOT / "merging").rglob("*.py"), *(ROOT / "lessons").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("from_pretrained", "from_config"):
                calls[f"{file.name}:{node.lineno}"] = ast.unparse(node)
    assert len(calls) > 5
    silent = [place for place, call in calls.items() if "trust_remote_code=False" not in call and "Peft" not in call]
    assert [place for place in silent if "**options" not in calls[place]] == []
    assert hasattr(transformers.dynamic_module_utils, "resolve_trust_remote_code")
    assert read_config(FAMILIES["tiny"]["base"]).model_type == "gpt_neo"


@doors
@pytest.mark.parametrize("place", ["config.json", "nested"])
def test_kernels_of_the_hub_are_not_run(model, door, place):
    asked = {"attn_implementation": "someone/kernel"}
    write_json(model / "config.json", **(asked if place == "config.json" else {"text_config": asked}))
    refused(lambda: door(model), "config.json asks for code from the Hub, 'someone/kernel'")


# --- nothing leaks ----------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "secret").write_text("do not publish")
    return tmp_path / "secret"


def replace(file, how, secret):
    """Put something else in the place of a file: a link out of its folder, a pipe, a device."""
    file.unlink(missing_ok=True)
    {
        "link": lambda: file.symlink_to(secret),
        "pipe": lambda: os.mkfifo(file),
        "device": lambda: file.symlink_to("/dev/zero"),
        "loop": lambda: file.symlink_to(file.name),
    }[how]()


NAMES = ["config.json", "tokenizer.json", "chat_template.jinja", "generation_config.json", "LICENSE", "notes.txt"]
NAMES += ["model.safetensors", "mine.py", "additional_chat_templates/tool.jinja"]
OTHERS = ("pipe", "device", "loop")  # what opening would wait for, or never end to read
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


@posix
@doors
@pytest.mark.parametrize("name, how", [(name, "link") for name in NAMES] + [(NAMES[0], how) for how in OTHERS])
def test_a_models_files_are_regular_and_its_own(model, secret, door, name, how):
    (model / name).parent.mkdir(exist_ok=True)
    replace(model / name, how, secret)
    said = refused(lambda: door(model), "'mine'", name, "no regular file of this folder")
    assert "publish" not in said


@posix
@doors
@pytest.mark.parametrize(
    "name, how",
    [("adapter_config.json", "link"), ("adapter_config.json", "pipe"), ("adapter_model.safetensors", "link")]
    + [("tokenizer.json", "device")],
)
def test_an_adapters_files_are_regular_and_its_own(adapter, secret, door, name, how):
    shutil.copy(adapter / "adapter_config.json", secret)
    replace(adapter / name, how, secret)
    refused(lambda: door(adapter), name, "no regular file of this folder")


@posix
@doors
@pytest.mark.parametrize("how", ["link", "pipe", "device"])
def test_a_gguf_file_of_a_folder_is_regular_and_its_own(gguf, secret, door, how):
    shutil.move(gguf / "small.gguf", secret)
    replace(gguf / "small.gguf", how, secret)
    refused(lambda: door(gguf), gguf / "small.gguf", "no regular file of this folder")


@posix
@pytest.mark.parametrize(
    "name, how",
    [("notes.txt", "pipe"), ("LICENSE", "link"), ("chat_template.jinja", "device"), ("tokenizer.json", "link")],
)
def test_what_is_copied_into_a_merge_is_regular_and_its_own(model, secret, tmp_path, name, how):
    replace(model / name, how, secret)
    refused(lambda: merge_checkpoints([model, model], [0.5, 0.5], tmp_path / "merge"), model / name, "no regular file")
    assert not (tmp_path / "merge").exists()


@posix
def test_a_folder_of_templates_that_is_a_link_is_not_read(model, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (model / "additional_chat_templates").symlink_to(tmp_path / "elsewhere")
    refused(lambda: preflight({"mine": model}), "additional_chat_templates is no regular file")


@posix
def test_links_within_a_folder_and_into_the_blobs_of_the_hubs_cache_are_read(model, tmp_path):
    shutil.copy(model / "config.json", model / "other.json")
    (model / "config.json").unlink()
    (model / "config.json").symlink_to("other.json")
    (model / "logs").symlink_to(tmp_path)
    (model / "server.log").symlink_to("/dev/null")  # nobody reads it
    preflight({"mine": model})  # the cache is in test_damage


# --- nothing hangs ----------------------------------------------------------------------------------------------


@doors
@pytest.mark.parametrize(
    "settings",
    [
        dict(num_hidden_layers=10**10),
        dict(num_hidden_layers=5000),
        dict(num_hidden_layers=1e10),
        dict(num_labels=10**10),
        dict(model_type="gpt_neo", num_layers=24, attention_types=[[["global", "local"], 10**10]]),
        dict(model_type="gpt2", n_layer=10**10),
        dict(model_type="gemma3", text_config=dict(num_hidden_layers=10**10)),
        dict(model_type="gemma3", text_config=dict(num_labels=10**10)),
        dict(model_type="mixtral", num_local_experts=10**10),
        dict(max_position_embeddings=10**8),
        dict(model_type="gpt2", n_positions=10**8),
        dict(rope_scaling=dict(rope_type="yarn", factor=2.0, original_max_position_embeddings=10**8)),
    ],
    ids=str,
)
def test_a_config_that_asks_for_too_much_builds_nothing(model, door, settings):
    write_json(model / "config.json", **settings)
    refused(lambda: door(model), "config.json", "it asks for ")


def test_masks_that_a_config_asks_for_are_counted_before_they_are_made(lora, tmp_path):
    """GPT-Neo makes a table of positions times positions."""
    folder = write_own(tmp_path / "neo", "gpt-neo")
    write_json(folder / "config.json", max_position_embeddings=10**6)
    adapter = shutil.copytree(lora, tmp_path / "lora")
    write_json(adapter / "adapter_config.json", base_model_name_or_path=str(folder))
    for source in (folder, adapter):
        refused(lambda: DOORS["load_models"](source), "take 2000.", "GB in float32")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refused(lambda: merge_checkpoints([folder, folder], [0.5, 0.5], tmp_path / "merge"), "take 2000.", "GB in float32")


def write_bomb(file, how):
    """A small .bin file in place of the weights in its folder, that stands for very many numbers."""
    for weights in file.parent.glob("*.safetensors"):
        weights.unlink()
    torch.save({"x.lora_A.weight": torch.zeros(1).expand(10**6, 10**6) if how == "repeated" else torch.zeros(2)}, file)
    if how == "compressed":
        with zipfile.ZipFile(file) as plain:
            parts = {entry.filename: plain.read(entry) for entry in plain.infolist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
            for name, content in parts.items():
                bomb.writestr(name, bytes(10**8) if name.endswith("data/0") else content)


@pytest.mark.parametrize("how", ["compressed", "repeated"])
def test_a_bin_file_that_stands_for_more_than_it_can_hold_is_not_unpacked(model, lora, tmp_path, how):
    folder, says = shutil.copytree(lora, tmp_path / "copy"), "more numbers than its"
    write_bomb(model / "pytorch_model.bin", how)
    write_bomb(folder / "adapter_model.bin", how)
    refused(lambda: DOORS["load_models"](model), "'mine'", "pytorch_model.bin", says)
    refused(lambda: DOORS["load_models"](folder), "'mine'", folder, says)
    for source in (model, folder):
        refused(lambda: merge_checkpoints([source, source], [0.5, 0.5], tmp_path / "merge"), says)


@doors
def test_settings_of_many_megabytes_are_not_read(model, door):
    (model / "config.json").write_bytes(b"[" + b"{}," * 4_000_000 + b"{}]")
    refused(lambda: door(model), "config.json", "12 MB, where at most 10 are read")


@doors
@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "additional_chat_templates/tool.jinja", "vocab.txt", "a.model"]
)
def test_what_says_what_a_tokenizer_is_is_not_read_beyond_a_size(model, adapter, gguf, tmp_path, door, name):
    for folder in (model, adapter, gguf):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
        os.truncate(folder / name, 10**12)
        refused(lambda: door(folder), name, "1,000,000 MB, where at most 100 are read")
    refused(lambda: merge_checkpoints([model, model], [0.5, 0.5], tmp_path / "merge"), name, "at most 100 are read")


TEMPLATES = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a text": "{{ 'x' * 10**11 }}",
}


@posix  # Windows has the clock alone
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_chat_template_without_end_is_not_used(template):
    tokenizer = build_tokenizer(["<s>"])
    begin = [("<s>", tokenizer.convert_tokens_to_ids("<s>"))]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=begin)
    tokenizer.chat_template = template
    with pytest.warns(UserWarning, match="takes too much time or memory, and is not used: say chat=True"):
        ids = within_bounds(encode)(tokenizer, "def f")
    assert ids == tokenizer("def f")["input_ids"] and encode(tokenizer, "def f", chat=True) == ids[1:]


def gguf_header(*settings, tensors=(), n=None):
    """The head of a GGUF file; a setting is a key, the number of its kind, and its bytes."""
    text = lambda words: struct.pack("<Q", len(words)) + words
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors) if n is None else n, len(settings))
    head += b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in settings)
    for name, shape in tensors:
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)
    return head


LLAMA = (b"general.architecture", 8, struct.pack("<Q", 5) + b"llama")
GGUF = {
    "an array": gguf_header((b"a", 9, struct.pack("<IQ", 4, 2**40))),
    "an array of texts": gguf_header((b"a", 9, struct.pack("<IQ", 8, 2**40))),
    "an array of arrays": gguf_header((b"a", 9, struct.pack("<IQIQ", 9, 2**40, 9, 2**40))),
    "a text": gguf_header((b"a", 8, struct.pack("<Q", 2**62))),
    "a key": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62),
    "tensors": gguf_header(LLAMA, n=2**40),
    "dimensions": gguf_header(LLAMA, n=1) + struct.pack("<QI", 0, 2**31),
    "a shape": gguf_header(LLAMA, tensors=[(b"token_embd.weight", (2**30, 2**30))]),
    "positions": gguf_header(LLAMA, (b"llama.context_length", 4, struct.pack("<I", 2**31))),
    "layers": gguf_header(LLAMA, (b"llama.block_count", 4, struct.pack("<I", 2**31))),
}


@doors
@pytest.mark.parametrize("content", GGUF.values(), ids=GGUF)
def test_a_gguf_header_that_announces_too_much_builds_nothing(tmp_path, door, content):
    (tmp_path / "bomb.gguf").write_bytes(content)
    refused(lambda: door(tmp_path / "bomb.gguf"), "bomb.gguf is damaged")


PATTERNS = {
    "rank": dict(r=3 * 10**7),
    "rank in a pattern": dict(rank_pattern={"q_proj": 3 * 10**7}),
    "backtracking in alphas": dict(alpha_pattern={"(.|.)*[!?]": 4}),
    "no pattern": dict(alpha_pattern={"(": 4}),
    "text for a rank": dict(r="4"),
    "another rank than its tensors": dict(r=3),
    "infinite alpha": dict(lora_alpha=float("inf")),
    "changed weights": dict(init_lora_weights="pissa_niter_99999999"),
}


@pytest.mark.parametrize("settings", PATTERNS.values(), ids=PATTERNS)
def test_an_adapters_ranks_and_patterns_are_bounded(lora, tmp_path, settings, monkeypatch):
    monkeypatch.setattr("merging.load.limits.PATIENCE", 0.5)
    folder = shutil.copytree(lora, tmp_path / "copy")
    write_json(folder / "adapter_config.json", **settings)
    refused(lambda: load_models({"base": FAMILIES["tiny"]["base"], "mine": folder}, device="cpu"), "'mine'", folder)


def test_of_a_pattern_of_an_adapter_nothing_else_is_matched(lora, tmp_path):
    """What the file says of its modules is in the names of its tensors already."""
    folder = shutil.copytree(lora, tmp_path / "copy")
    load = lambda: load_models({"base": FAMILIES["tiny"]["base"], "mine": folder}, device="cpu")["mine"].model
    expected = load()
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        write_json(folder / "adapter_config.json", **{key: "(.*.*)*.*q!"})
    assert same_bytes(load(), expected)


def test_ranks_and_alphas_by_pattern_are_those_that_peft_uses(tmp_path):
    patterns = dict(rank_pattern={"c_fc": 2, r"h\.1\..*out_proj": 3}, alpha_pattern={"q_proj": 5, "1.mlp.c_fc": 7})
    folder = write_adapter(tmp_path / "lora", **patterns)
    base = load_models({"base": FAMILIES["tiny"]["base"]}, device="cpu")["base"].model
    expected = PeftModel.from_pretrained(base, str(folder)).merge_and_unload()
    assert same_bytes(load_models({"mine": folder}, device="cpu")["mine"].model, expected)


@pytest.mark.parametrize("pattern, name, found", [("q", "a.q", True), ("q", "aq", False), ("a.q", "b.a.q", True)])
def test_a_pattern_is_matched_as_peft_matches_it(pattern, name, found):
    assert (first_match([pattern], [name])[name] == pattern) is found
    assert (get_pattern_key([pattern], name) == pattern) is found


# --- one sentence -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["clip", "vit", "rag", "encoder-decoder", "wav2vec2"])
def test_preflight_of_what_is_no_model_of_language(model, llama, kind):
    (model / "config.json").write_text(json.dumps(dict(model_type=kind)))
    for sources in ({"mine": model, "own": llama}, {"own": llama, "mine": model}, {"mine": model, "again": model}):
        try:
            card = within_bounds(preflight)(sources)
        except LoadError as error:  # transformers before 5.23 do not read some of these at all
            assert "\n" not in str(error) and "config.json is no configuration" in str(error)
            return
        assert len({len(row) for row in card.rows}) == 1
        assert any(f"is a {kind}, no model of language" in refusal for refusal in card.refusals)
    refused(lambda: DOORS["load_models"](model), f"'mine' is a {kind}, no model of language")
    with pytest.raises(MergeError, match=f"is a {kind}, no model of language"):
        merge_checkpoints([model, model], [0.5, 0.5], model.parent / "merge")


def test_clip_is_no_model_of_language_though_its_class_is_known(model):
    part = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    settings = dict(model_type="clip", architectures=["CLIPModel"], text_config=part, vision_config=part)
    (model / "config.json").write_text(json.dumps(settings))
    assert len(preflight({"mine": model, "again": model}).refusals) == 2
    refused(lambda: DOORS["load_models"](model), "'mine' is a clip, no model of language")


@posix
@pytest.mark.parametrize(
    "source", ["./loop", "x" * 5_000, "~nobody_of_this_name/x", "a\0b", None, 3, "closed/in"], ids=range(7)
)
@doors
def test_an_odd_path(model, tmp_path, monkeypatch, source, door):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    denied = PermissionError(errno.EACCES, "Permission denied")
    is_dir = pathlib.Path.is_dir
    deny = lambda path, **options: raise_(denied) if path.name == "in" else is_dir(path, **options)
    monkeypatch.setattr(pathlib.Path, "is_dir", deny)
    refused(lambda: door(source), "Model 'mine': ")


def raise_(error):
    raise error


@doors
@pytest.mark.parametrize("part", ["pre_tokenizer", "normalizer"])
def test_a_pattern_that_makes_the_tokenizers_library_give_up(model, door, part, capfd):
    words = json.loads((model / "tokenizer.json").read_text())
    pattern = dict(pattern={"Regex": "(x+x+)+y"})
    kinds = {"pre_tokenizer": dict(type="Split", behavior="Isolated", invert=False), "normalizer": dict(type="Replace")}
    words[part] = kinds[part] | pattern | (dict(content="z") if part == "normalizer" else {})
    (model / "tokenizer.json").write_text(json.dumps(words))
    refused(lambda: door(model), "'mine'", "cannot split text", "retry-limit")


def code(folder):
    """Weights that would run a command if they were read as Python reads such files."""

    class Command:
        def __reduce__(self):
            return os.system, (f"touch {folder / 'made'}",)

    return {"a": Command()}


def test_code_among_weights_is_not_run_and_nobody_is_advised_to_run_it(model, lora, tmp_path):
    (model / "model.safetensors").unlink()
    torch.save(code(tmp_path), model / "pytorch_model.bin")
    said = refused(lambda: DOORS["load_models"](model), "'mine'", "take a release in safetensors")
    folder = shutil.copytree(lora, tmp_path / "copy")
    (folder / "adapter_model.safetensors").unlink()
    torch.save(code(tmp_path), folder / "adapter_model.bin")
    said += refused(lambda: DOORS["load_models"](folder), "'mine'", "take a release in safetensors")
    assert "weights_only" not in said and not (tmp_path / "made").exists()


@pytest.mark.parametrize("tensors", [{}, {"x.lora_A.weight": 3}, [1], {"x.lora_A.weight": torch.tensor(1.0)}], ids=str)
def test_an_adapter_that_holds_no_tensors(lora, tmp_path, tensors):
    folder = shutil.copytree(lora, tmp_path / "copy")
    (folder / "adapter_model.safetensors").unlink()
    torch.save(tensors, folder / "adapter_model.bin")
    refused(lambda: DOORS["load_models"](folder), "'mine'", folder)
