"""The live views in a real browser, by keyboard alone; needs Chromium, which .ci/run installs."""

import ast
import re

import browser
import nbformat
import pytest
from nbconvert import HTMLExporter

from pages import players

long = pytest.mark.long  # make test moves one slider, in the notebook of hostile text
pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="NOT RUN: there is no Chromium on this machine")
PAGES = sorted((browser.ROOT / "notebooks").glob("[0-9]*.ipynb"))
TITLES = ("merge_all_layers", "merge_selected_layers", "hierarchical_merging", "your_own_models")
NOTEBOOKS = [path for path in PAGES if path.stem[3:] in TITLES]
ONLY_03 = pytest.mark.parametrize("notebook", NOTEBOOKS[:1], indirect=True, ids=lambda path: path.stem)
HOSTILE = """
import sys; sys.path.insert(0, "..")
from lessons.views.live import View, slider
from lessons.views.svg import label, svg
alpha = slider(0.5)
text = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> alpha "
view = View({"alpha": alpha}, alpha, lambda: [(svg(90, 20, [label(0, 15, text)], text), text)],
            lambda: iter([text + f"{alpha.value:.2f}"]))
view.box
"""
BROKEN = """
import sys; sys.path.insert(0, "..")
from lessons.views.live import View, slider
alpha = slider(0.5)
view = View({"alpha": alpha}, alpha, lambda: [("", f"{1 / (alpha.value - 0.4):.2f}")])
view.box
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def page_and_address(folder):
    browser.SCREENSHOTS.mkdir(exist_ok=True)
    with browser.jupyterlab(folder) as address, browser.chromium() as page:
        yield page, address


def contents(view):
    """The view's HTML widgets: picture, words, and the text if it has one."""
    return [view.locator(".widget-html-content").nth(i) for i in range(view.locator(".widget-html-content").count())]


def press(page, handle, key):
    handle.focus()
    page.keyboard.press(key)


def wait_until(page, question, seconds=120):
    for _ in range(seconds * 20):
        if question():
            return True
        page.wait_for_timeout(50)
    return False


def keep_views(path):
    """Leave of a notebook its setup, the cells that show a view, and those that make what these use."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    trees = [ast.parse(cell.source) for cell in cells]
    kept = players.needed(trees)
    notebook.cells = [cell for cell, tree in zip(cells, trees) if tree in [trees[0], *kept]]
    nbformat.write(notebook, path)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request, page_and_address, folder):
    """A notebook after 'run all', with all of its views."""
    page, address = page_and_address
    page.errors.clear()
    keep_views(folder / "notebooks" / request.param.name)
    browser.run_all(page, address, request.param.name)
    found = browser.views(page)
    cells = [cell.source for cell in nbformat.read(request.param, as_version=4).cells if cell.cell_type == "code"]
    assert found.count() == len(re.findall(r"^\S.*\.box$", "\n".join(cells), flags=re.MULTILINE)) > 0
    return page, request.param.stem, [found.nth(i) for i in range(found.count())]


@long
def test_no_cell_and_no_script_fails(notebook):
    page, _, _ = notebook
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.errors == []


@long
def test_every_slider_moves_picture_and_words_by_keyboard(notebook):
    page, name, views = notebook
    for view in views:
        picture, words = contents(view)[:2]
        for i in range(view.locator(browser.SLIDERS).count()):
            handle = view.locator(browser.SLIDERS).nth(i)
            press(page, handle, "End")
            page.wait_for_timeout(300)
            before = picture.inner_html(), words.inner_text()
            press(page, handle, "Home")
            assert wait_until(page, lambda: picture.inner_html() != before[0]), (name, i)
            assert wait_until(page, lambda: words.inner_text() != before[1]), (name, i)
    assert page.errors == []


@long
@ONLY_03
def test_home_and_end_are_the_two_models(notebook):
    page, _, views = notebook
    handle, (_, words, _) = views[-1].locator(browser.SLIDERS).first, contents(views[-1])
    for key, alpha in (("Home", "alpha = 0.00"), ("End", "alpha = 1.00")):
        press(page, handle, key)
        assert wait_until(page, lambda: alpha in words.inner_text())


@long
@ONLY_03
def test_the_last_of_many_fast_moves_wins_and_no_old_text_stays(notebook):
    page, _, views = notebook
    handle, (_, words, text) = views[-1].locator(browser.SLIDERS).first, contents(views[-1])

    def settled():
        before = None
        while before != text.inner_text():
            before = text.inner_text()
            page.wait_for_timeout(5000)
        return before

    press(page, handle, "Home")
    assert wait_until(page, lambda: "alpha = 0.00" in words.inner_text())
    slowly = settled()
    press(page, handle, "End")
    for _ in range(24):  # more than the slider has steps
        page.keyboard.press("ArrowLeft")
    assert wait_until(page, lambda: "alpha = 0.00" in words.inner_text())
    assert wait_until(page, lambda: text.inner_text() == slowly) and len(slowly) > 100
    assert settled() == slowly  # and nothing older is written over it


# The height of a view in every frame from now on, until window.looking is false; the least stays in window.least.
LEAST_HEIGHT = """(view) => {
    window.least = Infinity;
    window.looking = true;
    const look = () => {
        window.least = Math.min(window.least, view.getBoundingClientRect().height);
        if (window.looking) requestAnimationFrame(look);
    };
    look();
}"""


@long
@ONLY_03
def test_a_move_does_not_make_the_page_jump(notebook):
    page, _, views = notebook
    handle, (_, words, _) = views[-1].locator(browser.SLIDERS).first, contents(views[-1])
    press(page, handle, "Home")
    assert wait_until(page, lambda: "alpha = 0.00" in words.inner_text())
    page.wait_for_timeout(2000)
    height = views[-1].bounding_box()["height"]
    views[-1].evaluate(LEAST_HEIGHT)
    press(page, handle, "End")
    assert wait_until(page, lambda: "alpha = 1.00" in words.inner_text())
    page.wait_for_timeout(2000)
    page.evaluate("window.looking = false")
    assert page.evaluate("window.least") > 0.95 * height


@long
@ONLY_03
def test_a_guess_is_committed_by_keyboard(notebook):
    page, _, views = notebook
    assert "Commit to see" in contents(views[0])[1].inner_text()
    press(page, views[0].locator("button"), "Enter")
    assert wait_until(page, lambda: "The best is alpha" in contents(views[0])[1].inner_text())


@long
def test_screenshots(notebook):
    page, name, views = notebook
    for i, view in enumerate(views, 1):
        view.scroll_into_view_if_needed()
        assert view.bounding_box()["width"] <= 1280
        view.screenshot(path=browser.SCREENSHOTS / f"{name}_{i}.png")
        page.screenshot(path=browser.SCREENSHOTS / f"{name}_{i}_page.png")


def open_scratch(page_and_address, folder, name, source):
    page, address = page_and_address
    page.errors.clear()
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, folder / "notebooks" / name)
    browser.run_all(page, address, name)
    return page, browser.views(page).first


def test_hostile_text_stays_text(page_and_address, folder):
    page, view = open_scratch(page_and_address, folder, "hostile.ipynb", HOSTILE)
    press(page, view.locator(browser.SLIDERS), "ArrowRight")
    text = contents(view)[2]
    assert wait_until(page, lambda: "alpha 0.60" in text.inner_text())
    assert "<script>window.hacked = 1</script><img src=x" in text.inner_text()
    assert view.locator("img, script").count() == 0
    assert page.evaluate("window.hacked") is None


@long
def test_an_error_is_shown_in_the_view(page_and_address, folder):
    page, view = open_scratch(page_and_address, folder, "broken.ipynb", BROKEN)
    press(page, view.locator(browser.SLIDERS), "ArrowLeft")
    assert wait_until(page, lambda: "ZeroDivisionError" in contents(view)[1].inner_text())


PICTURES = "[...document.images].map(image => image.naturalWidth > 0)"
# What sticks out on the right, unless a reader can scroll it into view.
OUT_OF_REACH = """[...document.querySelectorAll("img, table, pre, p, li, h1, h2")].filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1) return false
    for (let box = element; box; box = box.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 80))"""


@long
def test_a_page_without_scripts_shows_all_pictures_and_hides_nothing(page_and_address, tmp_path):
    """On a telephone, where least fits."""
    context = page_and_address[0].context.browser.new_context(
        viewport={"width": 390, "height": 900}, java_script_enabled=False
    )
    page = context.new_page()
    for path in PAGES:
        (tmp_path / "page.html").write_text(HTMLExporter().from_filename(str(path))[0], encoding="utf-8")
        outputs = [out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", [])]
        stored = sum(bool({"image/png", "image/svg+xml"} & set(output.get("data", {}))) for output in outputs)
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate(PICTURES) == [True] * stored and stored, path.name
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
        assert page.evaluate(OUT_OF_REACH) == [], path.name
    context.close()
