"""The checks of the exercises in notebook 09. alpha is the share of the first model."""

import copy

import yaml

from lessons.exercises.form import close, compare, exercise, filled, mixed, number, refuse, same_tensors
from merging.measure.cost import new_memory
from merging.tensors import named_weights


@exercise()
def check_09a(moved):
    mistakes = [
        (3, "that is the floor: between the two steps `target` is written and has to be read again"),
        (4, "the second step reads two, target and theirs, and writes one"),
        (9, "that is the loop with three temporaries; this one has none"),
        (6, "each step counts what it reads and what it writes: 2 for the first, 3 for the second"),
    ]
    compare(moved, 5, mistakes, "The first step reads one and writes one, the second reads two and writes one.")
    return "5, where the floor moves 3: by bytes alone 1.7 times the floor."


UNTOUCHED = 7.0  # no weight is so large


@exercise()
def check_09b(way, one, other, out):
    theta1, theta2, theta = named_weights(one), named_weights(other), named_weights(out)
    for tensor in theta.values():
        tensor.fill_(UNTOUCHED)
    before = copy.deepcopy(theta1)
    given = way()
    empty = [name for name, tensor in theta.items() if (tensor == UNTOUCHED).all()]
    if len(empty) == len(theta):
        refuse(given is not None, "your function gives something back; it has to write into `out`")
        filled(None)
    refuse(not same_tensors(before, theta1), "your function changes `one`: write into `out`'s tensors")
    refuse(empty, f"{len(empty)} tensors of `out` are not written, for example {empty[:1]}")
    refuse(same_tensors(theta, mixed(theta1, theta2, 0.7)), "you mix 0.7 of `one`: 0.3 is the share of the first model")
    refuse(not same_tensors(theta, mixed(theta1, theta2, 0.3)), "`out` is not 0.3 of `one` plus 0.7 of `other`")
    asked, size = new_memory(way), sum(tensor.nbytes for tensor in theta.values())
    refuse(asked > size / 10, f"right, but it asks for {asked / 1e6:.1f} MB of new memory: write with out=")
    return "0.3 of the first model, and no new memory. Time it with `seconds`."


@exercise()
def check_09c(time, billions=7, bytes_each=2, rate=1.1):
    size = billions * bytes_each
    mistakes = [
        (size / rate, "that moves one model: two are read and one is written"),
        (2 * size / rate, "that is for reading both parents: the merge has to be written, too"),
        (6 * size / rate, "that is for float32: a number in bfloat16 has two bytes"),
        (3 * size * rate, "divide the gigabytes by the rate"),
        (3 * billions / rate, "a number in bfloat16 has two bytes, not one"),
    ]
    compare(time, 3 * size / rate, mistakes, "Three models of 14 GB each, at 1.1 GB/s.", 0.03)
    return f"about {3 * size / rate:.0f} s."


@exercise()
def check_09d(text, weights):
    config = yaml.safe_load(text) if isinstance(text, str) else text
    refuse(not isinstance(config, dict) or "models" not in config, "the config is a YAML text with a list `models:`")
    refuse(config.get("merge_method") != "linear", "the first line is `merge_method: linear`")
    given = {each["model"]: number(each["parameters"]["weight"]) for each in config["models"]}
    missing, total = sorted(set(weights) - set(given)), sum(given.values())
    refuse(missing, f"{', '.join(missing)} is missing: the tree holds {len(weights)} models")
    alphas = given.get("clippy") == 0.6 and given.get("beer") == 0.4
    refuse(alphas, "0.6 and 0.4 are the shares in the inner merge, which has 0.75 of the whole: multiply")
    refuse(not close(total, 1, 0.001), f"your weights sum to {total:g}, and an average's sum to 1")
    wrong = next((label for label, weight in weights.items() if not close(given[label], weight, 0.001)), None)
    refuse(wrong, f"{wrong} has the weight {given.get(wrong, 0):g}: multiply the shares on its way to the root")
    refused = by_mergekit(config)
    refuse(refused, f"mergekit would refuse this config: {refused}")
    return "a tree as one flat merge config, which mergekit can carry out."


def by_mergekit(config):
    """What mergekit has against a merge config, or None; None, too, where it is not installed."""
    try:
        from mergekit.config import MergeConfiguration
    except ImportError:
        return None
    try:
        MergeConfiguration.model_validate(config)
    except ValueError as error:
        return " ".join(str(error).split())
