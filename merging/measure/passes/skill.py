"""Skill: which part of a set of small tasks does a model solve, with functions that are run on inputs?

The judge takes the first function of a text, without a code fence, runs it in the sandbox on five inputs and compares
its answers with those of a reference, the arguments in either order.
"""

import functools
import json
import math
import re
import textwrap

from merging.measure.passes.sandbox import passes, run_code
from merging.measure.passes.tasks import TASKS
from merging.measure.rows import answers_to
from merging.measure.text import prompt_of
from merging.paths import ROOT

TASKS_FILE = ROOT / "models" / "heldout" / "tasks.json"
SPLITS = ("A", "B", "C", "choose")
ROWS, LONGEST = 128, 160  # texts in a batch, and tokens of an answer


def first_function(text):
    """The first function of a text with the imports before it, as code; empty if there is none.

    Of a text with a code fence (```) it is the first inside of one, otherwise the first line that begins with def, and
    all that is indented below it.
    """
    fenced = re.search(r"```[^\n]*\n(.*?)(?:```|\Z)", text, re.DOTALL)
    lines = textwrap.dedent(fenced[1]) if fenced and "def " in fenced[1] else text
    function = re.search(r"^def .*?(?=^[^\s)#]|\Z)", lines, re.DOTALL | re.MULTILINE)
    if not function:
        return ""
    imports = re.findall(r"^(?:import|from) .*\n", lines[: function.start()], re.MULTILINE)
    return "".join(imports) + function[0].rstrip() + "\n"


def same_answer(answer, expected):
    """True if two answers are equal as JSON, numbers up to 1e-6 of them, and what was printed as what it says."""
    if isinstance(expected, bool) or isinstance(answer, bool) or expected is None:
        return answer is expected or isinstance(answer, str) and answer.strip() == str(expected)
    if isinstance(expected, (int, float)):
        if isinstance(answer, str):
            return answer.strip() == str(expected)
        return isinstance(answer, (int, float)) and math.isclose(answer, expected, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(expected, list):
        return isinstance(answer, list) and len(answer) == len(expected) and all(map(same_answer, answer, expected))
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and set(answer) == set(expected)
            and all(same_answer(answer[key], value) for key, value in expected.items())
        )
    return isinstance(answer, str) and answer.strip("\n") == expected.strip("\n")


def skill_tasks(split):
    """The tasks of a split that no training saw, each a dict with "task" and, but for C, "examples".

    "A": new combinations of words in kinds of tasks that were trained, "B": kinds of tasks that were not, "C": TASKS,
    "choose": some of either, for choosing among merges and for nothing else.
    """
    if split == "C":
        return [{"task": task} for task in TASKS]
    return json.loads(TASKS_FILE.read_text(encoding="utf-8"))[split]


@functools.lru_cache(100_000)
def _answers(code, calls):
    return run_code(code, json.loads(calls))


def solves(text, task):
    """True if the first function of a text gives the answers of the reference, the arguments in either order.

    task: of skill_tasks.
    """
    code = first_function(text)
    if "examples" not in task:
        return bool(code) and passes(code, task["task"])
    calls, expected = zip(*task["examples"])
    orders = [calls] if len(calls[0]) < 2 else [calls, [arguments[::-1] for arguments in calls]]
    return bool(code) and any(same_answer(_answers(code, json.dumps(order)), list(expected)) for order in orders)


def ask(model, tokenizer, tasks, n=4, temperature=0.2, chat=False, seed=32):
    """n answers of a model to each task, as lists of texts in the order of the tasks; one where temperature is 0.

    chat: ask in the tokenizer's chat template, as a model that was trained to follow instructions expects, instead of
    with the article's bare prompt.
    """
    prompts = [prompt_of(task["task"]) for task in tasks]
    if chat:
        say = lambda prompt: [{"role": "user", "content": prompt.removesuffix(":") + "."}]
        prompts = [
            tokenizer.apply_chat_template(say(prompt), tokenize=False, add_generation_prompt=True) for prompt in prompts
        ]
    each, answers = n if temperature else 1, [None] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), ROWS // each):
        part = order[start : start + ROWS // each]
        asked = [prompts[i] for i in part]
        found = answers_to(model, tokenizer, asked, each, temperature, LONGEST, seed + start, has_ended, chat)
        for i, texts in zip(part, found):
            answers[i] = texts
    return answers


def has_ended(text):
    """True if a text's first function is complete: unindented text below it, or a closed code fence."""
    fence = text.split("```")
    if len(fence) > 2 and "def " in fence[1]:
        return True
    return bool(re.search(r"^def .*\n(?:[ \t)#].*\n|\s*\n)*[^\s)#`]", text, re.MULTILINE))
