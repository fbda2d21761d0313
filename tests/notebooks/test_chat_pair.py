"""Notebook 11 as a reader fills it in: a chat pair in bfloat16, with two stop tokens and a template."""

import json
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from small import CHAT, write_chat
from transformers import AutoModelForCausalLM, AutoTokenizer

from merging.paths import ROOT


def lesson_cells(start):
    """The code cells of notebook 11 up to its exercises, the form filled in as start says."""
    cells = json.loads((ROOT / "notebooks" / "11_your_own_models.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code" and "exercise" not in cell["metadata"].get("tags", []):
            source = "".join(cell["source"])
            yield start if "MINE = None" in source else source


@pytest.fixture
def published(tmp_path, monkeypatch, capsys):
    """(what the notebook printed, the folder that it saved)."""
    words = ("<|im_start|>", "<|im_end|>", "<|extra|>")
    sources = {
        "first": str(write_chat(tmp_path / "first", 1, words=words, max_position_embeddings=256)),
        "second": str(write_chat(tmp_path / "second", 2, max_position_embeddings=256)),
    }
    tokenizer = AutoTokenizer.from_pretrained(sources["first"])
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    form = f"""MINE = {sources!r}
TEXTS = {{"mine": ["Grüße aus Köln", "def greet(name): ..."], "theirs": ["style: Porter", "batch_size: 25"]}}
PROMPTS = {{"chat": {prompt!r}}}
LOOK_AT = {{}}
SAVE_TO = {str(tmp_path / "published")!r}
"""
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setattr(sys, "path", list(sys.path))  # the setup cell puts ".." there
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    namespace = {}
    for source in lesson_cells(form):
        exec(compile(source, "<notebook 11>", "exec"), namespace)
    plt.close("all")
    return capsys.readouterr().out, tmp_path / "published", namespace


def test_what_a_reader_would_publish(published):
    printed, folder, notebook = published
    assert "saved in torch.bfloat16 and loaded again, the same logits: True" in printed
    assert "the merge loses <|extra|>" in " ".join(notebook["card"].notes)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16 and model.generation_config.eos_token_id == [0, 291]
    assert tokenizer.chat_template == CHAT and len(tokenizer) == 292 == model.get_input_embeddings().num_embeddings
    assert (folder / "modeling_own.py").is_file() and (folder / "LICENSE").is_file()
    card = (folder / "README.md").read_text()
    assert "im_start" not in card and "the merge loses" in card
    assert "<|im_end|>" not in repr([line for line in printed.split("\n") if "alpha = 0.3" in line and "chat" in line])
