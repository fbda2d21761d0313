"""What every committed notebook must look like; that it runs is nbval's part."""

import ast
import base64
import functools
import re

import nbformat
from forms import for_each

from lessons.exercises.form import OPEN
from merging.paths import ROOT

FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("[0-9]*.ipynb"))
NAMES = [path.name for path in PATHS]

# What a notebook could import from here: packages, and files beside the notebooks or one folder up.
OURS = {path.parent.name for path in ROOT.glob("*/*.py")}
OURS |= {path.stem for folder in (ROOT, FOLDER) for path in folder.glob("*.py")}

every_notebook = for_each(PATHS)


@functools.cache
def read(path):
    return nbformat.read(path, as_version=4)


def cells(path, kind):
    return [cell for cell in read(path).cells if cell.cell_type == kind]


def is_exercise(cell):
    return "exercise" in cell.metadata.get("tags", [])


def lessons(path):
    """The code cells of the story: without the generated setup cell (see test_badges.py) and without exercises."""
    return [cell for cell in cells(path, "code")[1:] if not is_exercise(cell)]


def exercises(path, kind):
    """The cells of the exercises."""
    return [cell for cell in cells(path, kind) if is_exercise(cell)]


def lines(source):
    return [line for line in source.splitlines() if line.strip()]


def prose(path, exercises=False):
    """The text of the story, or that of the exercises."""
    return "\n\n".join(cell.source for cell in cells(path, "markdown") if is_exercise(cell) == exercises)


@every_notebook
def test_executed_once_in_order_from_a_fresh_kernel(path):
    counts = [cell.execution_count for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_no_error_outside_the_cells_that_teach_one(path):
    for cell in cells(path, "code"):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in cell.metadata.get("tags", [])), cell.source


@every_notebook
def test_no_noise_is_stored(path):
    assert set(read(path).metadata) == {"kernelspec", "language_info"}
    for cell in read(path).cells:
        assert set(cell.metadata) <= {"tags", "jupyter", "collapsed"} or cell == cells(path, "code")[0]
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.get("text")
            assert not any("widget" in kind for kind in output.get("data", {}))


@every_notebook
def test_every_picture_has_alt_text(path):
    for cell in cells(path, "code"):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 20
            if "image/svg+xml" in output.get("data", {}):
                assert re.search(r"aria-label='[^']{20,}'", output.data["image/svg+xml"])
    pictures = [target for target in re.findall(r"!\[.*?\]\((.*?)\)", prose(path)) if not target.endswith("badge.svg")]
    assert not pictures and "<img" not in prose(path)  # Colab shows no file beside a notebook: use show_picture


@every_notebook
def test_stored_pictures_are_pictures(path):
    for cell in cells(path, "code"):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")


@every_notebook
def test_links_lead_to_the_neighbours_and_nowhere_else(path):
    text = prose(path) + prose(path, exercises=True)
    targets = [t for t in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", text) if not t.startswith("https://")]
    assert all((FOLDER / target).is_file() for target in targets), targets
    i = PATHS.index(path)
    first, last = cells(path, "markdown")[0].source, cells(path, "markdown")[-1].source
    for neighbour in NAMES[max(0, i - 1) : i] + NAMES[i + 1 : i + 2]:
        assert f"({neighbour})" in first and f"({neighbour})" in last


@every_notebook
def test_opens_and_ends_as_the_series_does(path):
    first, last = cells(path, "markdown")[0].source, cells(path, "markdown")[-1].source
    assert re.match(
        rf"# {path.name[:2]} · .+\n\n(\[!\[.+\n\n)?\*\*After this notebook you can\*\*.+\n\n\*About \d+ minutes", first
    )
    takeaways = prose(path).partition("## Takeaways\n\n1. ")[2]
    assert "\n2. " in takeaways and "\n3. " in takeaways
    assert re.search(r"\*(Previous|Next): .+\*$", last)


@every_notebook
def test_three_to_five_exercises_in_one_form(path):
    first, *rest = [cell.source for cell in exercises(path, "markdown") if "-quiz" not in cell.id]
    assert first.startswith("## Exercises\n") and f"(solutions/{path.name[:2]}_solutions.ipynb)" in first
    assert 3 <= len(rest) <= 5
    for letter, source in zip("abcde", rest):
        head = rf"### {int(path.name[:2])}{letter} · .+\n\n\*\d+ minutes · difficulty •{{1,3}}\*\n\n"
        assert re.match(head, source), source
        assert len(re.findall("<details>\n<summary>(Hint|Model answer)</summary>\n\n", source)) == 1
        assert source.endswith("\n\n</details>")
    assert any("redict" in source for source in rest)  # a prediction before the code
    assert any("<summary>Model answer" in source for source in rest)  # an explanation in words


@every_notebook
def test_every_exercise_is_checked_or_has_a_model_answer(path):
    """A stub that nobody has filled says so, and nothing else; 'Run all' passes it by."""
    names = re.findall(
        r"^### (\d+[a-e]) · (?:(?!^###).)*?<summary>Hint", prose(path, True), flags=re.MULTILINE | re.DOTALL
    )
    stubs = [cell for cell in exercises(path, "code") if "-quiz" not in cell.id]
    assert len(stubs) == len(names) >= 3
    for name, cell in zip(names, stubs):
        assert re.search(rf"^check_0?{name}\(.+\);$", cell.source.splitlines()[-1])
        assert "..." in cell.source and "nbval-check-output" in cell.metadata.tags
        assert [output.text for output in cell.outputs] == [f"{name} open: {OPEN}\n"]


@every_notebook
def test_length_of_exercises(path):
    assert len(prose(path, exercises=True).split()) <= 600
    assert sum(len(lines(cell.source)) for cell in exercises(path, "code")) <= 40


@every_notebook
def test_length_of_prose(path):
    assert 800 <= len(prose(path).split()) <= 1800


@every_notebook
def test_a_page_shows_every_line_of_code(path):
    """The site and a laptop's JupyterLab cut a line that has more than 100 columns."""
    solution = FOLDER / "solutions" / f"{path.name[:2]}_solutions.ipynb"
    sources = [cell.source for each in (path, solution) for cell in cells(each, "code")]
    assert [source for source in sources if len(source.splitlines()) > 12] == []
    assert [line for source in sources for line in source.splitlines() if len(line) > 100] == []


@every_notebook
def test_length_of_code(path):
    """About 120 lines; those between functions that are left blank for the eye do not count."""
    assert sum(len(lines(cell.source)) for cell in lessons(path)) <= 160


@every_notebook
def test_files_that_the_text_names_are_there(path):
    solution = FOLDER / "solutions" / f"{path.name[:2]}_solutions.ipynb"
    text = "\n".join(cell.source for each in (path, solution) for cell in cells(each, "markdown"))
    named = [name for name in re.findall(r"`(\w+/[\w./]+)`", text) if (ROOT / name.split("/")[0]).is_dir()]
    assert [name for name in named if not (ROOT / name).exists()] == []


@every_notebook
def test_switches_the_family_in_one_line(path):
    source = "\n".join(cell.source for cell in lessons(path))
    assert len(re.findall(r'^FAMILY = (?:None|"smollm2")', source, flags=re.MULTILINE)) == 1


@every_notebook
def test_imports_only_the_library_and_the_lessons_of_ours(path):
    statements = [node for cell in cells(path, "code")[1:] for node in ast.walk(ast.parse(cell.source))]
    names = [alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in statements if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} & OURS <= {"helpers", "merging", "lessons"}
    assert not any(alias.name == "*" for node in statements if isinstance(node, ast.ImportFrom) for alias in node.names)


@every_notebook
def test_every_slider_has_a_static_twin(path):
    source = "\n".join(cell.source for cell in lessons(path))
    shown = len(re.findall(r"^\S.*\.box$", source, flags=re.MULTILINE))
    assert shown == len(re.findall(r"\.still\(", source))
    for cell in lessons(path):
        if ".still(" in cell.source:
            assert any("image/svg+xml" in output.get("data", {}) for output in cell.outputs), cell.source


def left_standing(output):
    """The line of a folded output that JupyterLab shows, as far as a page shows it."""
    data = output.get("data", {})
    kinds = ("text/html", "image/svg+xml", "text/markdown", "text/plain")
    text = output.text if "text" in output else next(data[kind] for kind in kinds if kind in data)
    return text.lstrip("\n").partition("\n")[0][:120]


@every_notebook
def test_what_answers_a_prediction_is_folded(path):
    """Its tables and pictures, in JupyterLab, in Colab and on the site; then the prose that tells it, everywhere."""
    asked = False
    for cell in (cell for cell in read(path).cells if not is_exercise(cell)):
        if cell.cell_type == "markdown" and asked and "</details>" in cell.source:
            assert cell.source.startswith("<details>")
            asked = False
        elif asked and any(output.output_type == "display_data" for output in cell.get("outputs", [])):
            assert cell.metadata.get("jupyter") == {"outputs_hidden": True}, cell.source
            assert cell.metadata.get("collapsed") and "hide-output" in cell.metadata.get("tags", []), cell.source
            line = left_standing(cell.outputs[0])
            assert line.startswith("| ") or not re.search(r"\d\.\d", line)  # of a table it is the header
        asked = asked or cell.cell_type == "markdown" and "**Predict" in cell.source
    assert not asked


@every_notebook
def test_checks_some_outputs_on_every_run(path):
    tagged = [cell for cell in lessons(path) if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert len(tagged) >= 3
    assert all(cell.outputs for cell in tagged)
