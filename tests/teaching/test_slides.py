"""The slides show what the notebooks hold, fit the hour, fetch nothing, and say so when something is missing."""

import re

import nbformat
import pytest
from forms import for_each
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from merging.paths import ROOT
from teaching import slides

TALK = slides.read_talk()


@pytest.fixture(scope="module")
def page():
    return slides.build(TALK)


def numbers(text):
    return re.findall(r"\d+(?:\.\d+)?", text)


def words_of(name, heading):
    """What a reader of these cells sees."""
    cells = slides.section_cells(nbformat.read(ROOT / "notebooks" / name, as_version=4), heading)
    seen = [cell.source for cell in cells]
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        seen += [output.get("text", ""), output.get("evalue", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(seen)


def test_the_talk_takes_an_hour():
    assert sum(slide["minutes"] for slide in TALK) == 60


@for_each(TALK)
def test_a_slide_says_only_what_its_notebook_says(slide):
    assert set(slide) <= {"title", "minutes", "from", "section", "show", "crop", "text", "below", "notes"}
    assert len(slide["notes"].split()) >= 5
    if "from" in slide:
        known = set(numbers(words_of(slide["from"], None)))
        said = re.sub(r"0\.99³⁰⁰", "", slide.get("text", "") + slide.get("below", ""))
        assert set(numbers(said)) - {"01"} <= known


def test_each_slide_is_there_with_its_notes_and_its_piece(page):
    assert page.count('<aside class="notes">') == len(TALK)
    assert page.count("<section") == 2 * len(TALK)  # nbconvert wraps each slide twice
    shown = [show.split()[0] for slide in TALK for show in slides.wanted(slide)]
    assert len(re.findall(r'<img alt="[^"]{20,}"', page)) == shown.count("picture")
    assert len(re.findall(r'<svg aria-label="[^"]{20,}"', page)) == shown.count("drawing")
    assert page.count("<table") == shown.count("table")


def test_the_page_fetches_nothing(page):
    targets = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)|@import[^;]*;|url\(([^)]+)\)""", page)
    outside = [
        t for pair in targets for t in pair if t and not t.startswith(("data:", "'data:", '"data:', "reveal.js/"))
    ]
    assert outside == []


def test_all_pictures_have_alt_text(page):
    assert "No description has been provided" not in page  # what nbconvert says where there is none


@pytest.mark.parametrize(
    "change, says",
    [({"section": "No such heading"}, "No such heading"), ({"show": "picture 9"}, "has no picture 9")],
)
def test_a_piece_that_went_away_is_named(change, says):
    slide = next(slide for slide in TALK if slide.get("show") == "picture 1" and "section" in slide)
    with pytest.raises(ValueError, match=says):
        slides.find_pieces(slide | change)


def test_sections_and_pieces():
    streams = [new_output("stream", text="first"), new_output("error", ename="E", evalue="second", traceback=[])]
    table = new_output("display_data", {"text/markdown": "| a |", "text/plain": "a"})
    cells = [
        new_markdown_cell("# Title\n\n## One\n\nprose"),
        new_code_cell("x = 1", outputs=[*streams, table]),
        new_markdown_cell("### Two"),
        new_code_cell("y = 2"),
    ]
    notebook = new_notebook(cells=cells)
    one = slides.section_cells(notebook, "One")
    assert one == cells[:2] and slides.section_cells(notebook, "Two") == cells[2:]
    assert [cell.source for cell in slides.pieces(one, "code")] == ["x = 1"]
    assert [cell.outputs[0].text for cell in slides.pieces(one, "output")] == ["first", "second"]
    assert [cell.outputs for cell in slides.pieces(one, "table")] == [[table]] and slides.pieces(one, "picture") == []


def test_reveal_is_copied_beside_the_page(tmp_path, monkeypatch):
    for name in ("dist/reveal.js", "dist/reveal.esm.js", "plugin/notes/notes.js", "plugin/zoom/zoom.js", "LICENSE"):
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_text(name)
    monkeypatch.setattr(slides, "read_talk", lambda: [{"title": "One", "minutes": 1, "notes": "Say it."}])
    written = slides.write_slides(tmp_path / "slides", tmp_path / "copy")
    page = written.read_text()
    used = {target for target in re.findall(r'(?:src|href)="(reveal\.js/[^"]+\.js)"', page)}
    assert len(used) == 3 and all((written.parent / target).is_file() for target in used)
    assert not list(written.parent.rglob("*.esm.js"))


def test_without_reveal_the_way_to_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(slides.importlib.util, "find_spec", lambda name: None)
    for argument in (None, tmp_path):
        with pytest.raises(SystemExit, match=r"requirements/slides\.txt.*REVEAL="):
            slides.find_reveal(argument)
