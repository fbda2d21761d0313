"""The site: the notebooks as pages that need no kernel, no server and no network; `make site` writes site/.

Made from the outputs that the notebooks store, and from the frames of their views (pages/frames, see players.py).
"""

import base64
import html
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from sphinx.cmd.build import build_main

from merging.paths import ROOT

HERE = Path(__file__).resolve().parent
SITE = ROOT / "site"
VIEW = re.compile(r"^\S.*\.box$", flags=re.MULTILINE)
BADGE = re.compile(r"\[!\[([^]]*)\]\([^)]*\)\]\(([^)]*)\)")  # a picture from another server, as a link
HEADING = re.compile(r"(?<=\.ipynb)#[^)]+")
TWIN = "One setting, without JavaScript"  # what can be unfolded below a player
TEXT = "<pre style='font-family: monospace"  # how an output of lessons.figures.base.show_text begins


def anchor(heading):
    """The end of a link to a notebook's heading as Sphinx names it; Jupyter keeps capitals and punctuation."""
    return re.sub(r"[^\w#-]", "", heading.lower())


def paths():
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def solutions():
    return sorted((ROOT / "notebooks" / "solutions").glob("[0-9]*.ipynb"))


def cards():
    """The cards of what is in models/, and the quiz, paths from the root."""
    return [*(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("models/**/README.md"))), "teaching/QUIZ.md"]


def player(name, number, up="", beside=""):
    """The place of a notebook's view on a page, or "" if its frames are not drawn; up: the way to the site's root.

    beside: a control whose texts stand beside each other, in place of that control and of the picture.
    """
    if not (HERE / "frames" / f"{name}.js").is_file():
        return ""
    return (
        f'<div class="player" data-frames="{name}" data-view="{number}" data-beside="{beside}"><noscript>'
        "The sliders need JavaScript.</noscript></div>\n"
        f'<script defer src="{up}_static/frames/{name}.js"></script>'
    )


def with_players(notebook, name):
    """The cells of a notebook, and after each that shows a view its player, with the static twin folded behind it.

    The twin is the view at one setting, for readers without a kernel: a sentence and a cell that calls `still`. The
    sentence is left out where there is a player.
    """
    cells, shown = list(notebook.cells), 0
    while cells:
        cell = cells.pop(0)
        yield cell
        if cell.cell_type == "code" and VIEW.search(cell.source):
            place, shown = player(name, shown, "../"), shown + 1
            yield nbformat.v4.new_markdown_cell(place)
            if place and any(".still(" in twin.source for twin in cells[1:2]):
                yield folded(cells[1])
                del cells[:2]


def folded(twin):
    """A static twin as a page with a player has it."""
    twin.metadata["tags"] = ["hide-cell"]
    twin.metadata["mystnb"] = dict.fromkeys(("code_prompt_show", "code_prompt_hide"), TWIN)
    return twin


def picture(output):
    """An output as it is; a picture as HTML that keeps its alt text."""
    data = output.get("data", {})
    if "image/png" in data:
        alt = html.escape(output.metadata["image/png"]["alt"])
        width, height = png_size(base64.b64decode(data["image/png"]))
        source = f"width='{width}' height='{height}' src='data:image/png;base64,{data['image/png'].strip()}'"
        kind = "picture wide" if width > 1.5 * height else "picture"  # a wide one is moved sideways on a telephone
        page = f"<div class='{kind}'><img alt='{alt}' {source}></div>"
    elif "image/svg+xml" in data:
        page = f"<div class='picture'>{data['image/svg+xml']}</div>"
    else:
        return output
    return nbformat.v4.new_output("display_data", {"text/html": page})


def png_size(png):
    """Width and height in pixels, from the header."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def sphinx_page(path):
    """A notebook as Sphinx reads it."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = list(with_players(notebook, path.stem))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [picture(output) for output in cell.outputs]
        cell.source = BADGE.sub(r"[\1](\2)", cell.source)
    return notebook


def described(path):
    """A notebook's short title, what one can do after it, and the minutes that it takes to read."""
    first = nbformat.read(path, as_version=4).cells[0].source
    patterns = (r"# (.*?)(?::.*)?$", r"\*\*After this notebook you can\*\* (.*)", r"\*About (\d+) minutes")
    return [re.search(pattern, first, flags=re.MULTILINE)[1] for pattern in patterns]


def contents(path):
    """A notebook on the start page."""
    title, able, minutes = described(path)
    return f"- **[{title}](notebooks/{path.name})** ({minutes} minutes): {able}"


def merged_texts():
    """The texts of one merged model that notebook 06 stores, beside each other."""
    notebook = nbformat.read(ROOT / "notebooks" / "06_a_real_language_model.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "one merged model" in cell.source]
    pages = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.outputs]
    texts = "".join(f"<div>{page}</div>" for page in pages if page.startswith(TEXT))
    return f"```{{raw}} html\n<div class='screen'>{texts}</div>\n```"


def start_page():
    """pages/index.md with what is generated in it."""
    text = (HERE / "index.md").read_text(encoding="utf-8")
    filled = {
        "notebooks": "\n".join(map(contents, paths())),
        "toc": "\n".join(f"{described(path)[0]} <notebooks/{path.stem}>" for path in paths()),
        "solutions": "\n".join(f"{path.stem[:2]} <notebooks/solutions/{path.stem}>" for path in solutions()),
        "cards": "\n".join(name.removesuffix(".md") for name in cards()),
        "written": merged_texts(),
        "player": player("06_a_real_language_model", 0, beside="prompt"),
    }
    return re.sub(r"<!-- (\w+) -->", lambda found: filled[found[1]], text)


def collect(folder):
    """Write what Sphinx reads into an empty folder that is laid out as the repository is, so that links lead on."""
    (folder / "notebooks" / "solutions").mkdir(parents=True)
    for path in (*paths(), *solutions()):
        nbformat.write(sphinx_page(path), folder / path.relative_to(ROOT))
    for name in cards():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8")
        (folder / name).write_text(HEADING.sub(lambda found: anchor(found[0]), text), encoding="utf-8")
    (folder / "images").mkdir()
    shutil.copy(ROOT / "images" / "written.png", folder / "images")
    (folder / "index.md").write_text(start_page(), encoding="utf-8")


def main(target=SITE):
    """Build in a scratch folder, since myst_nb leaves files beside its output, and put the finished site in place."""
    with tempfile.TemporaryDirectory() as scratch:
        sources, trees, pages = (Path(scratch, name) for name in ("sources", "trees", "pages"))
        sources.mkdir()
        collect(sources)
        failed = build_main(["-q", "-W", "--keep-going", "-c", str(HERE), "-d", str(trees), str(sources), str(pages)])
        if not failed:
            shutil.copytree(HERE / "frames", pages / "_static" / "frames")
            (pages / ".nojekyll").touch()  # GitHub Pages would leave out folders that begin with _
            shutil.rmtree(target, ignore_errors=True)
            shutil.move(pages, target)
    return failed


if __name__ == "__main__":
    sys.exit(main())
