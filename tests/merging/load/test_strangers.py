"""Strangers' files, by kind and door: nothing runs, nothing leaks, nothing hangs; one sentence says what is wrong.

The doors: a model's folder, an adapter, a GGUF file; what is copied from disk to disk is in test_checkpoints.
"""

import ast
import json
import shutil
import sys

import pytest
import transformers
from bounds import bounded
from small import write_own
from test_gguf import write_gguf

from merging.errors import LoadError
from merging.load.files import read_config
from merging.load.gguf import Packaged, package_file
from merging.load.loading import FAMILIES, load_models
from merging.load.preflight import preflight
from merging.paths import ROOT


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No network, a cache of the test's own, nobody at the keyboard, and bounds on time and memory."""
    monkeypatch.setattr("merging.load.loading.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("merging.load.gguf.constants.HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    with bounded(20, 1000):
        yield


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


DOORS = {
    "load_models": lambda source: load_models({"mine": source}, device="cpu"),
    "preflight": lambda source: preflight({"mine": source}),
}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


def refused(call, *words):
    """The call raises one sentence with all words in it."""
    with pytest.raises(LoadError) as caught:
        call()
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
        if name.startswith("transformers.") and hasattr(module, "resolve_trust_remote_code"):
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
