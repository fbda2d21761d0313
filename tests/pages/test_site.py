"""The site: complete, inside of its folder, and its players in a real browser by key, mouse and touch."""

import functools
import html.parser
import re
import shutil
from urllib.parse import unquote

import browser
import nbformat
import pytest
from test_players import all_settings, at, read

from pages import build, players

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # from inside of myst_parser


def in_chromium(test):
    """Left to make test-all, and to machines with Chromium."""
    skip = pytest.mark.skipif(browser.CHROMIUM is None, reason="NOT RUN: there is no Chromium on this machine")
    return pytest.mark.long(skip(test))


NAMES = ["index", *(f"notebooks/{path.stem}" for path in build.paths())]
NAMES += [f"notebooks/solutions/{path.stem}" for path in build.solutions()]
NAMES += [name.removesuffix(".md") for name in build.cards()]
SHOWN = ("index", "notebooks/03_merge_all_layers", "notebooks/06_a_real_language_model", NAMES[-1])  # to be looked at
FRAMES = {path.stem: path.stat().st_size for path in players.FRAMES.glob("*.js")}
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> & \"quotes\""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "site"
    assert build.main(folder) == 0
    return folder


class Targets(html.parser.HTMLParser):
    """What a page links to and loads, and its ids and pictures."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.ids, self.alts, self.handlers = [], [], set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        self.ids.add(attributes.get("id"))
        self.handlers += [name for name in attributes if name.startswith("on")]
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag == "link" and "href" in attributes and attributes.get("rel") not in ("next", "prev"):
            self.loads.append(attributes["href"])
        elif "src" in attributes:
            self.loads.append(attributes["src"])
        if tag == "img":
            self.alts.append(attributes.get("alt", ""))


def test_every_notebook_and_card_has_a_page_and_nothing_else_does(site):
    found = {str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html")}
    assert found == {*NAMES, "search"}


def test_links_lead_somewhere_and_what_is_loaded_lies_in_the_folder(site):
    pages = {path: Targets(path) for path in (site / f"{name}.html" for name in NAMES)}
    for page, found in pages.items():
        for target in found.loads:
            file = target.split("?")[0]
            assert file.startswith("data:image/png;base64,") or (page.parent / unquote(file)).is_file(), (page, target)
        for target in found.links:
            file, _, anchor = target.partition("#")
            if not file.startswith("https://"):
                linked = (page.parent / unquote(file)).resolve() if file else page
                assert linked.is_file(), (page, target)
                assert not anchor or unquote(anchor) in pages[linked].ids, (page, target)
        assert all(len(alt) > 20 for alt in found.alts) and found.handlers == [], page


def test_no_style_and_no_script_names_another_server(site):
    for path in [*site.rglob("*.css"), *site.rglob("*.js")]:
        if path.parent.name != "frames":  # these hold texts
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"""(url\(|@import|import\(|fetch\(|src\s*=)\s*["']?(https?:)?//""", text), path.name


@pytest.mark.parametrize("path", build.paths(), ids=lambda path: path.stem)
def test_a_page_has_what_its_notebook_has(site, path):
    page = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)
    sources = "\n\n".join(cell.source for cell in notebook.cells)
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    count = lambda kind: sum(kind in data for data in outputs)
    assert page.count("<div class='picture") == count("image/png") + count("image/svg+xml")
    assert page.count("<table") >= sum(data.get("text/markdown", "").startswith("|") for data in outputs)
    assert page.count("</math>") == len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", prose(notebook), flags=re.DOTALL))
    assert re.findall(r"<summary>", page)[: sources.count("<summary>")] == ["<summary>"] * sources.count("<summary>")
    views = len(build.VIEW.findall(sources)) if path.stem in FRAMES else 0
    assert page.count('class="player"') == views
    assert page.count(f'admonition-title">{build.TWIN}</p>') == 2 * views  # to open and to close
    assert ("Without a kernel" in page) == ("Without a kernel" in sources and not views)
    assert "#@title Setup" not in page and "sys.path.insert" not in page
    assert "<merror" not in page and not re.search(r"<m(i|o|text)>[^<]*\\", page)


def prose(notebook):
    """The Markdown cells without their code."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def test_a_page_with_its_players_has_at_most_three_megabytes(site):
    for page in (site / f"{name}.html" for name in NAMES):
        loaded = {target for target in Targets(page).loads if not target.startswith("data:")}
        sizes = [(page.parent / target.split("?")[0]).stat().st_size for target in loaded]
        assert page.stat().st_size + sum(sizes) <= 3e6, page


def test_the_start_page_names_every_notebook_and_shows_a_player(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    for path in build.paths():
        title, able, minutes = build.described(path)
        assert able.split("`")[0][:40] in re.sub("<[^>]*>", "", page) and f"({minutes} minutes)" in page
    assert page.count('class="player"') == 1 and "<!-- " not in page.split("<article")[1].split("</article>")[0]


def test_what_the_start_page_quotes_is_stored_in_notebook_06(site):
    stored = nbformat.read(build.ROOT / "notebooks" / "06_a_real_language_model.ipynb", as_version=4)
    pages = [out.get("data", {}).get("text/html") for cell in stored.cells for out in cell.get("outputs", [])]
    quoted = re.findall(r"<div>(<pre.*?</pre>)</div>", build.merged_texts(), flags=re.DOTALL)
    assert len(quoted) == 2 and all(page in pages for page in quoted)


def test_badges_become_links_without_pictures(tmp_path):
    cell = nbformat.v4.new_markdown_cell("# 99 · T\n\n[![Open in Colab](https://a/b.svg)](https://colab/x) text")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "99.ipynb")
    [cell] = build.sphinx_page(tmp_path / "99.ipynb").cells
    assert cell.source == "# 99 · T\n\n[Open in Colab](https://colab/x) text"


def test_the_script_runs_no_text_and_asks_no_server():
    source = (build.HERE / "static" / "player.js").read_text(encoding="utf-8")
    assert not re.search(r"\beval\(|Function\(|document\.write|insertAdjacentHTML|https?:", source)


@pytest.fixture(scope="module")
def opened():
    """A function that gives a page without a network, open until the module ends: page.errors, page.asked."""
    with browser.chromium() as first:
        yield functools.partial(open_page, first.context.browser)


def open_page(chromium, **options):
    """A page of its own: what its console and its requests complain of, and what it asked for."""
    page = chromium.new_context(offline=True, **options).new_page()
    page.errors, page.asked = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: page.errors.append(line.text) if line.type in ("error", "warning") else None)
    page.on("requestfailed", lambda request: page.errors.append(request.url))
    page.on("request", lambda request: page.asked.append(request.url))
    return page


# What sticks out on the right, unless a reader can scroll it into view; furo's column scrolls on a telephone, so it
# does not count.
OUT = """[...document.querySelectorAll("article *")].filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1 || !element.checkVisibility()) return false
    for (let box = element; box && !box.matches(".content"); box = box.parentElement)
        if (["auto", "scroll", "hidden"].includes(getComputedStyle(box).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 80))"""
# Letters that stand out from their ground by less than WCAG's 4.5 to 1 (3 to 1 where they are large), outside of
# pictures.
CONTRAST = """(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true})
    const painted = new Map()
    const paint = (colours) => {
        const known = painted.get(colours.join())
        if (known !== undefined) return known
        canvas.fillStyle = "white"; canvas.fillRect(0, 0, 1, 1)
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1) }
        const light = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        painted.set(colours.join(), 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2])
        return painted.get(colours.join())
    }
    const weak = new Set()
    const walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, style = getComputedStyle(element)
        if (!walker.currentNode.textContent.trim() || element.closest("svg") || !element.checkVisibility(
            {visibilityProperty: true, opacityProperty: true})) continue
        const grounds = []
        for (let box = element; box; box = box.parentElement) grounds.unshift(getComputedStyle(box).backgroundColor)
        const [ground, ink] = [paint(grounds), paint([...grounds, style.color])]
        const ratio = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05)
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700)
        if (ratio < (large ? 3 : 4.5)) weak.add(`${element.className} ${style.color} ${ratio.toFixed(2)}`)
    }
    return [...weak]
})()"""


@in_chromium
@pytest.mark.parametrize("width, scheme", [(390, "light"), (1280, "dark")])
def test_pages_load_from_a_folder_fit_the_screen_and_can_be_read(site, width, scheme, opened):
    browser.SCREENSHOTS.mkdir(exist_ok=True)
    page = opened(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name in NAMES:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("[...document.images].map(image => image.naturalWidth > 0)").count(False) == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(OUT) == [], name
        assert page.evaluate(CONTRAST) == [], name
        if name in SHOWN:
            page.screenshot(path=browser.SCREENSHOTS / f"site_{name.replace('/', '_')}_{width}_{scheme}.png")
        assert page.errors == [], name
    outside = [url for url in page.asked if not url.startswith((site.as_uri(), "data:"))]
    assert outside == [] and len(page.asked) > len(NAMES)


# What is not right on paper: things that stay where the window is (they would lie on every sheet), and scrollers.
UNPRINTABLE = """() => [...document.querySelectorAll('body *')].filter((node) => {
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    const scrolls = [style.overflowX, style.overflowY].some((value) => ['auto', 'scroll'].includes(value));
    return box.width * box.height && (style.position === 'fixed' || (scrolls && node.closest('article')));
}).map((node) => node.outerHTML.slice(0, 80))"""


@in_chromium
def test_a_printed_page_has_nothing_that_covers_or_scrolls(site, opened):
    page = opened(viewport={"width": 800, "height": 1100})
    page.emulate_media(media="print")
    for name in ("index", "notebooks/03_merge_all_layers", "notebooks/solutions/03_solutions", NAMES[-1]):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate(UNPRINTABLE) == [], name
        assert len(page.locator("article").inner_text()) > 300, name


@in_chromium
def test_search_finds_a_word_and_dark_can_be_chosen(site, opened):
    page = opened()
    page.goto((site / "notebooks" / "01_load_models.html").as_uri())
    page.locator(".content-icon-container .theme-toggle").click()
    page.locator(".content-icon-container .theme-toggle").click()
    chosen = page.evaluate("document.body.dataset.theme")
    page.locator(".sidebar-search").fill("barrier")
    page.locator(".sidebar-search").press("Enter")
    page.wait_for_selector("#search-results li a")
    assert "07 · Why merging works" in page.locator("#search-results").inner_text()
    assert chosen in ("light", "dark") and page.evaluate("document.body.dataset.theme") == chosen
    page.locator("#search-results li a", has_text="07 · Why merging works").first.click()
    assert "07_why_merging_works.html" in page.url and page.errors == []


# What the first picture of a player shows, in the order in which it is drawn; the frame's picture, parsed alike.
INSIDE = "(player) => player.querySelector('.player-picture svg').innerHTML"
PARSED = """(source) => { const t = document.createElement('template'); t.innerHTML = source;
    return t.content.firstElementChild.innerHTML }"""


def visible(player):
    """The picture, words and text that a player shows."""
    text = player.locator("pre:not(.player-ghost)")
    words = player.locator("[role=status]").text_content()
    return player.evaluate(INSIDE), words, text.text_content() if text.count() else ""


def standing(player):
    """The labels at which the controls stand."""
    return player.evaluate(
        """(player) => [...player.querySelectorAll("input, select, button")].map(control =>
            control.tagName === "INPUT" ? control.getAttribute("aria-valuetext")
            : control.tagName === "SELECT" ? control.selectedOptions[0].text
            : control.dataset.pick === "1" ? "pressed" : "")"""
    )


def check(page, player, record):
    """That a player shows the stored frame of the setting at which its controls stand, which is returned."""
    labels = standing(player)
    picture, words, text, _ = at(record, labels)
    assert visible(player) == (page.evaluate(PARSED, picture), words, text), labels
    assert f"aria-label='{player.locator('.player-picture').get_attribute('aria-label')}'" in html.unescape(picture)
    return labels


def branch_at(record, labels):
    """What the controls before have led to: the branch of the next one."""
    node = record["tree"]
    for label in labels:
        node = node["next"][node["options"].index(label)]
    return node


def touch(page, control, share):
    """Tap on a control at a share of its width."""
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def move_range(page, control):
    """Every way to move a slider, and what it then has to stand at: the first, the last, or something new."""
    yield lambda: control.press("End"), -1
    yield lambda: control.press("Home"), 0
    yield lambda: control.press("ArrowRight"), 1
    yield lambda: control.click(position={"x": control.bounding_box()["width"] - 3, "y": 15}), -1
    yield lambda: touch(page, control, 0.02), 0


def moves(page, control):
    """Every way to move a control: (the move, the place among the options at which it then has to stand)."""
    kind = control.evaluate("(control) => control.tagName")
    if kind == "INPUT":
        yield from move_range(page, control)
    elif kind == "SELECT":
        yield lambda: control.press("Home"), 0
        yield lambda: control.press("ArrowDown"), 1
        yield lambda: control.select_option(index=0), 0
    else:
        for move in (lambda: control.press("Enter"), control.click, lambda: touch(page, control, 0.5)):
            yield move, 1
            yield move, 0


@in_chromium
@pytest.mark.parametrize("name", sorted(FRAMES))
def test_players_follow_key_mouse_and_touch_and_nothing_jumps(site, name, opened):
    page = opened(viewport={"width": 390, "height": 900}, has_touch=True)
    page.goto((site / "notebooks" / f"{name}.html").as_uri())
    for i, record in enumerate(read(players.FRAMES / f"{name}.js"), 1):
        player = page.locator(f"#player-{i}")
        assert check(page, player, record) == record["opening"]
        heights, seen = {player.bounding_box()["height"]}, set()
        for k, control in enumerate(player.locator("input, select, button").all()):
            for move, place in moves(page, control):
                before = standing(player)
                move()
                labels = check(page, player, record)
                assert labels[k] == branch_at(record, labels[:k])["options"][place]
                start = branch_at(record, labels[:-1]).get("start")
                if start and labels[:-1] != before[:-1]:
                    assert labels[-1] == start
                heights.add(player.bounding_box()["height"])
                seen.add(tuple(labels))
        assert len(heights) == 1 and len(seen) >= 4
        for control in player.locator("input, select").all():
            assert control.evaluate("(control) => control.labels[0].textContent.length > 2")
    assert page.errors == [] and all(url.startswith((site.as_uri(), "data:")) for url in page.asked)


@in_chromium
def test_a_held_key_asks_for_few_addresses(site, opened):
    page = opened()
    page.goto((site / "notebooks" / "03_merge_all_layers.html").as_uri())
    told = page.evaluate("""() => {
        const [tell, slider] = [history.replaceState, document.querySelector("#player-2 input")]
        window.told = 0
        history.replaceState = (...address) => { window.told++; tell.apply(history, address) }
        for (let i = 0; i <= 100; i++) {  // Safari raises an error after 100 addresses in half a minute
            slider.value = i % 21
            slider.dispatchEvent(new Event("input", {bubbles: true}))
        }
        return window.told
    }""")
    page.wait_for_url(lambda url: "alpha=0.80" in url)
    assert told == 0 and page.evaluate("told") == 1 and page.errors == []


@in_chromium
@pytest.mark.parametrize("name", [name for name in sorted(FRAMES) if name[:2] in ("03", "04", "05", "09")])
def test_the_address_keeps_the_setting(site, name, opened):
    start = (site / "notebooks" / f"{name}.html").as_uri()
    page = opened()
    for i, record in enumerate(read(players.FRAMES / f"{name}.js"), 1):
        page.goto(start)
        player = page.locator(f"#player-{i}")
        slider = player.locator("input").last
        slider.press("End")
        slider.press("ArrowLeft")
        labels = check(page, player, record)
        assert labels != record["opening"]
        page.wait_for_url(lambda url: all(f"={label}" in unquote(url) for label in labels))
        kept = page.url
        page.goto("about:blank")
        page.goto(kept)
        assert check(page, player, record) == labels
        assert 0 <= player.bounding_box()["y"] < 720
        for setting in (record["opening"], all_settings(record["tree"])[-1]):  # as a teacher may type it
            typed = "&".join(f"{c['name']}={label}" for c, label in zip(record["controls"], setting))
            page.goto(f"{start}#player-{i}&{typed}")  # the page is open already
            for _ in range(100):
                if standing(player) != setting:
                    page.wait_for_timeout(50)
            assert check(page, player, record) == setting
        page.goto(start)
        page.goto(f"{start}#player-{i}&{record['controls'][0]['name']}=<img>&nothing")
        assert check(page, player, record)[1:] == record["opening"][1:]
    assert page.errors == []


@in_chromium
def test_texts_of_frames_stay_texts(site, tmp_path, opened):
    shutil.copytree(site / "_static", tmp_path / "_static")
    picture = ["<svg viewBox='0 0 500 20' role='img' aria-label='\0words\0'>", "</svg>"]
    record = {
        "controls": [{"name": "a", "kind": "range", "label": HOSTILE}, {"name": "b", "kind": "choice", "label": "b"}],
        "opening": ["0", HOSTILE],
        "tree": {"options": ["0", "1"], "next": [{"options": [HOSTILE], "next": [0]}] * 2},
        **{"parts": picture, "words": [HOSTILE], "texts": [HOSTILE], "frames": [[[0, 1], 0, 0, 3]]},
    }
    (tmp_path / "_static" / "frames" / "hostile.js").write_text(players.script("hostile", [record]), encoding="utf-8")
    (tmp_path / "page.html").write_text(
        '<!doctype html><meta charset="utf-8"><script defer src="_static/player.js"></script>'
        '<div class="player" data-frames="hostile" data-view="0"></div>'
        '<script defer src="_static/frames/hostile.js"></script>'
    )
    page = opened()
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("input").press("End")
    player = page.locator("#player-1")
    assert player.locator("[role=status]").text_content() == HOSTILE
    assert player.locator(".player-picture").get_attribute("aria-label") == HOSTILE
    assert player.locator("pre:not(.player-ghost)").text_content() == HOSTILE
    assert player.locator("img, script").count() == 0 and page.evaluate("window.hacked") is None


@in_chromium
def test_without_scripts_the_static_twin_is_there(site, opened):
    page = opened(java_script_enabled=False)
    page.goto((site / "notebooks" / "03_merge_all_layers.html").as_uri())
    assert "The sliders need JavaScript" in page.locator(".player").first.inner_text()
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")  # as a reader can
    assert page.locator(".picture > svg").last.bounding_box()["width"] > 300
