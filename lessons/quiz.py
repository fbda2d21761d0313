"""The quiz over the whole series: its data, teaching/QUIZ.md as a page of it (python -m lessons.quiz), and a widget."""

import html
import random
import re

import ipywidgets as widgets
import yaml

from merging.paths import ROOT

PAGE = """# A quiz over the whole series

{n} questions of one kind: what would happen if? Decide before you unfold an answer. Each answer names the place in the
notebooks where a cell shows it. The same quiz as a widget, which counts: the end of
[11 Your own models](../notebooks/11_your_own_models.ipynb).
"""


def read_quiz():
    """The questions, each a dict: question, right, because, wrong (a list of answer and why), proof."""
    return yaml.safe_load((ROOT / "lessons" / "quiz.yaml").read_text(encoding="utf-8"))


PLACES = random.Random(55).sample([0, 1, 2, 3] * 3, 12)  # of the right answers: each letter three times, in no order


def options(question, number):
    """(answer, sentence about it, whether it is right) triples; the place of the right one depends on the number."""
    answers = [(wrong["answer"], wrong["why"], False) for wrong in question["wrong"]]
    answers.insert(PLACES[number - 1], (question["right"], question["because"], True))
    return answers


def proof(question):
    """(title of the place that shows the answer, notebook file, anchor of the heading)."""
    number, heading = question["proof"]["notebook"], question["proof"]["heading"]
    [notebook] = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    return f"{number}, {heading}", notebook.name, heading.replace(" ", "-")


def page(questions):
    """The quiz as Markdown, with folded answers."""
    parts = [PAGE.format(n=len(questions))]
    for number, question in enumerate(questions, 1):
        lettered = list(zip("ABCDEF", options(question, number)))
        title, notebook, anchor = proof(question)
        parts += [f"## {number}\n\n{question['question']}\n"]
        parts += ["\n".join(f"- **{letter}.** {answer}" for letter, (answer, _, _) in lettered) + "\n"]
        parts += ["<details>\n<summary>Answer</summary>\n"]
        parts += [f"**{letter}.** {why}\n" for letter, (_, why, right) in lettered if right]
        parts += ["\n".join(f"- Not {letter}: {why}" for letter, (_, why, right) in lettered if not right) + "\n"]
        parts += [f"Shown in [{title}](../notebooks/{notebook}#{anchor}).\n\n</details>\n"]
    return "\n".join(parts)


def marked_up(text):
    """Text as HTML, with `code` as code."""
    return re.sub("`(.*?)`", r"<code>\1</code>", html.escape(text, quote=False))


def block(text):
    """HTML with lines close enough to be read as one text."""
    return f"<div style='font-size:1.1em;line-height:1.4'>{text}</div>"


def verdict(question, number, chosen):
    """What the widget says about the chosen option (its place), as HTML."""
    if chosen is None:
        return "Choose an answer first."
    _, why, right = options(question, number)[chosen]
    title, notebook, anchor = proof(question)
    where = f"href='{notebook}#{html.escape(anchor)}' target='_blank' style='text-decoration:underline'"
    link = f"<a {where}>{marked_up(title)}</a>"
    colour, word = ("#009E73", "Right.") if right else ("#D55E00", "Not this one.")
    return f"<b style='color:{colour}'>{word}</b> {marked_up(why)}" + (f" Shown in {link}." if right else "")


def quiz(questions=None):
    """The quiz as a widget: one question at a time, a sentence for each answer, and a count of first tries."""
    questions = questions or read_quiz()
    place, first_tries = widgets.IntText(1), {}  # the number of the question; number -> whether the first try was right
    text, said, count = widgets.HTML(), widgets.HTML(), widgets.HTML()
    answers = widgets.RadioButtons(options=[], layout={"width": "max-content"})
    check, back, onward = (widgets.Button(description=name) for name in ("Check", "Back", "Next"))

    def show(change=None):
        number = place.value
        asked = marked_up(questions[number - 1]["question"])
        text.value = block(f"<b>Question {number} of {len(questions)}</b><br>{asked}")
        each = options(questions[number - 1], number)
        answers.options = [(answer.replace("`", ""), i) for i, (answer, _, _) in enumerate(each)]
        answers.index, said.value = None, ""
        back.disabled, onward.disabled = number == 1, number == len(questions)

    def judge(button):
        number, chosen = place.value, answers.value
        said.value = block(verdict(questions[number - 1], number, chosen))
        if chosen is not None:
            first_tries.setdefault(number, options(questions[number - 1], number)[chosen][2])
        count.value = f"Right at the first try: {sum(first_tries.values())} of {len(first_tries)}"

    def turn(pages):
        place.value = min(max(place.value + pages, 1), len(questions))

    place.observe(show, "value")
    check.on_click(judge)
    back.on_click(lambda button: turn(-1))
    onward.on_click(lambda button: turn(1))
    show()
    return widgets.VBox([text, answers, widgets.HBox([check, back, onward]), said, count])


if __name__ == "__main__":
    (ROOT / "teaching" / "QUIZ.md").write_text(page(read_quiz()), encoding="utf-8")
