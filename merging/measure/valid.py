"""Is a text valid: a function that parses, a recipe that is YAML with the article's keys and sound numbers?"""

import ast
import re
import warnings

import yaml

from merging.checks import is_number
from merging.measure.passes.child import parse

RECIPE_KEYS = (
    "style",
    "batch_size",
    "efficiency",
    "boil_size",
    "boil_time",
    "fermentables",
    "hops",
    "yeasts",
    "primary_temp",
    "mash_steps",
    "miscs",
)


def is_function(code):
    """True if everything up to the last complete statement parses and defines a function that does something.

    The last top-level statement may be cut off, as it is when a sample ends at max_length.
    """
    with warnings.catch_warnings(action="ignore"):  # sampled code provokes Python's own warnings
        tree = parse(code)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if tree else []
    return any(_does_something(statement) for function in functions for statement in function.body)


def _does_something(statement):
    return not (
        isinstance(statement, ast.Pass) or isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


LONGEST = 20_000  # characters of a recipe; one of the article's has 500
ALIASES = 20  # *name in a text


class NoMergeKeys:
    """For a loader of YAML: << is refused, with which 700 characters can ask for 10^9 copies of a map."""

    def flatten_mapping(self, node):
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys are not read", node.start_mark)
        super().flatten_mapping(node)


class Loader(NoMergeKeys, yaml.SafeLoader):
    """What is_recipe reads YAML with."""


class QuickLoader(NoMergeKeys, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The same, written in C where there is one."""


def is_too_much(text):
    """True for a text that is too long for a recipe or names too many parts of itself (*name)."""
    return len(text) > LONGEST or len(re.findall(r"\*\S", text)) > ALIASES


def is_recipe(text):
    """True if the text is YAML with exactly the article's keys, each once, and numbers that a brewer could use."""
    if is_too_much(text):
        return False
    try:
        recipe = yaml.load(text, Loader)
    except Exception:  # sampled text finds more ways to fail than YAMLError: dates like 2001-99-99, deep nesting
        return False
    top_level = re.findall(r"^(\w+):", text, flags=re.MULTILINE)
    if not isinstance(recipe, dict) or sorted(top_level) != sorted(RECIPE_KEYS) or set(recipe) != set(RECIPE_KEYS):
        return False
    return (
        is_number(recipe["batch_size"], 1, 2000)
        and is_number(recipe["efficiency"], 1, 100)
        and is_number(recipe["boil_size"], 1, 2000)
        and is_number(recipe["boil_time"], 0, 600)
        and _items(recipe["fermentables"], 0, 500)
        and _items(recipe["hops"], 0, 10)
    )


def cannot_be_recipe(text):
    """True if no continuation of the text can pass is_recipe: its finished lines have a wrong key or a YAML error.

    An error in the last finished line may be one that the next lines mend (an open quote), and does not count.
    """
    if is_too_much(text):
        return True
    lines = text[: text.rfind("\n") + 1]
    keys = re.findall(r"^(\w+):", lines, flags=re.MULTILINE)
    if len(keys) > len(set(keys)) or not set(keys) <= set(RECIPE_KEYS):
        return True
    try:
        yaml.load(lines, QuickLoader)
    except yaml.MarkedYAMLError as error:
        return error.problem_mark is not None and error.problem_mark.line < lines.count("\n") - 1
    except Exception:  # see is_recipe
        pass
    return False


def _items(items, low, high):
    """True for a list of at least one map, each with a name and an amount within bounds."""
    return (
        isinstance(items, list)
        and len(items) > 0
        and all(
            isinstance(item, dict) and isinstance(item.get("name"), str) and is_number(item.get("amount"), low, high)
            for item in items
        )
    )
