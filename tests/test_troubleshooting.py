"""TROUBLESHOOTING.md: short entries, whose tests exist; and the cases that no other test provokes."""

import ast
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import nbformat
import pytest
import torch
from forms import for_each
from huggingface_hub import constants

from merging.errors import LoadError
from merging.load.device import get_device
from merging.load.loading import load_models
from merging.paths import ROOT

PAGE = (ROOT / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
ENTRIES = {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]}
PROVOKED = sorted({f"{file}::{name}" for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)})
NOBODY = "http://127.0.0.1:9"  # the discard port


@for_each(ENTRIES)
def test_an_entry_has_a_cause_a_way_out_and_a_test_or_a_reason(entry):
    lines = [line for line in ENTRIES[entry].splitlines() if line and not line.startswith("## ")]
    cause, way_out, test = lines
    assert cause.startswith("- *Cause.* ") and way_out.startswith("- *Way out.* ")
    assert all(len(line) <= 240 for line in lines[:2])  # two lines of a page
    assert test.startswith("- *Provoked by* `tests/") or re.match(r"- \*Not provoked:\* \w.{10,}\.$", test)


@for_each(PROVOKED)
def test_a_named_test_exists(test):
    file, name = test.split("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


# Quoted in headings, and not ours: what Python, PyTorch, the Hub's client, JupyterLab and shells say.
FOREIGN = {
    "NameError: name 'clippy' is not defined",
    "No module named 'torch'",
    "Error displaying widget",
    "not implemented for 'mps'",
    "HfHubHTTPError",
    "too many requests",
    "jupyter: ... .venv/bin/python: not found",
    "bad interpreter",
    "required file not found",
}
GAP = "\0"  # what is different each time: a value that is filled in, a number, a shape


def levelled(text):
    """A text with a gap for each value, so that a message and its quote become the same."""
    return re.sub(r"\{[^{}]*\}|\([\d, ]+\)|\d+", GAP, text)


def texts_of(source):
    """The texts in a Python file, of f-strings what is written out."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(levelled(p.value) if isinstance(p, ast.Constant) else GAP for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield levelled(node.value)


def test_a_quoted_message_is_one_that_the_code_gives():
    quotes = {quote for entry in ENTRIES for quote in re.findall(r'"([^"]+)"', entry)}
    assert FOREIGN <= quotes
    files = [file for folder in ("merging", "notebooks", "teaching") for file in (ROOT / folder).rglob("*.py")]
    messages = [text for file in files for text in texts_of(file.read_text(encoding="utf-8"))]
    for quote in quotes - FOREIGN:
        parts = ".*".join(re.escape(levelled(part)) for part in quote.split(" ... "))
        assert any(re.search(parts, message, re.DOTALL) for message in messages), quote


def test_an_exercise_that_is_run_first_misses_a_name():
    notebook = nbformat.read(ROOT / "notebooks" / "03_merge_all_layers.ipynb", as_version=4)
    [stub] = [cell.source for cell in notebook.cells if "check_03b(" in cell.source]
    with pytest.raises(NameError, match="name '.*' is not defined"):
        exec(stub, {})


@pytest.fixture
def fresh_session(monkeypatch, tmp_path):
    """Each test has a client of the Hub, and a cache, of its own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    yield monkeypatch
    huggingface_hub.close_session()


class Refusing(BaseHTTPRequestHandler):
    """A Hub that has had enough of this address."""

    def do_GET(self):
        self.server.asked += [self.path]
        self.send_response(429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


def test_a_hub_that_refuses_too_many_requests(fresh_session):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fresh_session.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(LoadError, match=r"cannot be reached \(HfHubHTTPError\).*MODEL_FAMILY=tiny"):
            load_models({"mine": "owner/model"})
    finally:
        server.shutdown()
        server.server_close()
    assert server.asked.count("/api/models/owner/model") == 1  # no retries, which would make it worse


def test_a_proxy_that_does_not_answer(fresh_session):
    for name in ("HTTP_PROXY", "http_proxy"):
        fresh_session.setenv(name, NOBODY)
    for name in ("NO_PROXY", "no_proxy"):
        fresh_session.delenv(name, raising=False)
    fresh_session.setattr(constants, "ENDPOINT", "http://hub.invalid")
    with pytest.raises(LoadError, match=r"cannot be reached \((ProxyError|ConnectError)\).*MODEL_FAMILY=tiny"):
        load_models({"mine": "owner/model"})


def test_a_backslash_in_a_windows_path():
    with pytest.raises(LoadError, match="there is no folder") as error:
        load_models({"mine": "C:\new"})  # a line break, as in the entry
    assert r"folder C:\new" in str(error.value)  # written out, so that a message stays on its line


def test_an_apple_gpu_is_taken_and_can_be_declined(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.delenv("DEVICE", raising=False)
    assert get_device() == "mps"
    monkeypatch.setenv("DEVICE", "cpu")
    assert load_models("tiny")["base"].model.device.type == "cpu"
