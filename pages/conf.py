"""How Sphinx makes the site; pages/build.py collects what it reads. Nothing is executed and nothing is fetched."""

import re

from docutils import nodes
from latex2mathml.converter import convert

project = "Merging language models, measured"
html_title = project
author = ""
extensions = ["myst_nb"]
root_doc = "index"

nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the {type}", "Hide the {type}"  # of the answers to predictions
nb_render_markdown_format = "gfm"  # tables
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_update_mathjax = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["player.css"]
html_js_files = [("player.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_show_search_summary = False  # it would fetch pages, which a browser refuses to a page from a folder
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

SIDES = {"(": r"\left(", ")": r"\right)"}  # as high as what stands between them


def visit_math(self, node):
    """A formula as MathML, which browsers draw themselves: no script, no fonts, and a screen reader can read it."""
    block = isinstance(node, nodes.math_block)
    sized = re.sub(r"\\[Bb]igg?[lr]?([()])", lambda found: SIDES[found[1]], node.astext())
    markup = convert(sized, display="block" if block else "inline")
    self.body.append(f"<div class='formula'>{markup}</div>" if block else markup)
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
