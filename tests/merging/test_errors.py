"""Words of others in our text: printable, short, and never more than words."""

import pickle

import pytest
from markdown_it import MarkdownIt

from lessons.figures import base
from lessons.views.svg import label, svg
from merging.disk.card import model_card
from merging.errors import LoadError, MergeError, escaped, printable

HOSTILE = {
    "a tag": "<script>alert(1)</script>",
    "an image": "![x](http://evil/x.png)",
    "a link": "[click](javascript:alert(1))",
    "an address": "https://evil.example and www.evil.example",
    "a heading": "a\n\n# Heading",
    "the end of a cell": "a | b",
    "a formula": "$\\href{javascript:alert(1)}{x}$",
    "strong": "**strong** ~~gone~~",
    "an entity": "&lt;b&gt;",
    "a clear screen": "\x1b[2J\x1b[H",
    "a line that is overwritten": "safe\rgone",
    "text from right to left": "\u202etxt.exe",
    "half a character": "\ud800",
    "a long one": "x" * 10_000,
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def tokens(markdown):
    """The kinds of things that Markdown makes of a text, as GitHub does."""
    found = MarkdownIt().enable(["table", "strikethrough"]).parse(markdown)
    return {part.type for token in found for part in [token, *(token.children or [])]}, found


@hostile
def test_a_text_of_others_is_nothing_but_text_in_markdown(text):
    kinds, found = tokens(f"{escaped(text)}\n")
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    shown = "".join(part.content for part in found[1].children)
    assert shown == printable(text, 120)  # it reads as before
    assert "://" not in escaped(text) and "www." not in escaped(text)  # GitHub makes links of these


@hostile
def test_in_a_table_it_is_one_cell(text, monkeypatch):
    shown = []
    monkeypatch.setattr(base, "display", lambda what: shown.append(what.data))
    base.show_table(["", text], [["hidden_size", text], ["n", 0.5]])
    kinds, found = tokens(shown[0])
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "heading_open", "strong_open", "s_open"}
    assert [token.type for token in found].count("td_open") == 4


@hostile
def test_in_a_card_it_is_a_name_and_a_note(text):
    card = model_card([text, "owner/two"], [0.5, 0.5], ["a"], 2, {text: 1.0}, [f"the merge loses {text}."])
    body = card.split("---\n", 2)[2]
    kinds, found = tokens(body)
    assert not kinds & {"html_inline", "html_block", "image", "strong_open", "s_open"}
    links = [part.attrs["href"] for t in found for part in t.children or () if part.type == "link_open"]
    assert links == ["https://arxiv.org/abs/2203.05482"]
    assert [token.content for token in found if token.type == "inline"].count("A linear merge") == 1
    assert [token.type for token in found].count("heading_open") == 1 and len(card) < 4000


@hostile
def test_in_a_picture_it_is_a_label(text):
    from xml.dom.minidom import parseString

    page = parseString(svg(100, 100, [label(1, 2, text)], text))
    assert [node.tagName for node in page.documentElement.childNodes] == ["text"]
    assert page.documentElement.firstChild.firstChild.data == printable(text, 120)


@hostile
@pytest.mark.parametrize("kind", [LoadError, MergeError])
def test_in_a_message_it_is_one_line(text, kind):
    said = str(kind(f"Model 'm': {text} is damaged."))
    assert said.isprintable() and len(said) <= 2000
    assert str(pickle.loads(pickle.dumps(kind(text)))) == printable(text)


def test_ordinary_text_stays_as_it_is():
    for text in ("model.layers.0.self_attn.q_proj", "Grüße, 25 °C 🍺", "`fit`", "clippy's gain (a = 0.5)", "#1"):
        assert escaped(text) == printable(text) == text
