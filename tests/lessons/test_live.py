"""How a view behaves: its twin, its stream, its errors, and text that stays text."""

import asyncio
import re
import sys

import pytest
from small import PROMPTS

from helpers import generate_text
from lessons.views import explorers, live
from merging.errors import MergeError


def test_the_static_twin_is_what_the_view_shows(explorer, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(live, "display", lambda data, raw: shown.append(data))
    monkeypatch.setattr(live, "show_text", lambda *texts: shown.append(texts))
    explorer.still(alpha=0.5, prompt="beer")
    words, text = explorer.plain(explorer.words), explorer.plain(explorer.text)
    assert shown == [{"image/svg+xml": explorer.picture.value, "text/plain": words}, (PROMPTS["beer"], text)]
    assert capsys.readouterr().out == f"{words}\n" and "alpha = 0.50" in words and text.startswith(PROMPTS["beer"])


def test_the_room_for_a_text_never_shrinks(explorer, monkeypatch):
    heights = []
    for text in ("one\ntwo\n" * 40, "", "short", "long " * 1000):
        monkeypatch.setattr(explorers, "stream_text", lambda *args, text=text, **options: iter([text]))
        explorer.update()
        heights.append(float(re.search(r"min-height:([\d.]+)em", explorer.text.value)[1]))
    assert heights == sorted(heights) and heights[0] >= 80 * 1.3


def test_the_last_of_many_fast_moves_wins(explorer, random_trio, tokenizer):
    async def move():
        for alpha in (0.0, 1.0, 0.5, 0.0, 1.0, 0.5):
            explorer.controls["alpha"].value = alpha
            await asyncio.sleep(0)
        given_up = explorer.task
        explorer.controls["alpha"].value = 0.0
        await explorer.task
        return given_up

    given_up = asyncio.run(move())
    assert given_up.cancelled()
    assert explorer.plain(explorer.text) == generate_text(
        random_trio["beer"], tokenizer, PROMPTS["code"], max_length=24, seed=32
    )
    assert "alpha = 0.00" in explorer.words.value


def test_the_text_begins_before_the_bars_are_measured(explorer, random_trio, tokenizer, monkeypatch):
    real, seen = explorers.next_tokens, []

    def measured(*args):
        seen.append(explorer.plain(explorer.text))
        return real(*args)

    monkeypatch.setattr(explorers, "next_tokens", measured)
    explorer.set(alpha=1.0, prompt="beer")
    text = generate_text(random_trio["clippy"], tokenizer, PROMPTS["beer"], max_length=24, seed=32)
    assert len(seen) == 1 and text.startswith(seen[0]) and seen[0].startswith(PROMPTS["beer"]) and seen[0] != text


def test_there_is_no_streaming_in_colab(explorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())

    async def move():
        explorer.controls["alpha"].value = 1.0
        return explorer.task

    assert asyncio.run(move()) is None
    assert explorer.plain(explorer.text)


def test_an_error_is_shown_and_raised(explorer, monkeypatch):
    def broken(*args, **options):
        raise MergeError("a <b>broken</b> tensor")

    monkeypatch.setattr(explorers, "merge_into", broken)
    with pytest.raises(MergeError):
        explorer.controls["alpha"].value = 1.0
    assert "MergeError: a &lt;b&gt;broken&lt;/b&gt; tensor" in explorer.words.value


def test_an_error_while_text_streams_is_shown_and_raised(explorer, monkeypatch):
    def broken(*args, **options):
        yield "so far"
        raise RuntimeError("out of memory")

    async def move():
        explorer.controls["alpha"].value = 1.0
        await explorer.task

    monkeypatch.setattr(explorers, "stream_text", broken)
    with pytest.raises(RuntimeError):
        asyncio.run(move())
    assert "RuntimeError: out of memory" in explorer.words.value


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a & b </pre><b>"])
def test_sampled_text_stays_text(explorer, monkeypatch, text):
    monkeypatch.setattr(explorers, "stream_text", lambda *args, **options: iter([text]))
    explorer.controls["alpha"].value = 1.0
    assert text not in explorer.text.value and explorer.plain(explorer.text) == text
