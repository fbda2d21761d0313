"""What all checks of exercises have in common: a learner's answer is judged in one sentence, and nothing is raised.

A check takes the learner's answers first and then what they are compared with, and computes the truth from that. It
prints one line and gives True (right), False (not yet, and what in particular is wrong) or None (open: `...` is still
there). Wrong numbers get hints; the third different one gets the way to the answer, too. A right answer forgets them,
and so does `check.tries.clear()`. alpha is always the share of the first model.
"""

import copy
import dis
import functools
import inspect
import math
import re
from decimal import Decimal
from numbers import Real

import torch

from merging.tensors import named_weights

WORDS = {True: "right:", False: "not yet:", None: "open:"}
OPEN = "write your answer where the three dots are, and run the cell again."
IDLE = {"RESUME", "NOP", "COPY_FREE_VARS", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}  # what `...` is compiled to
PATIENCE = 3  # the wrong number that gets the way to the answer


class NotYet(Exception):
    """An answer that is not right: what in particular is wrong, and for a number the way to the right one."""

    def __init__(self, sentence, number=None, way=None):
        super().__init__(sentence)
        self.number, self.way = number, way


class Open(Exception):
    """An answer that is not there yet."""


def exercise(*names):
    """Make a check of a function that gives the sentence for right answers and raises NotYet or Open for others.

    names: what the notebook calls the learner's answers, which are the first arguments; `name()` if it is a function.
    """

    def decorate(check):
        exercise, tries = check.__name__.removeprefix("check_").lstrip("0"), {}

        @functools.wraps(check)
        def ask(*given):
            verdict, sentence = judge(check, names, given, tries)
            print(exercise, WORDS[verdict], sentence)
            return verdict

        ask.names, ask.tries = names, tries
        return ask

    return decorate


def judge(check, names, given, tries):
    """(True, False or None, the sentence) of a check; tries: the way to a number -> the wrong ones so far."""
    try:
        with torch.no_grad():
            for name, answer in zip(names, given):
                look(name, answer)
            wanted = list(inspect.signature(check).parameters.values())
            missing = [each.name for each in wanted if each.default is each.empty][len(given) :]
            refuse(missing, f"the call of the check has lost {', '.join(missing)}: take its line as it was")
            sentence = check(*given)
        tries.clear()
        return True, sentence
    except Open:
        return None, OPEN
    except NotYet as error:
        if error.way is None:
            return False, str(error)
        wrong = tries.setdefault(error.way, [])  # a cell that is run again says the same again
        wrong += [error.number] * (error.number not in wrong)
        late = wrong.index(error.number) + 1 >= PATIENCE
        return False, f"{error} The way: {error.way}" if late else str(error)
    except Exception as error:
        return False, f"the check cannot read this answer, it stops at {said(error)}. What does the stub ask for?"


def look(name, answer):
    """Open for `...`, NotYet for a function where a value belongs and the reverse, before anything is called."""
    if is_open(answer):
        raise Open
    wants_function, name = name.endswith("()"), name.removesuffix("()")
    refuse(
        wants_function and (not callable(answer) or isinstance(answer, torch.nn.Module)),
        f"hand over the function itself, `{name}` without parentheses, and not {brief(answer)}",
    )
    if wants_function and is_stub(answer):
        raise Open
    refuse(answer is None, f"`{name}` is None: a function that only prints gives nothing back")
    is_value = inspect.isroutine(answer) or inspect.isclass(answer) or isinstance(answer, functools.partial)
    refuse(not wants_function and is_value, f"`{name}` is a function: call it, and give what it returns")


def is_open(answer):
    """True for `...`, and for a list, tuple or dict with one inside."""
    parts = answer.values() if type(answer) is dict else answer if type(answer) in (list, tuple) else []
    return answer is ... or any(map(is_open, parts))


def is_stub(function):
    """True if nothing but `...` (or pass, or a docstring) stands in the function."""
    function = inspect.unwrap(function)
    steps = list(dis.get_instructions(function)) if hasattr(function, "__code__") else []
    results = [step.argval for step in steps if "CONST" in step.opname]
    if not steps or any(step.opname not in IDLE for step in steps) or any(each not in (None, ...) for each in results):
        return False
    try:
        said_so = re.search(r"^\s*return\b", inspect.getsource(function), flags=re.MULTILINE)
    except (OSError, TypeError):  # typed where Python keeps no source
        said_so = False
    return not said_so and (function.__name__ != "<lambda>" or ... in results)


def call(function, *given, nothing=False):
    """What the learner's function gives for copies of some arguments; a change of them is looked for before its result.

    nothing: whether None is a result, too. Raises NotYet, also with what the function raises, and Open.
    """
    copies = copy.deepcopy(given)
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # a built-in function that does not tell
        names = []
    try:
        result = function(*copies)
        result = list(result) if inspect.isgenerator(result) else result
    except Exception as error:
        n = f"{len(given)} argument{'s' * (len(given) != 1)}"
        raise NotYet(f"your function, called with {n}, stops at {said(error)}") from error
    for place, (now, before) in enumerate(zip(copies, given)):
        name = names[place] if place < len(names) else f"argument {place + 1}"
        refuse(not same(now, before), f"your function changes `{name}`, which its caller still needs: make new objects")
    if result is ...:
        raise Open
    refuse(result is None and not nothing, "your function gives None: is `return` missing?")
    return result


def same(one, other):
    """Whether two models, tensors or plain objects hold the same values."""
    if isinstance(one, torch.nn.Module):
        theta = named_weights(other)
        return all(torch.equal(tensor, theta[name]) for name, tensor in named_weights(one).items())
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def said(error):
    """An error as a piece of a sentence."""
    return f"{' '.join(f'{type(error).__name__}: {error}'.split()):.160}"


def brief(answer):
    """An answer as a piece of a sentence: short ones as they are written, others by their type."""
    written = repr(answer) if answer is None or isinstance(answer, str | Real | list | tuple | dict) else ""
    return written if 0 < len(written) <= 40 and "\n" not in written else f"a {type(answer).__name__}"


def refuse(wrong, sentence):
    """Raise NotYet with this sentence if something is wrong."""
    if wrong:
        raise NotYet(sentence)


def number(answer):
    """The answer as a float: any number, also as an array or a tensor with one; a string, a list or True is none."""
    given, one = answer, getattr(answer, "size", None) == 1 or isinstance(answer, torch.Tensor) and answer.numel() == 1
    answer = answer.item() if one and hasattr(answer, "item") else answer
    refuse(isinstance(answer, str), f"the answer is a number, without quotes, and not {brief(given)}")
    refuse(
        isinstance(answer, list | tuple) and len(answer) == 1, f"give the number alone, without its list {brief(given)}"
    )
    is_real = isinstance(answer, Real | Decimal) and not isinstance(answer, bool)
    refuse(not is_real, f"the answer is a number, not {brief(given)}")
    try:
        value = float(answer)
    except (OverflowError, ValueError):
        value = math.nan
    refuse(not math.isfinite(value), f"the answer is a finite number, not {brief(given)}")
    return value


def items(answer, what):
    """The answer, a list, a tuple, an array, a tensor or a generator, as a list; what: what it should be."""
    parts = answer.tolist() if hasattr(answer, "tolist") else answer
    plain = hasattr(parts, "__iter__") and not isinstance(parts, str | bytes | dict | torch.nn.Module)
    refuse(not plain, f"{what}, not {brief(answer)}")
    return list(parts)


def numbers(answer):
    return [number(each) for each in items(answer, "the answer is a list of numbers")]


def close(one, other, tolerance):
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-9)


def compare(answer, truth, mistakes, hint, way, tolerance=0.01, slack=1e-4):
    """Refuse a number that is not the truth, with the sentence of the mistake that gives this number if there is one.

    mistakes: (the number that somebody gets who makes it, what to say) pairs; it has to agree with all digits of the
    answer, or to be as near as slack where it is made of rounded numbers. way: what the third wrong number gets;
    tolerance, slack: relative.
    """
    answer = number(answer)
    if close(answer, truth, tolerance):
        return
    slips = [(-truth, "right but for its sign")]
    slips += [(100 * truth, "in percent: the answer is a plain number, so divide by 100")] * (abs(truth) <= 1)
    slips += [(truth * ten, "right but for its decimal point") for ten in (0.1, 10)]
    slips += [(1 / truth, "one divided by the answer")] if truth else []
    slips = [(wrong, f"{answer:.4g} is {sentence}") for wrong, sentence in slips if truth]
    digits = max(-Decimal(f"{answer:.12g}").as_tuple().exponent, 0)
    near = lambda wrong: min(max(0.5 * 10.0**-digits, slack * abs(wrong)), 0.05 * abs(wrong)) * (1 + 1e-9)
    for known in (mistakes, slips):
        said = [(abs(answer - wrong), sentence) for wrong, sentence in known if abs(answer - wrong) <= near(wrong)]
        if said:
            raise NotYet(f"{min(said)[1]}.", answer, way)
    raise NotYet(f"{answer:.4g} is too {'large' if answer > truth else 'small'}. {hint}", answer, way)


def choice(answer, choices):
    """The answer in small letters, one of some words."""
    word = answer.strip().lower() if isinstance(answer, str) else None
    refuse(word not in choices, f"write one of {', '.join(map(repr, choices))}, not {brief(answer)}")
    return word


def named(answer, model):
    """The answer if it is the name of one of the model's tensors."""
    refuse(not isinstance(answer, str), f"the answer is the name of a tensor, not {brief(answer)}")
    inside = [name for name in named_weights(model) if answer and name.startswith(f"{answer}.")]
    refuse(inside, f"{answer} is a part of the model with {len(inside)} tensors: take the whole name of one")
    refuse(answer not in named_weights(model), f"there is no tensor {answer!r:.80}: take one of named_weights(model)")
    return answer


def some_text(text, name):
    """The text, if it is one that is long enough to be judged by."""
    refuse(not isinstance(text, str), f"`{name}` is a text in quotes, not {brief(text)}")
    size = len(text.encode())
    refuse(size < 80, f"`{name}` has {size} bytes, and on a short text chance decides: take 80 or more, some lines")
    return text


def as_model(answer, name):
    """The model of an answer that is one, or that load_models has given with its tokenizer."""
    model = answer[0] if isinstance(answer, tuple) and answer else answer
    refuse(not isinstance(model, torch.nn.Module), f"`{name}` holds {brief(answer)} where a model belongs")
    return model


def factors(theta, theta1, theta2):
    """The factors (three decimals) with which the tensors of two models sum up to some others; NotYet if none do."""
    dot = lambda one, two: sum((one[n].cpu().double() * two[n].cpu().double()).sum() for n in theta1)
    both = dot(theta1, theta2)
    products = torch.stack([dot(theta1, theta1), both, both, dot(theta2, theta2)]).view(2, 2)
    a, b = torch.linalg.solve(products, torch.stack([dot(theta1, theta), dot(theta2, theta)])).tolist()
    off = max((theta[name] - a * theta1[name] - b * theta2[name]).abs().max().item() for name in theta1)
    refuse(off > 1e-4, "this is no sum of shares of the two models: is each tensor made by the same formula?")
    return round(a, 3), round(b, 3)
