"""teaching/TEACHING.md leads where it says, its plans fill their minutes, and its talk is the one of the slides."""

import re
from urllib.parse import unquote

import nbformat
import pytest
from forms import for_each

from merging.load.loading import FAMILIES
from merging.paths import ROOT
from teaching import slides

HERE = ROOT / "teaching"
PAGE = (HERE / "TEACHING.md").read_text(encoding="utf-8")
PLANS = {
    int(n): text.split("\n## ")[0] for n, text in re.findall(r"^## (\d+) minutes:(.*?)(?=^## )", PAGE, re.S | re.M)
}
LINKS = sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE)))


def headings(path):
    """The headings of a notebook as a link names them."""
    cells = nbformat.read(path, as_version=4).cells
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return {line.lstrip("# ").replace(" ", "-") for line in lines if line.startswith("#")}


@for_each(LINKS)
def test_a_link_leads_to_a_file_and_its_heading(link):
    target, _, anchor = link.partition("#")
    if not target:
        titles = [line.lstrip("# ").lower().replace(" ", "-") for line in PAGE.splitlines() if line.startswith("## ")]
        assert anchor in titles
    else:
        assert (HERE / target).exists()
        if anchor:
            assert unquote(anchor) in headings(HERE / target)


def test_a_link_to_a_cell_says_where_it_leads():
    for text, target, anchor in re.findall(r"\[([^\]]+)\]\(\.\./notebooks/(\d\d)_[^)#]+#([^)]+)\)", PAGE):
        named = text.removeprefix(f"{target} · ").rstrip("?")
        assert unquote(anchor).replace("-", " ").startswith(named), text


def test_every_notebook_has_an_objective():
    part = PAGE.split("## Objectives")[1].split("\n## ")[0]
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        (row,) = re.findall(rf"^\| \[{path.name[:2]}\]\(\.\./notebooks/{path.name}\) \| (.+) \|$", part, re.M)
        assert "**" in row.split(" | ")[0]  # its verbs


def rows(plan):
    return [(int(a), int(b), rest) for a, b, rest in re.findall(r"^\| (\d+)–(\d+) \| (.*)$", PLANS[plan], re.M)]


@pytest.mark.parametrize("plan", [60, 120, 240])
def test_a_plan_fills_its_minutes_without_a_gap(plan):
    starts, ends = zip(*[(start, end) for start, end, _ in rows(plan)])
    assert starts == (0, *ends[:-1]) and ends[-1] == plan
    assert all(start < end for start, end in zip(starts, ends))


def test_the_hours_plan_is_the_talk_of_the_slides():
    minutes = [slide["minutes"] for slide in slides.read_talk()]
    shown = []
    for start, end, rest in rows(60):
        first, last = re.match(r"slides (\d+) (?:to|and) (\d+)", rest).groups()
        span = range(int(first), int(last) + 1)
        shown += span
        assert sum(minutes[i - 1] for i in span) == end - start, rest
    assert shown == list(range(1, len(minutes) + 1))


def section(title):
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_question_of_the_longer_plans_has_an_answer():
    asked = {
        rest.rstrip(" |").split(" | ")[1].strip() for plan in (120, 240) for _, _, rest in rows(plan) if "?" in rest
    }
    asked = {question for question in asked if "?" in question}
    answered = dict(re.findall(r"^\| (.+?\?) \| (.+) \|$", section("Answers to what you ask"), re.M))
    assert asked == set(answered) and all(len(answer) > 20 for answer in answered.values())


def test_every_exercise_is_in_the_choice_once_and_takes_the_minutes_that_its_notebook_says():
    chosen = re.findall(r"\b(\d+[a-e])\b(?: \((\d+) min\))?", section("A choice of exercises"))
    minutes = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            minutes |= dict(re.findall(r"^### (\d+[a-e]) · .+\n\n\*(\d+) minutes", cell.source))
    assert sorted(name for name, _ in chosen) == sorted(minutes)
    assert all(minutes[name] == told for name, told in chosen if told)
    assert f"All {len(minutes)} take {sum(map(int, minutes.values()))} minutes" in section("A choice of exercises")


def test_the_pairs_for_the_form_are_there():
    pairs = re.findall(r"^\| .+? \| `(\{.+?\})` \|", section("Pairs for 11"), re.M)
    assert len(pairs) == 3
    for sources in pairs:
        found = eval(sources, {"FAMILIES": FAMILIES})
        assert {"first", "second"} <= set(found)
        assert all((ROOT / "notebooks" / found[label]).is_dir() for label in ("first", "second"))


def test_ten_misconceptions_each_with_a_cell():
    part = PAGE.split("## Ten things learners believe at first")[1].split("\n## ")[0]
    table = part[part.index("|:--") :].strip().splitlines()[1:]
    assert len(table) == 10 and all("#" in line and "](../notebooks/" in line for line in table)


def test_the_commands_are_ones_that_make_knows():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", PAGE, re.M)):
        assert re.search(rf"^{command}:", makefile, re.M), command
