"""The live views of the notebooks: move a slider, and the merge, its measurements and its text change.

A view merges into one model that it keeps, so moving a slider allocates nothing. alpha is always the share of the
first model.
"""

import copy

import ipywidgets as widgets
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex

from lessons.views.live import View, nearest, slider, slider_over
from lessons.views.svg import chart, grouped_bars, label, line, mark, ring, svg, token_bars, tree_drawing
from merging.averaging import merge_into
from merging.checks import check_mergeable
from merging.load.device import fast_dtype
from merging.measure.bits import scorer
from merging.measure.text import next_tokens, stream_text
from merging.tensors import named_weights, tensor_kind, touched

TOKENS = 3  # bars: the most likely tokens of each parent and of the merge half-way between them


def live_copy(model):
    """The model that a view merges into: a copy, in the dtype that is quickest to compute in."""
    return copy.deepcopy(model).to(fast_dtype(model))


def alpha_explorer(
    first, second, tokenizer, alphas, bits, base_bits, prompts, openings=None, alpha=0.5, max_length=160, out=None,
    greedy=False,
):  # fmt: skip
    """One slider over a measured sweep: a ring on its curves, bars of the likely next tokens, and the sampled text.

    first, second: (label, model); alpha is the share of first. bits: text -> bits per byte at each of the alphas,
    base_bits: text -> base's, {} if there is none. prompts: name -> prompt; the text is always sampled with seed 32, or
    greedy (the likeliest token each time), so that only the weights differ. openings: name -> what follows the prompt
    where the bars look, if not its end. out: a model that every move may overwrite (None: one of the explorer's own).
    """
    (name1, model1), (name2, model2), openings = first, second, openings or {}
    check_mergeable([model1, model2])
    live = out or live_copy(model1)
    controls = {
        "alpha": slider_over(alphas, alpha, f"alpha: {name2} at 0, {name1} at 1"),
        "prompt": widgets.ToggleButtons(options=list(prompts), description="prompt"),
    }
    picture, rows = sweep_picture(alphas, bits, base_bits, (name2, name1)), []
    looked_at = {name: prompt + openings.get(name, "") for name, prompt in prompts.items()}
    likely_after = token_watcher((second, first), live, tokenizer, looked_at)

    def draw():
        alpha, prompt = controls["alpha"].value, controls["prompt"].value
        now = nearest(alphas, alpha)
        here = ", ".join(f"{kind} {values[now]:.2f}" for kind, values in bits.items())
        measured = f"alpha = {alpha:.2f} (share of {name1}), bits per byte: {here}"
        yield picture(now, rows, measured), None
        merge_into(live, [model1, model2], [alpha, 1 - alpha])
        yield None
        rows[:] = likely_after(prompt)
        opening = f" and {openings[prompt]!r}" if prompt in openings else ""
        likeliest = ", ".join(f"{word} {p:.0%}" for word, p, _ in rows)
        words = f"{measured}. Next token after the {prompt} prompt{opening}: {likeliest}."
        yield picture(now, rows, words), words

    prompt_now = lambda: prompts[controls["prompt"].value]
    sample = lambda: stream_text(live, tokenizer, prompt_now(), max_length, greedy=greedy)
    lines = min(max_length // 6, 30)  # a line of a recipe has some six tokens
    return View(controls, widgets.VBox(list(controls.values())), draw, sample, live, prompt_now, lines)


def sweep_picture(alphas, bits, base_bits, ends):
    """A function that draws measured curves, one panel a text, with rings at one of the alphas, and bars beside them.

    It takes the place of the alpha, the rows of token_bars ([] for none), and the picture's words.
    """
    charts = [
        chart(60 + 240 * i, 34, 165, 190, alphas, values, f"{kind}: bits per byte", ends, base_bits.get(kind))
        for i, (kind, values) in enumerate(bits.items())
    ]
    curves = [part for parts, _ in charts for part in parts]
    right = 20 + 240 * len(bits)  # where the charts end and the bars begin

    def picture(at, rows, words):
        rings = [ring(*place(alphas[at], values[at])) for (_, place), values in zip(charts, bits.values())]
        bars = token_bars(right, 34, 300, rows) if rows else []
        return svg(right + 310, 260, curves + rings + bars, words, [*range(240, right - 20, 240), right - 23])

    return picture


def token_watcher(parents, live, tokenizer, texts):
    """A function that says what a live model writes next after one of the texts (its name), as rows of token_bars.

    parents: (label, model) pairs, which choose the tokens to be watched together with the merge half-way between them;
    live: a model to merge into; texts: name -> text.
    """
    merge_into(live, [model for _, model in parents], [0.5, 0.5])
    after = {
        name: {label: next_tokens(model, tokenizer, text) for label, model in parents} for name, text in texts.items()
    }
    tokens = {
        name: likely_tokens([*both.values(), next_tokens(live, tokenizer, texts[name])]) for name, both in after.items()
    }

    def rows(name):
        likely = next_tokens(live, tokenizer, texts[name])
        said = lambda i: [(label, p[i].item()) for label, p in after[name].items()]
        return [(repr(tokenizer.decode(i)), likely[i].item(), said(i)) for i in tokens[name]]

    return rows


def likely_tokens(distributions):
    """The most likely tokens of each distribution, most likely first, without those that are rare in all of them."""
    most = torch.stack(distributions).amax(0)
    found = {i for p in distributions for i in p.topk(TOKENS).indices.tolist() if most[i] > 0.02 * most.max()}
    return sorted(found, key=lambda i: -most[i])


def predict_then_reveal(alphas, values, ends, name):
    """Guess which alpha is best before the curve is shown; ends: labels at alpha 0 and 1; higher values are better."""
    controls = {
        "guess": slider_over(alphas, 0.2, "your guess for the best alpha"),
        "commit": widgets.Button(description="Commit and reveal"),
    }
    best = max(range(len(alphas)), key=lambda i: values[i])

    def draw():
        guess = nearest(alphas, controls["guess"].value)
        parts, place = chart(70, 34, 420, 190, alphas, values, name, ends)
        top, bottom = place(alphas[guess], 0)[0], (34, 224)
        flag = [
            line([(top, bottom[0]), (top, bottom[1])], "#D55E00", 3, "8 4"),
            label(top + 6, 50, "you", fill="#D55E00"),
        ]
        if not view_state["committed"]:
            words = f"Your guess: alpha = {alphas[guess]:.2f}. Commit to see the curve."
            yield svg(520, 260, parts[:4] + flag, words), words
            return
        words = (
            f"Your guess, alpha = {alphas[guess]:.2f}, reaches {values[guess]:.2f}. "
            f"The best is alpha = {alphas[best]:.2f} with {values[best]:.2f}."
        )
        yield svg(520, 260, parts + flag + [ring(*place(alphas[best], values[best]))], words), words

    view_state = {"committed": False}

    def commit(button):
        view_state["committed"] = controls["guess"].disabled = True

    controls["commit"].on_click(commit)  # before the view's own redraw
    return View(controls, widgets.HBox(list(controls.values())), draw)


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


def parts_of(model):
    """(kind, block) -> the names of its tensors, for the attention and feed-forward of each block, and for the rest."""
    parts = {}
    for name in named_weights(model):
        kind, block = tensor_kind(name)
        parts.setdefault((kind, block) if kind in ("attention", "feed-forward") else (REST, None), []).append(name)
    return parts


def vertical_sliders(parts, many):
    """A slider at 1 for each part."""
    narrow = {"width": "44px" if many else "52px", "height": "170px" if many else "190px"}
    style = dict(orientation="vertical", layout=narrow, readout_format=".1f")
    return {place: slider(1.0, "all" if place[1] is None else str(place[1] + 1), **style) for place in parts}


def slider_rows(faders, many):
    """The sliders of each kind under their name, in one row or two."""
    attention, feed_forward, rest = (
        widgets.VBox(
            [
                widgets.Label("the rest" if kind == REST else f"{kind} of block"),
                widgets.HBox([fader for (k, _), fader in faders.items() if k == kind]),
            ]
        )
        for kind in ("attention", "feed-forward", REST)
    )
    return [attention, widgets.HBox([feed_forward, rest])] if many else [widgets.HBox([attention, feed_forward, rest])]


def mix_again(live, models, parts, faders, mixed):
    """Merge the parts whose sliders moved into a desk's model; mixed: part -> the first model's share in it so far."""
    for place, fader in faders.items():
        if fader.value != mixed[place]:
            mixed[place] = None  # interrupted from here on, the part is merged again at the next move
            merge_into(live, models, [fader.value, 1 - fader.value], parts[place])
            mixed[place] = fader.value


def mixing_desk(first, second, tokenizer, texts):
    """A slider for each block's attention, each block's feed-forward part, and the rest; bars of bits per byte.

    first, second: (label, model). A slider is the share of first in its part; the last one holds the
    embeddings and all norms. texts: short ones, see excerpts. Only the tensors of the sliders that moved are merged
    again.
    """
    (name1, model1), (name2, model2) = first, second
    check_mergeable([model1, model2])
    live = live_copy(model1)
    parts = parts_of(live)
    last = max((block for _, block in parts if block is not None), default=0)
    many = last > 7  # twelve blocks: a row for each kind, and low enough that the bars are still on the screen
    faders = vertical_sliders(parts, many)
    choice = widgets.Dropdown(options=list(PRESETS), description="preset", layout={"width": "360px"})
    score = scorer(texts, tokenizer)
    ends = {name: score(model) for name, model in (first, second)}
    mixed = dict.fromkeys(parts, 1.0)

    def preset(change):
        share = PRESETS[change["new"]]
        view.set(**{key(place): share(place[0], None if place[1] is None else place[1] / last) for place in parts})

    def draw():
        mix_again(live, [model1, model2], parts, faders, mixed)
        changed = [name for place, share in mixed.items() if share != 1 for name in parts[place]]
        scores = ends | {"merged": score(live)}
        measured = "; ".join(
            f"{kind} {scores['merged'][kind]:.2f} ({name1} {ends[name1][kind]:.2f}, {name2} {ends[name2][kind]:.2f})"
            for kind in texts
        )
        words = f"This changes {touched(live, changed)} of {name1}. Bits per byte on the excerpts: {measured}."
        yield svg(960, 140, grouped_bars(texts, scores), words, [10 + 315 * i for i in range(1, len(texts))]), words

    key = lambda place: place[0] if place[1] is None else f"{place[0]} {place[1] + 1}"
    title = widgets.Label(f"share of {name1} (1 = {name1}, 0 = {name2})")
    layout = widgets.VBox([widgets.HBox([choice, title]), *slider_rows(faders, many)])
    view = View({key(place): fader for place, fader in faders.items()}, layout, draw, model=live, preset=choice)
    choice.observe(preset, "value")
    return view


def triangle_grid(models, tokenizer, texts, steps=10, progress=lambda items: items):
    """weights -> mean bits per byte over the texts, for all averages of three models in steps (66 for 10)."""
    check_mergeable(models)
    live, score, grid = live_copy(models[0]), scorer(texts, tokenizer), {}
    for weights in progress(
        [(i / steps, j / steps, (steps - i - j) / steps) for i in range(steps + 1) for j in range(steps + 1 - i)]
    ):
        scores = score(merge_into(live, models, weights))
        grid[weights] = sum(scores.values()) / len(scores)
    return grid


def triangle_drawing(names, grid):
    """(the grid as dots in a triangle, a function that gives the place of weights: name -> share)."""
    low, high = min(grid.values()), max(grid.values())
    corners = dict(zip(names, ((610, 36), (490, 246), (730, 246))))
    place = lambda weights: tuple(sum(w * corners[n][i] for n, w in weights.items()) for i in (0, 1))
    dots = [
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='9' fill='{to_hex(colormaps['viridis']((value - low) / (high - low)))}'/>"
        for weights, value in grid.items()
        for x, y in [place(dict(zip(names, weights)))]
    ]
    frame = [label(610, 288, f"mean bits per byte: dark {low:.2f}, light {high:.2f}", "middle")]
    frame += [
        mark(x, y, name) + label(x + dx, y + 5, name, anchor)
        for (name, (x, y)), (dx, anchor) in zip(corners.items(), ((14, "start"), (-14, "end"), (14, "start")))
    ]
    return dots + frame, place


def tree_and_triangle(models, tokenizer, texts, grid):
    """Two alphas of a tree over three models, and the same point on the triangle of all their averages.

    models: label -> model, three of them; grid: see triangle_grid, measured on the same texts.
    """
    check_mergeable(list(models.values()))
    names, live, score = list(models), live_copy(next(iter(models.values()))), scorer(texts, tokenizer)
    shapes = {
        f"({a} + {b}) + {c}": (a, b, c) for a, b, c in (names, names[1:] + names[:1], [names[0], names[2], names[1]])
    }
    controls = {
        "tree": widgets.Dropdown(options=list(shapes), description="tree", layout={"width": "360px"}),
        "inner": slider(0.5, "alpha of the first merge"),
        "outer": slider(0.5, "alpha of the second merge"),
    }
    triangle, place = triangle_drawing(names, grid)
    best = min(grid, key=grid.get)

    def draw():
        (a, b, c), inner, outer = shapes[controls["tree"].value], controls["inner"].value, controls["outer"].value
        weights = {a: inner * outer, b: (1 - inner) * outer, c: 1 - outer}  # shares multiply on the path to a leaf
        flat = f"Tree (({a}, {b}, {inner:.2f}), {c}, {outer:.2f}) is the flat average " + ", ".join(
            f"{n} {weights[n]:.2f}" for n in names
        )
        parts = tree_drawing((a, b, c), inner, outer, weights) + triangle + [ring(*place(weights))]
        picture = svg(800, 305, parts, flat, [415])
        yield picture, None
        bits = score(merge_into(live, list(models.values()), [weights[n] for n in names])).values()
        mean = sum(bits) / len(bits)
        words = (
            f"{flat}: {mean:.3f} bits per byte in the mean. Best of the grid: "
            + ", ".join(f"{n} {w:.1f}" for n, w in zip(names, best))
            + f" with {grid[best]:.3f}."
        )
        yield picture, words

    return View(controls, widgets.VBox(list(controls.values())), draw, model=live)
