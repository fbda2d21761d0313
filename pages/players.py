"""Players: the live views of the notebooks, drawn beforehand for every setting, so that they need no kernel.

    python -m pages.players         all notebooks that show a view; writes pages/frames/NAME.js
    python -m pages.players 03 08   only these

A notebook's own cells make its views, and a view draws its own frames: nothing is drawn a second time here. A file
assigns to a variable, because a page that was opened from a folder may load a script but no JSON.
"""

import ast
import contextlib
import html
import io
import itertools
import json
import os
import re
import sys
import time
from pathlib import Path

import ipywidgets as widgets
import nbformat
import torch

from merging.paths import ROOT

FRAMES = Path(__file__).resolve().parent / "frames"
WORDS = "\0words\0"  # stands in a picture's accessible name for the words below it, which are the same


def notebooks():
    """The notebooks that show a view."""
    return [path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")) if any(map(shows_view, cells(path)))]


def cells(path):
    """The code cells as syntax trees."""
    return [ast.parse(cell.source) for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def shows_view(tree):
    """True for a cell that ends with `view.box`."""
    last = tree.body[-1] if tree.body else None
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Attribute) and last.value.attr == "box"


def views(path):
    """The views of a notebook, made by those of its cells that they need; raises what a cell raises."""
    namespace, found, here, places = {}, [], os.getcwd(), list(sys.path)
    os.chdir(path.parent)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for tree in needed(cells(path)):
                last = tree.body.pop() if shows_view(tree) else None
                exec(compile(tree, path.name, "exec"), namespace)
                if last:
                    found.append(eval(compile(ast.Expression(last.value.value), path.name, "eval"), namespace))
    finally:
        os.chdir(here)
        sys.path[:] = places  # a setup cell puts ".." there
    return found


def needed(trees):
    """The cells that show a view, and those that make what these use, in order."""
    wanted, kept = set(), []
    for tree in reversed(trees):
        if shows_view(tree) or changed(tree) & wanted:
            kept.insert(0, tree)
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            wanted |= used - assigned(tree) - {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return kept


def assigned(tree):
    """The names that a cell assigns, imports or defines."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return names | {(node.asname or node.name).split(".")[0] for node in nodes if isinstance(node, ast.alias)}


def changed(tree):
    """The names that a cell stores, or whose objects it changes: `x[0] = 1`, `x.y = 1`, `x.append(1)`."""
    nodes = list(ast.walk(tree))
    parts = [n for n in nodes if isinstance(n, ast.Subscript | ast.Attribute) and isinstance(n.ctx, ast.Store)]
    parts += [n.value.func for n in nodes if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    parts = [part for part in parts if not isinstance(part, ast.Name)]
    return assigned(tree) | {next(n.id for n in ast.walk(part) if isinstance(n, ast.Name)) for part in parts}


def choices_of(control):
    """(label, value) for all that a control can be set to."""
    if isinstance(control, widgets.Button):
        return [("", False), ("pressed", True)]
    if isinstance(control, widgets.FloatSlider):
        steps = round((control.max - control.min) / control.step)
        values = [round(control.min + i * control.step, 10) for i in range(steps + 1)]
        return [(f"{value:.2f}", value) for value in values]
    return [option if isinstance(option, tuple) else (option, option) for option in control.options]


def move(control, value):
    """Set a control as a reader does."""
    if not isinstance(control, widgets.Button):
        control.value = value
    elif value and not control.disabled:
        control.click()


def settings(view, names=None):
    """Set the view to one setting after the other, and give each: control -> label. Does not draw.

    A button comes first, because it cannot be taken back; what a control offers is asked for after the ones before it
    are set.
    """
    if names is None:
        names = sorted(view.controls, key=lambda name: not isinstance(view.controls[name], widgets.Button))
    if not names:
        yield {}
        return
    for label, value in choices_of(view.controls[names[0]]):
        move(view.controls[names[0]], value)
        for rest in settings(view, names[1:]):
            yield {names[0]: label} | rest


def preset_settings(view):
    """Each preset of a view, and from there each move of one control: all settings would be too many."""
    for preset in view.preset.options:
        view.preset.value = preset
        for part, fader in view.controls.items():
            start = fader.value
            for label, value in choices_of(fader):
                view.quiet, fader.value = True, value  # the preset has switched it off
                yield {"preset": preset, "part": part, "share": label, "start": f"{start:.2f}"}
            view.quiet, fader.value = True, start


def frames(view):
    """(setting, what the view shows) for every setting, in which the view is left when it is given."""
    view.quiet = True
    for setting in plan(view)[2]:
        view.quiet = False
        view.update(stream=False)
        yield setting, frame(view)
        view.quiet = True
    view.quiet = False


def frame(view):
    """What a view shows now: picture, words, text, and how much of the text is the prompt, which is bold."""
    text, prompt = view.plain(view.text), view.prompt()
    return view.picture.value, view.plain(view.words), text, len(prompt) if text.startswith(prompt) else 0


def plan(view):
    """What a player offers of a view: its controls as they stand, what each opens with, and all settings.

    A control is a dict of name, kind and label.
    """
    rows, opening, every = (preset_plan if view.preset else whole_plan)(view)
    return [dict(zip(("name", "kind", "label"), row)) for row in rows], opening, every


def whole_plan(view):
    """The plan of a view whose controls are all moved, each on its own."""
    kinds = {widgets.Button: "button", widgets.FloatSlider: "range", widgets.SelectionSlider: "range"}
    rows = [(name, kinds.get(type(c), "choice"), label_of(view, c)) for name, c in view.controls.items()]
    chosen = lambda c: next(label for label, value in choices_of(c) if value == getattr(c, "value", False))
    return rows, [chosen(c) for c in view.controls.values()], settings(view)


def preset_plan(view):
    """The plan of a view with presets: a preset, one of the other controls, and where that is moved to."""
    title = next(widget.value for widget in inside(view.box) if isinstance(widget, widgets.Label))
    rows = [("preset", "choice", "preset"), ("part", "choice", "change only"), ("share", "range", title)]
    part, first = next(iter(view.controls.items()))
    return rows, [view.preset.value, part, f"{first.value:.2f}"], preset_settings(view)


def inside(box):
    """A widget and all that it holds."""
    return [box, *itertools.chain(*map(inside, getattr(box, "children", ())))]


def label_of(view, control):
    """What stands before a control: its description, or the label beside it."""
    beside = [box.children for box in inside(view.box) if control in getattr(box, "children", ())]
    labels = [widget.value for widget in itertools.chain(*beside) if isinstance(widget, widgets.Label)]
    return control.description or " ".join(labels)


def record(view):
    """A view as a player reads it: controls, opening, every different part, words and text once, and frames.

    A frame is [its parts, its words, its text, length of the prompt in it]; see branch for the tree that leads there.
    """
    (controls, opening, _), rows = plan(view), []
    tables = {"parts": {}, "words": {}, "texts": {}, "frames": {}}
    number = lambda table, value: tables[table].setdefault(value, len(tables[table]))
    for setting, (picture, words, text, bold) in frames(view):
        parts = re.split(r"(?=<)", picture.replace(f"'{html.escape(words, quote=True)}'", f"'{WORDS}'"))
        shown = tuple(number("parts", part) for part in parts if part)
        place = number("frames", (shown, number("words", words), number("texts", text), bold))
        rows.append(([setting[control["name"]] for control in controls], place, last_of(view, setting)))
    return {"controls": controls, "opening": opening, "tree": branch(rows)} | {
        name: list(table) for name, table in tables.items()
    }


def last_of(view, setting):
    """What the last control is called and where it starts, if that depends on the ones before it."""
    if "start" in setting:
        return {"start": setting["start"]}
    if "knob" in setting:
        return {"label": label_of(view, view.controls["knob"]), "start": choices_of(view.controls["knob"])[0][0]}
    return {}


def branch(rows):
    """The options of the first control with what follows each: a branch, or at the last control the frame's number."""
    groups = {}
    for (label, *labels), place, last in rows:
        groups.setdefault(label, []).append((labels, place, last))
    leaves = [group[0][1] if not group[0][0] else None for group in groups.values()]
    if None in leaves:
        return {"options": list(groups), "next": [branch(group) for group in groups.values()]}
    return {"options": list(groups), "next": leaves} | rows[0][2]


def script(name, records):
    """The text of the file that a page loads."""
    data = json.dumps(records, ensure_ascii=False, separators=(",", ":"))
    return f"(window.players = window.players || {{}})[{json.dumps(name)}] = {data};\n"


def main(names=sys.argv[1:]):
    os.environ.update(DEVICE="cpu", CUDA_VISIBLE_DEVICES="")  # stored frames come from the CPU
    torch.set_num_threads(1)
    FRAMES.mkdir(exist_ok=True)
    for path in notebooks():
        if names and not path.name.startswith(tuple(names)):
            continue
        start, target = time.perf_counter(), FRAMES / f"{path.stem}.js"
        records = [record(view) for view in views(path)]
        target.write_text(script(path.stem, records), encoding="utf-8")
        counts = " + ".join(f"{len(each['frames'])}" for each in records)
        seconds = time.perf_counter() - start
        print(f"{target.name}: {counts} frames, {target.stat().st_size / 1e6:.2f} MB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
