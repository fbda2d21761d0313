"""The live views of the series: move a slider, and the merge, its measurements and its text change.

A view merges into one model that it keeps, so moving a slider allocates nothing. Pictures are SVG written by hand:
a matplotlib figure takes five times as long to reach the page. alpha is always the share of the first model.
"""

import asyncio
import copy
import html
import math
import sys
import time
from contextlib import nullcontext

import ipywidgets as widgets
import torch
from IPython.display import display
from matplotlib import colormaps
from matplotlib.colors import to_hex

from helpers import (
    COLOURS, check_mergeable, flat_weights, merge_into, merge_tensors, tensor_kind, text_windows, threads_for, touched,
    window_nats)

FONT = "font-family='sans-serif' font-size='15'"
TOKENS = 4  # bars: the most likely tokens of each parent


# --- a view -----------------------------------------------------------------------------------------------------

class View:
    """Controls above a picture, its numbers as words, and maybe a sampled text; `box` is what a cell shows.

    draw() yields (svg, words) for the present values of the controls: once, or first with what is known before a
    merge is measured and None for the words. sample() gives an iterator of growing texts. An error in either is shown
    in the view and raised. model is the one that the view merges into.
    """

    def __init__(self, controls, layout, draw, sample=None, model=None):
        self.controls, self.draw, self.sample, self.model, self.task = controls, draw, sample, model, None
        self.picture, self.words, self.text = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.box = widgets.VBox([layout, self.picture, self.words, *([self.text] if sample else [])])
        for control in controls.values():
            if isinstance(control, widgets.Button):
                control.on_click(self.update)
            else:
                control.observe(self.update, "value")
        self.quiet = False
        self.update()

    def update(self, change=None, stream=True):
        """Redraw for the present values; a text that is still being written is given up."""
        if self.quiet:
            return
        if self.task:
            self.task.cancel()
            self.task = None
        try:
            with nullcontext() if self.model is None else threads_for(self.model):
                for svg, words in self.draw():
                    self.picture.value = svg
                    self.words.value = f"<div style='font-size:1.1em'>{html.escape(words)}</div>" if words else self.words.value
            if self.sample and stream and can_stream():
                self.text.value = ""
                self.task = asyncio.get_running_loop().create_task(self._stream())
            elif self.sample:
                self._show(list(self.sample())[-1])
        except Exception as error:
            self._fail(error)
            raise

    def set(self, stream=False, **values):
        """Move several controls at once, with one update at the end."""
        self.quiet = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self.quiet = False
        self.update(stream=stream)

    def still(self, **values):
        """The static twin: set the controls and show what the view then shows, as a picture and text that GitHub keeps."""
        self.set(**values)
        display({"image/svg+xml": self.picture.value, "text/plain": self.plain(self.words)}, raw=True)
        print(self.plain(self.words) + ("\n\n" + self.plain(self.text) if self.sample else ""))

    @staticmethod
    def plain(widget):
        """The text of an HTML widget, without its markup."""
        return html.unescape(widget.value.split(">", 1)[1].rsplit("</", 1)[0]) if widget.value else ""

    def _show(self, text):
        self.text.value = f"<pre style='font-size:1.1em;line-height:1.3;white-space:pre-wrap'>{html.escape(text)}</pre>"

    async def _stream(self):
        """Write the text token by token; between two tokens the kernel may take the next move of a slider."""
        try:
            shown = 0.0
            for text in self.sample():
                if time.monotonic() - shown > 0.03:  # a page cannot show more than that
                    self._show(text)
                    shown = time.monotonic()
                await asyncio.sleep(0)
            self._show(text)
        except Exception as error:
            self._fail(error)
            raise

    def _fail(self, error):
        self.words.value = f"<b style='color:#D55E00'>{html.escape(f'{type(error).__name__}: {error}')}</b>"


def can_stream():
    """True where the front end shows changes while the kernel works: not in Colab, and not without an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return "google.colab" not in sys.modules


@torch.no_grad()
def stream_text(model, tokenizer, prompt, max_length, seed=32):
    """Yield the text so far after each sampled token; the last is what generate_text gives with the same seed."""
    ids = new = tokenizer(prompt, return_tensors="pt")["input_ids"].to(model.device)
    if ids.shape[1] >= max_length:
        raise ValueError(f"The prompt has {ids.shape[1]} tokens: max_length must be larger, not {max_length}.")
    dice, cache = torch.Generator(model.device).manual_seed(seed), None
    while ids.shape[1] < max_length:
        with threads_for(model):
            output = model(new, past_key_values=cache, use_cache=True)
        cache, scores = output.past_key_values, output.logits[:, -1].float()
        likely = scores.masked_fill(scores < scores.topk(50).values[:, -1:], -torch.inf)
        new = torch.multinomial(likely.softmax(-1), 1, generator=dice)
        ids = torch.cat([ids, new], dim=1)
        yield tokenizer.decode(ids[0], skip_special_tokens=True)
        if new.item() == tokenizer.eos_token_id:
            return


def excerpts(texts, tokenizer, tokens=48):
    """The first tokens of two documents of each text: short enough to be scored at every move of a slider."""
    head = lambda document: tokenizer.decode(tokenizer(document)["input_ids"][:tokens // 2])
    return {kind: [head(document) for document in documents[:2]] for kind, documents in texts.items()}


def scorer(texts, tokenizer):
    """A function of a model that gives its bits per byte on each of a few short texts, all in one pass.

    The same numbers as bits_per_byte, for documents that fit into the model's context.
    """
    windows = [window for documents in texts.values() for document in documents
               for window in text_windows(document, tokenizer, 1024)]
    n_bytes = {kind: sum(len(document.encode("utf-8")) for document in documents) for kind, documents in texts.items()}

    def score(model):
        nats = iter(window_nats(model, windows))
        return {kind: sum(next(nats) for _ in documents) / math.log(2) / n_bytes[kind] for kind, documents in texts.items()}

    return score


def slider(value, name="", step=0.1, **options):
    """A slider from 0 to 1 that reports a move when it is made."""
    options = {"style": {"description_width": "initial"}, "layout": {"width": "520px"}, "readout_format": ".2f"} | options
    return widgets.FloatSlider(value, min=0, max=1, step=step, description=name, continuous_update=False, **options)


# --- SVG --------------------------------------------------------------------------------------------------------

def svg(width, height, parts, words):
    """A picture of the given size (pixels) with its words as the accessible name."""
    return (f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
            f"style='max-width:100%;height:auto;background:white' role='img' aria-label='{html.escape(words, quote=True)}' {FONT}>"
            + "".join(parts) + "</svg>")


def label(x, y, text, anchor="start", **style):
    more = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in style.items())
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'{more}>{html.escape(str(text))}</text>"


def line(points, colour, width=2, dash=""):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}' stroke-dasharray='{dash}'/>"


def box(x, y, width, height, colour, **style):
    more = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in style.items())
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 0):.1f}' height='{height:.1f}' fill='{colour}'{more}/>"


def mark(x, y, model, size=7):
    """A model's marker in its colour: a disc, a square, a triangle, or a diamond for a merge."""
    colour = COLOURS.get(model, COLOURS["merged"])
    if model == "base":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size}' fill='{colour}'/>"
    square, triangle = ((-1, -1), (1, -1), (1, 1), (-1, 1)), ((0, -1.2), (1.1, 1), (-1.1, 1))
    shapes = {"clippy": square, "first": square, "beer": triangle, "second": triangle}
    shape = shapes.get(model, ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)))
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in shape)
    return f"<polygon points='{points}' fill='{colour}'/>"


def ring(x, y):
    """Where we are: a red ring that hides nothing."""
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='10' fill='none' stroke='#D55E00' stroke-width='4'/>"


def chart(x, y, width, height, alphas, values, title, ends, base=None):
    """A curve over alpha in a frame, both ends marked as the models they are; gives (parts, place of a point)."""
    low, high = min([*values, *([base] if base is not None else [])]), max([*values, *([base] if base is not None else [])])
    margin = 0.08 * (high - low or 1)
    low, high = low - margin, high + margin
    place = lambda alpha, value: (x + alpha * width, y + height - (value - low) / (high - low) * height)
    parts = [box(x, y, width, height, "none", stroke="#bbb"), label(x + width / 2, y - 10, title, "middle", font_weight="bold"),
             label(x, y + height + 20, f"0: {ends[0]}"), label(x + width, y + height + 20, f"1: {ends[1]}", "end"),
             label(x - 14, y + 12, f"{high - margin:.2f}", "end"), label(x - 14, y + height, f"{low + margin:.2f}", "end")]
    if base is not None:
        parts += [line([place(0, base), place(1, base)], COLOURS["base"], 1.5, "6 4"),
                  label(x + width - 4, place(1, base)[1] - 5, "base", "end")]
    parts += [line([place(0, values[0]), place(1, values[-1])], "#888", 1.5, "2 4"),
              line([place(a, v) for a, v in zip(alphas, values)], COLOURS["merged"], 2.5),
              mark(*place(0, values[0]), ends[0]), mark(*place(1, values[-1]), ends[1])]
    return parts, place


# --- 03: one alpha ----------------------------------------------------------------------------------------------

@torch.no_grad()
def next_tokens(model, tokenizer, prompt):
    """Probabilities of every token after a prompt."""
    return model(tokenizer(prompt, return_tensors="pt")["input_ids"].to(model.device)).logits[0, -1].softmax(-1)


def alpha_explorer(first, second, tokenizer, alphas, bits, base_bits, prompts, openings={}, alpha=0.5, max_length=160):
    """One slider over a measured sweep: a ring on its curves, bars of the likely next tokens, and the sampled text.

    first, second: (label, model); alpha is the share of first. bits: text -> bits per byte at each of the alphas,
    base_bits: text -> base's, {} if there is none. prompts: name -> prompt; the text is always sampled with seed 32, so that only the
    weights differ. openings: name -> what follows the prompt where the bars look, if not the end of the prompt.
    """
    (name1, model1), (name2, model2) = first, second
    check_mergeable([model1, model2])
    live = copy.deepcopy(model1)
    controls = {
        "alpha": slider(alpha, f"alpha: {name2} at 0, {name1} at 1", step=alphas[1] - alphas[0]),
        "prompt": widgets.ToggleButtons(options=list(prompts), description="prompt")}
    right = 70 + 240 * len(bits)  # where the charts end and the bars begin
    charts = [chart(60 + 240 * i, 34, 165, 190, alphas, values, f"{kind}: bits per byte", (name2, name1), base_bits.get(kind))
              for i, (kind, values) in enumerate(bits.items())]
    looked_at = {name: prompt + openings.get(name, "") for name, prompt in prompts.items()}
    parents = {name: {label: next_tokens(model, tokenizer, text) for label, model in (second, first)}
               for name, text in looked_at.items()}
    tokens = {name: list(dict.fromkeys(i for p in both.values() for i in p.topk(TOKENS).indices.tolist()))
              for name, both in parents.items()}

    bars = [""]

    def draw():
        alpha, prompt = controls["alpha"].value, controls["prompt"].value
        now = min(range(len(alphas)), key=lambda i: abs(alphas[i] - alpha))
        curves = [part for drawn, _ in charts for part in drawn]
        curves += [ring(*place(alphas[now], values[now])) for (_, place), values in zip(charts, bits.values())]
        measured = f"alpha = {alpha:.2f} (share of {name1}), bits per byte: " + ", ".join(
            f"{kind} {values[now]:.2f}" for kind, values in bits.items())
        yield svg(right + 330, 260, curves + bars, measured), None
        merge_into(live, [model1, model2], [alpha, 1 - alpha])
        likely = next_tokens(live, tokenizer, looked_at[prompt])
        rows = [(repr(tokenizer.decode(i)), likely[i].item(), [(m, p[i].item()) for m, p in parents[prompt].items()])
                for i in tokens[prompt]]
        opening = f" and {openings[prompt]!r}" if prompt in openings else ""
        words = f"{measured}. Next token after the {prompt} prompt{opening}: " + ", ".join(f"{word} {p:.0%}" for word, p, _ in rows) + "."
        bars[:] = token_bars(right, 34, 280, rows)
        yield svg(right + 330, 260, curves + bars, words), words

    return View(controls, widgets.VBox(list(controls.values())), draw,
                lambda: stream_text(live, tokenizer, prompts[controls["prompt"].value], max_length), live)


def token_bars(x, y, width, rows):
    """Bars of (token, probability, [(parent, its probability)]), the parents' as markers."""
    largest = max([p for _, p, both in rows for p in (p, *(q for _, q in both))])
    scale = (width - 110) / largest
    parts = [label(x, y - 10, "next token", font_weight="bold")]
    for i, (word, p, both) in enumerate(rows):
        top = y + 6 + i * 26
        parts += [label(x + 60, top + 15, word, "end"), box(x + 70, top, p * scale, 20, COLOURS["merged"], opacity=0.6)]
        parts += [mark(x + 70 + q * scale, top + 10, model, 5) for model, q in both]
        parts += [label(x + width - 30, top + 15, f"{p:.0%}")]
    return parts


def predict_then_reveal(alphas, values, ends, name):
    """Guess which alpha is best before the curve is shown; ends: the labels at alpha 0 and 1; higher values are better."""
    controls = {"guess": slider(0.2, "your guess for the best alpha", step=alphas[1] - alphas[0]),
                "commit": widgets.Button(description="Commit and reveal")}
    best = max(range(len(alphas)), key=lambda i: values[i])

    def draw():
        guess = min(range(len(alphas)), key=lambda i: abs(alphas[i] - controls["guess"].value))
        parts, place = chart(70, 34, 420, 190, alphas, values, name, ends)
        top, bottom = place(alphas[guess], 0)[0], (34, 224)
        flag = [line([(top, bottom[0]), (top, bottom[1])], "#D55E00", 3, "8 4"), label(top + 6, 50, "you", fill="#D55E00")]
        if not view_state["committed"]:
            words = f"Your guess: alpha = {alphas[guess]:.2f}. Commit to see the curve."
            yield svg(520, 260, parts[:4] + flag, words), words
            return
        words = (f"Your guess, alpha = {alphas[guess]:.2f}, reaches {values[guess]:.2f}. The best is alpha = {alphas[best]:.2f} "
                 f"with {values[best]:.2f}.")
        yield svg(520, 260, parts + flag + [ring(*place(alphas[best], values[best]))], words), words

    view_state = {"committed": False}

    def commit(button):
        view_state["committed"] = controls["guess"].disabled = True

    controls["commit"].on_click(commit)  # before the view's own redraw
    return View(controls, widgets.HBox(list(controls.values())), draw)


# --- 04: a slider per part --------------------------------------------------------------------------------------

REST = "embeddings and norms"
PRESETS = {  # share of the first model in each part: kind, depth from 0 (first block) to 1 (last)
    "all of the first model": lambda kind, depth: 1.0,
    "half of everything": lambda kind, depth: 0.5,
    "attention only": lambda kind, depth: 0.5 if kind == "attention" else 1.0,
    "feed-forward only": lambda kind, depth: 0.5 if kind == "feed-forward" else 1.0,
    "first half": lambda kind, depth: 0.5 if depth is not None and depth < 0.5 else 1.0,
    "ramp up": lambda kind, depth: 0.5 if depth is None else round(depth, 1),
    "ramp down": lambda kind, depth: 0.5 if depth is None else round(1 - depth, 1),
}


def mixing_desk(first, second, tokenizer, texts):
    """A slider for each block's attention, each block's feed-forward part, and the rest; bars of bits per byte.

    first, second: (label, model). A slider is the share of first in its part; the last one holds the
    embeddings and all norms. texts: short ones, see excerpts. Only the tensors of the sliders that moved are merged
    again.
    """
    (name1, model1), (name2, model2) = first, second
    check_mergeable([model1, model2])
    live = copy.deepcopy(model1)
    parts = {}
    for name in merge_tensors(live):
        kind, block = tensor_kind(name)
        parts.setdefault((kind, block) if kind in ("attention", "feed-forward") else (REST, None), []).append(name)
    last = max(block for _, block in parts if block is not None)
    many = last > 7  # twelve blocks: a row for each kind, and low enough that the bars are still on the screen
    narrow = {"width": "44px" if many else "52px", "height": "170px" if many else "190px"}
    faders = {place: slider(1.0, "all" if place[1] is None else str(place[1] + 1), orientation="vertical", layout=narrow,
                              readout_format=".1f")
              for place in parts}
    choice = widgets.Dropdown(options=list(PRESETS), description="preset", layout={"width": "360px"})
    score = scorer(texts, tokenizer)
    ends = {name: score(model) for name, model in (first, second)}
    mixed = dict.fromkeys(parts, 1.0)

    def preset(change):
        share = PRESETS[change["new"]]
        view.set(**{key(place): share(place[0], None if place[1] is None else place[1] / last) for place in parts})

    def draw():
        for place, fader in faders.items():
            if fader.value != mixed[place]:
                merge_into(live, [model1, model2], [fader.value, 1 - fader.value], parts[place])
                mixed[place] = fader.value
        changed = [name for place, share in mixed.items() if share != 1 for name in parts[place]]
        scores = ends | {"merged": score(live)}
        words = (f"This changes {touched(live, changed)} of {name1}. Bits per byte on the excerpts: "
                 + "; ".join(f"{kind} {scores['merged'][kind]:.2f} ({name1} {ends[name1][kind]:.2f}, {name2} {ends[name2][kind]:.2f})"
                             for kind in texts) + ".")
        yield svg(1000, 140, grouped_bars(texts, scores), words), words

    key = lambda place: place[0] if place[1] is None else f"{place[0]} {place[1] + 1}"
    attention, feed_forward, rest = (
        widgets.VBox([widgets.Label("the rest" if kind == REST else f"{kind} of block"),
                      widgets.HBox([fader for (k, _), fader in faders.items() if k == kind])])
        for kind in ("attention", "feed-forward", REST))
    rows = [attention, widgets.HBox([feed_forward, rest])] if many else [widgets.HBox([attention, feed_forward, rest])]
    title = widgets.Label(f"share of {name1} (1 = {name1}, 0 = {name2})")
    layout = widgets.VBox([widgets.HBox([choice, title]), *rows])
    view = View({key(place): fader for place, fader in faders.items()}, layout, draw, model=live)
    choice.observe(preset, "value")
    view.preset = choice
    return view


def grouped_bars(texts, scores):
    """Horizontal bars: for each text one bar for each model, with its number."""
    largest = max(value for row in scores.values() for value in row.values())
    parts = []
    for i, kind in enumerate(texts):
        x, width = 20 + i * 330, 170
        parts.append(label(x, 24, f"{kind}: bits per byte", font_weight="bold"))
        for j, (model, row) in enumerate(scores.items()):
            y, colour, length = 40 + j * 32, COLOURS.get(model, COLOURS["merged"]), row[kind] / largest * width
            parts += [mark(x, y + 10, model, 6), label(x + 14, y + 15, model), box(x + 84, y, length, 20, colour),
                      label(x + 90 + length, y + 15, f"{row[kind]:.2f}")]
    return parts


# --- 05: a tree and a triangle ----------------------------------------------------------------------------------

def triangle_grid(models, tokenizer, texts, steps=10, progress=lambda items: items):
    """weights -> mean bits per byte over the texts, for all averages of three models with shares in steps (66 for 10)."""
    check_mergeable(models)
    live, score, grid = copy.deepcopy(models[0]), scorer(texts, tokenizer), {}
    for weights in progress([(i / steps, j / steps, (steps - i - j) / steps)
                             for i in range(steps + 1) for j in range(steps + 1 - i)]):
        scores = score(merge_into(live, models, weights))
        grid[weights] = sum(scores.values()) / len(scores)
    return grid


def tree_and_triangle(models, tokenizer, texts, grid):
    """Two alphas of a tree over three models, and the same point on the triangle of all their averages.

    models: label -> model, three of them; grid: see triangle_grid, measured on the same texts.
    """
    check_mergeable(list(models.values()))
    names, live, score = list(models), copy.deepcopy(next(iter(models.values()))), scorer(texts, tokenizer)
    shapes = {f"({a} + {b}) + {c}": (a, b, c) for a, b, c in (names, names[1:] + names[:1], [names[0], names[2], names[1]])}
    controls = {"tree": widgets.Dropdown(options=list(shapes), description="tree", layout={"width": "360px"}),
                "inner": slider(0.5, "alpha of the first merge"), "outer": slider(0.5, "alpha of the second merge")}
    low, high = min(grid.values()), max(grid.values())
    corners = dict(zip(names, ((830, 36), (690, 246), (970, 246))))
    place = lambda weights: tuple(sum(w * corners[n][i] for n, w in weights.items()) for i in (0, 1))
    dots = [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='9' fill='{to_hex(colormaps['viridis']((value - low) / (high - low)))}'/>"
            for weights, value in grid.items() for x, y in [place(dict(zip(names, weights)))]]
    best = min(grid, key=grid.get)
    frame = [label(830, 292, f"colour: mean bits per byte, {low:.2f} (dark) to {high:.2f} (light)", "middle")]
    frame += [mark(x, y, name) + label(x + dx, y + 5, name, anchor) for (name, (x, y)), (dx, anchor)
              in zip(corners.items(), ((14, "start"), (-14, "end"), (14, "start")))]

    def draw():
        (a, b, c), inner, outer = shapes[controls["tree"].value], controls["inner"].value, controls["outer"].value
        weights = flat_weights(((a, b, inner), c, outer))
        flat = (f"Tree (({a}, {b}, {inner:.2f}), {c}, {outer:.2f}) is the flat average "
                + ", ".join(f"{n} {weights[n]:.2f}" for n in names))
        picture = svg(1120, 305, tree_drawing((a, b, c), inner, outer, weights) + dots + frame + [ring(*place(weights))], flat)
        yield picture, None
        bits = score(merge_into(live, list(models.values()), [weights[n] for n in names])).values()
        mean = sum(bits) / len(bits)
        words = (f"{flat}: {mean:.3f} bits per byte in the mean. Best of the grid: "
                 + ", ".join(f"{n} {w:.1f}" for n, w in zip(names, best)) + f" with {grid[best]:.3f}.")
        yield picture, words

    return View(controls, widgets.VBox(list(controls.values())), draw, model=live)


def tree_drawing(leaves, inner, outer, weights):
    """Two merges as a drawn tree: the shares on its branches, the flat weights under its leaves."""
    (a, b, c), (xa, xb, xc), (x1, x2) = leaves, (90, 250, 430), (170, 300)
    parts = [line([(xa, 200), (x1, 130), (xb, 200)], "#555"), line([(x1, 130), (x2, 50), (xc, 200)], "#555"),
             mark(x1, 130, "merged"), mark(x2, 50, "merged", 9), label(x2 + 16, 46, "result")]
    for x, y, share in ((120, 160, inner), (222, 160, 1 - inner), (222, 84, outer), (384, 120, 1 - outer)):
        parts.append(label(x, y, f"{share:.2f}", "middle"))
    for name, x in zip(leaves, (xa, xb, xc)):
        parts += [mark(x, 206, name, 9), label(x, 236, name, "middle"),
                  label(x, 258, f"{weights[name]:.2f}", "middle", font_weight="bold")]
    return parts + [label(20, 284, "flat weights: the shares multiplied along each path")]
