"""The slides of a talk of 60 minutes, from the stored outputs of the notebooks; talk.yml says which, in which order.

    python -m teaching.slides            writes slides/index.html
    python -m teaching.slides FOLDER     with a copy of reveal.js of your own (its folder holds dist and plugin)

A slide is a title, a few lines, and one piece of a notebook or two, named by their section: the n-th picture, drawing,
table, text, printed output or code cell there. So the notebooks need no marks, and a slide shows what they show.
"""

import base64
import html
import importlib.util
import io
import itertools
import re
import shutil
import sys
from pathlib import Path

import nbformat
import yaml
from nbconvert import SlidesExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from merging.paths import ROOT

HERE = Path(__file__).resolve().parent
OUT = ROOT / "slides"
KINDS = {"picture": "image/png", "drawing": "image/svg+xml", "table": "text/markdown", "text": "text/html"}


def read_talk():
    """The slides of talk.yml: dicts of title, minutes, text, below, notes; from, section, show and crop of a piece."""
    return yaml.safe_load((HERE / "talk.yml").read_text(encoding="utf-8"))


def section_cells(notebook, heading=None):
    """The cells below a heading (`## heading` or `### heading`) up to the next one; all of them without a heading."""
    if heading is None:
        return notebook.cells
    found, inside = [], False
    for cell in notebook.cells:
        first = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith(("## ", "### "))]
        if cell.cell_type == "markdown" and first:
            inside = heading in first[-1:]
        if inside:
            found.append(cell)
    if not found:
        raise ValueError(f"There is no section {heading!r}.")
    return found


def pieces(cells, kind):
    """Cells with nothing but one piece of this kind each, in order."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    if kind == "code":
        return [new_code_cell(cell.source) for cell in code]
    outputs = [output for cell in code for output in cell.outputs]
    if kind == "output":
        chosen = [output for output in outputs if output.output_type in ("stream", "error")]
        chosen = [new_output("stream", text=output.get("text") or output.evalue) for output in chosen]
    else:
        chosen = [output for output in outputs if first_kind(output) == KINDS[kind]]
    return [new_code_cell(outputs=[output], metadata={"transient": {"remove_source": True}}) for output in chosen]


def first_kind(output):
    """What a browser shows of an output."""
    return next((kind for kind in KINDS.values() if kind in output.get("data", {})), None)


def wanted(slide):
    """The pieces that a slide asks for, as in ["picture 1"]."""
    show = slide.get("show", [])
    return [show] if isinstance(show, str) else show


def find_pieces(slide):
    """The cells that a slide shows, two of them side by side; raises ValueError if its notebook has no such piece."""
    if not wanted(slide):
        return []
    cells = section_cells(nbformat.read(ROOT / "notebooks" / slide["from"], as_version=4), slide.get("section"))
    chosen = []
    for kind, n in (show.split() for show in wanted(slide)):
        found = pieces(cells, kind)
        if len(found) < int(n):
            raise ValueError(f"{slide['title']!r}: {slide['from']}, {slide.get('section')!r} has no {kind} {n}.")
        cell = found[int(n) - 1]
        if kind in CROPS:
            cell.outputs = [as_html(cell.outputs[0], kind, slide.get("crop"))]
        if len(wanted(slide)) > 1:
            cell.metadata["tags"] = ["half"]
        chosen.append(cell)
    return chosen


def crop_drawing(svg, title):
    """Cut a static twin down to its panel with this title, so that the last row can read it."""
    middle = float(re.search(rf"<text x='([\d.]+)'[^>]*>{re.escape(title)}</text>", svg)[1])
    edges, height = re.search(r"data-panels='([\d ]+)'", svg)[1].split(), re.search(r"viewBox='0 0 \d+ (\d+)'", svg)[1]
    left, right = next((a, b) for a, b in itertools.pairwise(map(int, edges)) if a < middle < b)
    size = f"width='{2.4 * (right - left):.0f}' height='{2.4 * int(height):.0f}' style='background:white'"
    view = f"viewBox='{left} 0 {right - left} {height}' {size}"
    return re.sub(r"viewBox='.*?' data-panels='.*?' width='.*?' height='.*?' style='.*?'", view, svg, count=1)


def crop_picture(png, share):
    """Keep the left part of a picture, this share of its width: its first panels."""
    picture, cut = Image.open(io.BytesIO(base64.b64decode(png))), io.BytesIO()
    picture.crop((0, 0, round(share * picture.width), picture.height)).save(cut, "PNG")
    return base64.b64encode(cut.getvalue()).decode()


def as_html(output, kind, part=None):
    """A picture or drawing, or a part of it, as HTML: there it keeps its words, which nbconvert would drop."""
    data = output.data[KINDS[kind]] if part is None else CROPS[kind](output.data[KINDS[kind]], part)
    if kind == "picture":
        alt = html.escape(output.metadata["image/png"]["alt"], quote=True)
        data = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
    return new_output("display_data", {"text/html": data})


CROPS = {"drawing": crop_drawing, "picture": crop_picture}


def slide_cells(slide):
    """The cells of one slide, with the metadata by which nbconvert tells slides and speaker notes."""
    above = [new_markdown_cell(f"## {slide['title']}\n\n{slide.get('text', '')}")]
    below = [new_markdown_cell(slide["below"])] if "below" in slide else []
    notes = [new_markdown_cell(f"*{slide['minutes']} min.* {slide['notes']}")]
    cells = above + find_pieces(slide) + below + notes
    for cell, kind in zip(cells, ["slide"] + ["-"] * (len(cells) - 2) + ["notes"]):
        cell.metadata["slideshow"] = {"slide_type": kind}
    return cells


def build(talk):
    """The page of a talk as HTML; it expects reveal.js in the folder reveal.js beside it."""
    notebook = new_notebook(cells=[cell for slide in talk for cell in slide_cells(slide)])
    notebook.metadata["title"] = talk[0]["title"]
    exporter = SlidesExporter(
        template_name="template",
        extra_template_basedirs=[str(HERE)],
        reveal_url_prefix="reveal.js",
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    return exporter.from_notebook_node(notebook)[0]


def find_reveal(argument=None):
    """The folder of a copy of reveal.js: the given one, or that of the package sphinx-revealjs."""
    spec = None if argument else importlib.util.find_spec("sphinx_revealjs")
    folder = Path(argument or (Path(spec.submodule_search_locations[0], "_static", "revealjs") if spec else ""))
    if not (folder / "dist" / "reveal.js").is_file():
        raise SystemExit(
            "There is no copy of reveal.js: pip install --no-deps -r requirements/slides.txt -c requirements/pins.txt, "
            "or name the folder of one: make slides REVEAL=path/to/reveal.js"
        )
    return folder


def write_slides(out=OUT, reveal=None):
    """Write index.html and, beside it, the parts of reveal.js that it needs; returns the path of the page."""
    reveal = find_reveal(reveal)
    page = build(read_talk())
    shutil.rmtree(out, ignore_errors=True)
    skip = shutil.ignore_patterns("*.map", "*.esm.js")
    for name in ("dist", "plugin/notes", "plugin/zoom"):
        shutil.copytree(reveal / name, out / "reveal.js" / name, ignore=skip)
    shutil.copy(reveal / "LICENSE", out / "reveal.js")
    (out / "index.html").write_text(page, encoding="utf-8")
    return out / "index.html"


if __name__ == "__main__":
    page = write_slides(reveal=next(iter(sys.argv[1:]), None))
    print(f"{page}: open it in a browser; S shows the notes, Alt+click (Linux: Ctrl+click) enlarges.")
