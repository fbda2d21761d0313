"""What all checks of exercises have in common: a learner's answer is judged in one sentence, and nothing is raised.

A check takes the learner's answers first and then what they are compared with, and computes the truth from that. It
prints one line, keeps nothing, and gives True (right), False (not yet, and what in particular is wrong) or None (open:
an answer is still `...` or None). alpha is always the share of the first model.
"""

import copy
import functools
import math
from numbers import Real

import torch

from merging.averaging import merge_into
from merging.tensors import named_weights

WORDS = {True: "right:", False: "not yet:", None: "open:"}


OPEN = "write your answer where the three dots are, and run the cell again."


class NotYet(Exception):
    """An answer that is not right; the message says what in particular is wrong."""


class Open(Exception):
    """An answer that is not there yet."""


def exercise(answers=1):
    """Make a check of a function that gives the sentence for right answers and raises NotYet or Open for others.

    answers: how many of the arguments are the learner's; the others are what these are compared with.
    """

    def decorate(check):
        name = check.__name__.removeprefix("check_").lstrip("0")

        @functools.wraps(check)
        def ask(*given):
            verdict, sentence = judge(check, given, answers)
            print(name, WORDS[verdict], sentence)
            return verdict

        ask.answers = answers
        return ask

    return decorate


def judge(check, given, answers):
    """(True, False or None, the sentence) of a check; what the learner's function raises is a sentence, too."""
    try:
        if len(given) < answers or any(map(blank, given[:answers])):
            raise Open
        with torch.no_grad():
            return True, check(*given)
    except Open:
        return None, OPEN
    except NotYet as error:
        return False, str(error)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return False, f"with this answer the check stops at {said:.200}"


def blank(answer):
    """True for None, for `...`, and for a list, tuple or dict that holds one of them."""
    parts = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list | tuple) else [answer]
    return any(part is None or part is ... for part in parts)


def filled(result):
    """What the learner's function has given, unless that is nothing yet."""
    if blank(result):
        raise Open
    return result


def refuse(wrong, sentence):
    """Raise NotYet with this sentence if something is wrong."""
    if wrong:
        raise NotYet(sentence)


def number(answer):
    """The answer as a float; a string, a list or True is none."""
    if isinstance(answer, torch.Tensor) and answer.numel() == 1:
        answer = answer.item()
    is_real = isinstance(answer, Real) and not isinstance(answer, bool) and math.isfinite(answer)
    refuse(not is_real, f"the answer is a number, not {answer!r:.60}")
    return float(answer)


def close(one, other, tolerance):
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-9)


def compare(answer, truth, mistakes, otherwise, tolerance=0.01):
    """Refuse a number that is not the truth, with the sentence of the mistake that gives this number if there is one.

    mistakes: (the number that somebody gets who makes it, what to say) pairs; tolerance: relative.
    """
    answer = number(answer)
    if close(answer, truth, tolerance):
        return
    for wrong, sentence in mistakes:
        refuse(close(answer, wrong, tolerance), sentence)
    raise NotYet(f"{answer:.4g} is too {'large' if answer > truth else 'small'}. {otherwise}")


def choice(answer, choices):
    """The answer in small letters, one of some words."""
    word = answer.strip().lower() if isinstance(answer, str) else None
    refuse(word not in choices, f"write one of {', '.join(map(repr, choices))}, not {answer!r:.60}")
    return word


def named(answer, model):
    """The answer if it is the name of one of the model's tensors."""
    refuse(not isinstance(answer, str), f"the answer is the name of a tensor, not a {type(answer).__name__}")
    refuse(answer not in named_weights(model), f"there is no tensor {answer!r:.80}: take one of named_weights(model)")
    return answer


def mixed(theta1, theta2, alpha):
    """name -> alpha of the first model's tensor and 1 - alpha of the second's."""
    return {name: torch.lerp(theta2[name], theta, alpha) for name, theta in theta1.items()}


def same_tensors(some, others):
    return all(torch.allclose(some[name].float(), theta.float(), atol=1e-5) for name, theta in others.items())


def average(model1, model2, alpha=0.5):
    """A new model, alpha of the first and 1 - alpha of the second."""
    return merge_into(copy.deepcopy(model1), [model1, model2], [alpha, 1 - alpha])
