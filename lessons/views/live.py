"""What a live view is: controls above a picture, its numbers as words, and maybe a text that is being written."""

import asyncio
import html
import itertools
import re
import sys
import time
from contextlib import nullcontext

import ipywidgets as widgets
from IPython.display import display

from lessons.figures.base import marked, show_text
from merging.load.device import threads_for


class View:
    """Controls above a picture, its numbers as words, and maybe a sampled text; `box` is what a cell shows.

    draw() yields (svg, words) for the present values of the controls: once, or first with what is known before a
    merge is measured and None for the words. Where it yields None itself, the model is merged: the text's first token
    does not wait for what is measured after it. sample() gives an iterator of growing texts, prompt() what they begin
    with, lines are kept free for them. An error in any is shown in the view and raised. model is the one that
    the view merges into. preset is a control that moves all the others, or None.
    """

    def __init__(self, controls, layout, draw, sample=None, model=None, prompt=lambda: "", lines=1, preset=None):
        self.controls, self.draw, self.sample, self.model, self.prompt = controls, draw, sample, model, prompt
        self.preset = preset
        self.task, self.lines = None, lines
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
        texts = None
        try:
            with nullcontext() if self.model is None else threads_for(self.model):
                for drawn in self.draw():
                    if drawn is None:
                        texts = self._begin()
                        continue
                    self.picture.value, words = drawn
                    self.words.value = (
                        f"<div style='font-size:1.1em'>{html.escape(words)}</div>" if words else self.words.value
                    )
            if self.sample:
                texts = texts or self._begin()
                if stream and can_stream():
                    self.task = asyncio.get_running_loop().create_task(self._stream(texts))
                else:
                    self._show(list(texts)[-1])
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
        """The static twin: set the controls and show what the view shows then, as picture and text for GitHub."""
        self.set(**values)
        display({"image/svg+xml": self.picture.value, "text/plain": self.plain(self.words)}, raw=True)
        print(self.plain(self.words))
        if self.sample:
            show_text(self.prompt(), self.plain(self.text))

    @staticmethod
    def plain(widget):
        """The text of an HTML widget, without its markup."""
        return html.unescape(re.sub("<[^>]*>", "", widget.value))

    def _show(self, text):
        """Show a text at the height of the longest so far, so that nothing below it jumps."""
        self.lines = max(self.lines, sum(1 + len(line) // 100 for line in text.split("\n")))
        style = f"font-size:1.1em;line-height:1.3;white-space:pre-wrap;min-height:{1.3 * self.lines:.1f}em"
        self.text.value = f"<pre style='{style}'>{marked(self.prompt(), text)}</pre>"

    def _begin(self):
        """The growing texts, of which the first is shown already."""
        texts = self.sample()
        first = next(texts)
        self._show(first)
        return itertools.chain([first], texts)

    async def _stream(self, texts):
        """Write the text token by token; between two tokens the kernel may take the next move of a slider."""
        try:
            shown = 0.0
            for text in texts:
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


LOOK = dict(style={"description_width": "initial"}, layout={"width": "520px"}, continuous_update=False)


def slider(value, name="", step=0.1, **options):
    """A slider from 0 to 1 that reports a move when it is made."""
    options = LOOK | dict(readout_format=".2f") | options
    return widgets.FloatSlider(value, min=0, max=1, step=step, description=name, **options)


def nearest(alphas, alpha):
    """The place of the one of the alphas that is nearest to another number."""
    return min(range(len(alphas)), key=lambda i: abs(alphas[i] - alpha))


def slider_over(alphas, value, name=""):
    """A slider with a stop at each of the alphas, whose first value is the one nearest to `value`.

    Where they lie evenly from 0 to 1 it is as in slider; else it has exactly these stops.
    """
    step = alphas[1] - alphas[0]
    even = all(abs(alpha - i * step) < 1e-9 for i, alpha in enumerate(alphas)) and abs(alphas[-1] - 1) < 1e-9
    if even:
        return slider(value, name, step=step)
    stops = [(f"{alpha:g}", alpha) for alpha in alphas]
    return widgets.SelectionSlider(options=stops, value=alphas[nearest(alphas, value)], description=name, **LOOK)
