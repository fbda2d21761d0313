"""The quiz: its page is made from its data, its proofs are there, and the widget says what the data say."""

import re

import nbformat
from forms import for_each

from lessons import quiz
from merging.paths import ROOT

QUESTIONS = quiz.read_quiz()
numbered = for_each(range(1, len(QUESTIONS) + 1))


def headings(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    return re.findall(r"^#+ (.+)$", "\n".join(cells), flags=re.MULTILINE)


def test_the_page_is_made_from_the_data():
    assert (ROOT / "teaching" / "QUIZ.md").read_text(encoding="utf-8") == quiz.page(QUESTIONS)


def test_twelve_questions_from_all_over_the_series():
    assert len(QUESTIONS) == 12
    assert len({question["proof"]["notebook"] for question in QUESTIONS}) >= 8
    places = [[right for *_, right in quiz.options(q, i)].index(True) for i, q in enumerate(QUESTIONS, 1)]
    assert [places.count(place) for place in range(4)] == [3, 3, 3, 3]
    assert all(places[i : i + 4] != places[i + 4 : i + 8] for i in range(5))  # nor can the letters be guessed


@numbered
def test_one_right_answer_and_a_sentence_for_each(number):
    question = QUESTIONS[number - 1]
    assert set(question) == {"question", "right", "because", "wrong", "proof"}
    assert question["question"].endswith("?")
    answers, sentences, right = zip(*quiz.options(question, number))
    assert len(set(answers)) == 4 and sum(right) == 1
    assert all(len(sentence) > 10 and sentence.endswith(".") for sentence in sentences)


@numbered
def test_the_proof_leads_to_a_heading_that_is_there(number):
    title, notebook, anchor = quiz.proof(QUESTIONS[number - 1])
    path = ROOT / "notebooks" / notebook
    assert title.partition(", ")[2] in headings(path)
    assert anchor in [heading.replace(" ", "-") for heading in headings(path)]


def parts(view):
    text, answers, buttons, said, count = view.children
    return text, answers, dict(zip(("check", "back", "next"), buttons.children)), said, count


def test_the_widget_counts_first_tries_and_says_why():
    text, answers, buttons, said, count = parts(quiz.quiz())
    assert answers.value is None and buttons["back"].disabled and not said.value
    buttons["check"].click()
    assert "Choose an answer first." in said.value and "0 of 0" in count.value
    for number, question in enumerate(QUESTIONS, 1):
        assert f"Question {number} of 12" in text.value
        options = quiz.options(question, number)
        places = [i for i, (*_, right) in enumerate(options) if right]
        order = places if number % 2 else [(places[0] + 1) % 4, *places]  # every other one is wrong at first
        for place in order:
            answers.value = place
            buttons["check"].click()
            assert quiz.marked_up(options[place][1]) in said.value
        assert ">Right.</b>" in said.value and quiz.proof(question)[1] in said.value
        buttons["next"].click()
    assert "6 of 12" in count.value and buttons["next"].disabled
    buttons["back"].click()
    assert "Question 11" in text.value and answers.value is None and not said.value


def test_text_of_the_data_stays_text():
    hostile = QUESTIONS[0] | {"question": "<script>1</script> `a < b`?", "because": "<img src=x onerror=1>"}
    text, answers, buttons, said, _ = parts(quiz.quiz([hostile]))
    answers.value = [right for *_, right in quiz.options(hostile, 1)].index(True)
    buttons["check"].click()
    assert "<script" not in text.value and "<code>a &lt; b</code>" in text.value and "<img" not in said.value
