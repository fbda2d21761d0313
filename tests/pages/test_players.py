"""Players show what the live views show: the same picture, words and text at every setting."""

import ast
import html
import json
import os
import re

import nbformat
import pytest
from small import ALPHAS

from lessons.figures.base import marked
from lessons.measured import measured_methods
from lessons.views import explorers as live_views
from lessons.views.explorers import mixing_desk, predict_then_reveal, tree_and_triangle, triangle_grid
from lessons.views.methods import method_explorer
from merging.load.device import get_device
from pages import players

STORED = sorted(players.FRAMES.glob("*.js"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def read(path):
    """The records of a stored file."""
    found = re.fullmatch(r"\(window\.players = window\.players \|\| \{\}\)\[(.*?)\] = (.*);\n", path.read_text("utf-8"))
    assert json.loads(found[1]) == path.stem
    return json.loads(found[2])


def shown(record, frame):
    """(picture, words, text, length of the prompt) of a frame: what player.js puts together."""
    parts, words, text, bold = frame
    words, text = record["words"][words], record["texts"][text]
    picture = "".join(record["parts"][part] for part in parts)
    return picture.replace(players.WORDS, html.escape(words, quote=True)), words, text, bold


def at(record, labels):
    """What a player shows at a setting."""
    node = record["tree"]
    for label in labels:
        node = node["next"][node["options"].index(label)]
    return shown(record, record["frames"][node])


def all_settings(node):
    """Every path through the tree, as lists of labels."""
    if isinstance(node, int):
        return [[]]
    return [[label, *rest] for label, below in zip(node["options"], node["next"]) for rest in all_settings(below)]


def some(items, n=12):
    """n of the items, spread over all of them, the first and the last included."""
    return [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)] if len(items) > n else items


@pytest.fixture
def texts():
    return {"code": ["def f(x):"], "beer": ["style: Ale"]}


def test_an_explorers_player_shows_what_the_explorer_shows(explorer):
    record = json.loads(json.dumps(players.record(explorer)))
    settings = all_settings(record["tree"])
    assert len(settings) == 2 * len(ALPHAS)
    for alpha, prompt in settings:
        explorer.set(alpha=float(alpha), prompt=prompt)
        assert at(record, [alpha, prompt]) == players.frame(explorer)
        assert at(record, [alpha, prompt])[3] == len(explorer.prompt()) > 0


def test_a_guess_and_its_answer_are_both_there_in_any_order():
    alphas, values = [i / 10 for i in range(11)], [i % 4 / 10 for i in range(11)]
    view = lambda: predict_then_reveal(alphas, values, ("beer", "clippy"), "gain")
    record = players.record(view())
    assert record["opening"] == ["0.20", ""] and len(record["frames"]) == 22
    guessing, knowing = view(), view()
    knowing.controls["commit"].click()
    for alpha in alphas:
        for live, pressed in ((guessing, ""), (knowing, "pressed")):
            live.set(guess=alpha)
            assert at(record, [f"{alpha:.2f}", pressed]) == players.frame(live)


DESK_PRESETS = ("all of the first model", "ramp down")


def test_a_desks_player_shows_presets_and_moves_of_one_fader(random_trio, tokenizer, texts, monkeypatch):
    monkeypatch.setattr(live_views, "PRESETS", {name: live_views.PRESETS[name] for name in DESK_PRESETS})
    first, second = (("clippy", random_trio["clippy"]), ("beer", random_trio["beer"]))
    record = players.record(mixing_desk(first, second, tokenizer, texts))
    desk = mixing_desk(first, second, tokenizer, texts)
    assert record["opening"][0] == "all of the first model" and len(all_settings(record["tree"])) == 2 * 9 * 11
    for preset, part, share in some(all_settings(record["tree"])):
        desk.preset.value = next(name for name in DESK_PRESETS if name != preset)
        desk.preset.value = preset
        desk.set(**{part: float(share)})
        assert at(record, [preset, part, share]) == players.frame(desk)


def test_a_desks_fader_starts_where_its_preset_puts_it(random_trio, tokenizer, texts):
    desk = mixing_desk(("clippy", random_trio["clippy"]), ("beer", random_trio["beer"]), tokenizer, texts)
    starts = {(each["preset"], each["part"]): each["start"] for each in players.preset_settings(desk)}
    assert starts["ramp down", "attention 1"] == "1.00" and starts["ramp down", "attention 4"] == "0.00"
    assert starts["attention only", "feed-forward 2"] == "1.00"


def test_tree_and_triangles_player_shows_what_the_view_shows(random_trio, tokenizer, texts):
    grid = triangle_grid(list(random_trio.values()), tokenizer, texts, steps=2)
    view = tree_and_triangle(random_trio, tokenizer, texts, grid)
    record = players.record(view)
    settings = all_settings(record["tree"])
    assert len(settings) == 3 * 11 * 11 and record["opening"] == ["(base + clippy) + beer", "0.50", "0.50"]
    for tree, inner, outer in some(settings):
        view.set(tree=tree, inner=float(inner), outer=float(outer))
        assert at(record, [tree, inner, outer]) == players.frame(view)


def test_a_methods_player_has_each_methods_own_knob():
    measured = measured_methods()
    record, view = players.record(method_explorer(measured)), method_explorer(measured)
    settings = all_settings(record["tree"])
    assert settings == [[name, f"{value:g}"] for name, row in measured["grid"].items() for value in row["values"]]
    for branch, (name, row) in zip(record["tree"]["next"], measured["grid"].items()):
        assert (branch["label"], branch["start"]) == (row["knob"], f"{row['values'][0]:g}")
        view.set(method=name)
        assert at(record, [name, branch["start"]]) == players.frame(view)  # a method opens where the live view does
    for name, knob in settings:
        view.set(method=name)
        view.set(knob=float(knob))
        assert at(record, [name, knob]) == players.frame(view)


def test_drawing_fails_where_the_view_fails(explorer, monkeypatch):
    monkeypatch.setattr(live_views, "merge_into", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        players.record(explorer)


CELLS = [
    ("import torch", True),
    ("theta = torch.ones(3)", True),
    ("unrelated = theta + 1", False),
    ("rows = []", True),
    ("for i in range(3):\n    rows.append(i)", True),
    ("def f(rows, other):\n    return other", False),
    ("table = {}\ntable['a'] = rows", True),
    ("table['b'] = theta", True),
    ("print(table)", False),
    ("view = explorer(table, (other for other in rows))\nview.box", True),
    ("view.still()", False),
]


def test_only_the_cells_that_a_view_needs_are_run():
    trees = [ast.parse(source) for source, _ in CELLS]
    kept = [ast.unparse(tree) for tree in players.needed(trees)]
    # A function whose parameter has a wanted name does not make that name.
    assert kept == [ast.unparse(ast.parse(source)) for source, wanted in CELLS if wanted]


def test_only_a_last_line_with_a_box_shows_a_view():
    shows = lambda source: players.shows_view(ast.parse(source))
    assert shows("a = 1\nview.box") and shows("make(1).box")
    assert not any(map(shows, ("", "view.box\nprint(1)", "x = view.box", "view.box()", "view.boxes")))


ON_STEPS = [path for path in STORED if path.stem[:2] != "05"]  # its twin is at 0.75, between two steps of the slider


@pytest.mark.parametrize("path", ON_STEPS, ids=lambda path: path.stem)
def test_the_notebooks_static_twins_are_among_the_stored_frames(path):
    """If this fails the notebook was executed again: `make players` draws its frames anew."""
    frames = [shown(record, frame) for record in read(path) for frame in record["frames"]]
    notebook = nbformat.read(players.ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    twins = [cell for cell in notebook.cells if cell.cell_type == "code" and ".still(" in cell.source]
    assert len(twins) == len(read(path))
    for cell in twins:
        data = [output.get("data", {}) for output in cell.outputs]
        picture = next(each for each in data if "image/svg+xml" in each)
        words = picture["text/plain"]
        # 06 computes in bfloat16, whose last digits depend on the number of threads: there only the words agree
        drawn = None if path.stem.startswith("06") else picture["image/svg+xml"]
        found = [f for f in frames if f[1] == words and drawn in (None, f[0])]
        assert len(found) == 1
        _, _, text, bold = found[0]
        written = [each["text/html"] for each in data if "text/html" in each]
        assert bool(written) == bool(text)
        assert all(marked(text[:bold], text.rstrip("\n")) in page for page in written)


def close(one, other):
    """The same text but for numbers, which differ by at most one in their last digit."""
    step = lambda number: 1.01 * 10 ** -len(number.partition(".")[2])
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other))
    return NUMBER.sub("#", one) == NUMBER.sub("#", other) and all(abs(float(a) - float(b)) <= step(a) for a, b in pairs)


LASTING = ("03", "05", "11")  # they sweep before they draw
KERNELS = [
    pytest.param(path, marks=[pytest.mark.long] if path.stem[:2] in LASTING else [], id=path.stem)
    for path in STORED
    if path.stem[:2] != "06"
]


@pytest.mark.skipif(get_device() != "cpu", reason="NOT RUN: stored frames come from a CPU, and this is a GPU")
@pytest.mark.parametrize("path", KERNELS)
def test_stored_frames_are_what_the_kernel_gives(path):
    """At six settings of each view; another processor may round a last digit differently, and then sample another
    text now and then."""
    made = players.views(players.ROOT / "notebooks" / f"{path.stem}.ipynb")
    for view, record in zip(made, read(path), strict=True):
        texts = []
        controls, opening, every = players.plan(view)
        assert record["controls"] == controls and record["opening"] == opening
        wanted = {tuple(labels) for labels in some(all_settings(record["tree"]), 6)}
        view.quiet = True
        for setting in every:
            labels = tuple(setting[control["name"]] for control in record["controls"])
            if labels in wanted:
                view.quiet = False
                view.update(stream=False)
                picture, words, text, bold = players.frame(view)
                stored = at(record, labels)
                assert close(picture, stored[0]) and close(words, stored[1]) and bold == stored[3]
                texts.append(text == stored[2])
                view.quiet = True
        assert len(texts) == len(wanted) == 6 and sum(texts) >= 4


def test_every_notebook_with_a_view_has_its_frames_and_they_are_small():
    expected = {path.stem for path in players.notebooks() if path.stem[:2] != "06"}  # 06: drawn where its model is
    assert expected <= {path.stem for path in STORED} <= {path.stem for path in players.notebooks()}
    assert sum(path.stat().st_size for path in STORED) < 3e6


def test_frames_are_drawn_on_the_cpu(monkeypatch):
    monkeypatch.setenv("DEVICE", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(players, "notebooks", list)
    players.main([])
    assert get_device() == "cpu" and os.environ["CUDA_VISIBLE_DEVICES"] == ""
