"""The checks of the exercises in notebook 10. alpha is the share of the first model."""

import copy

import yaml

from lessons.exercises.form import NotYet, brief, call, close, compare, exercise, factors, number, refuse, same
from merging.measure.cost import new_memory
from merging.tensors import named_weights


@exercise("moved")
def check_10a(moved):
    mistakes = [
        (3, "that is the floor, of one operation: here what the first step has written is read again"),
        (4, "that is one too few: `add_` reads its target before it writes it"),
        (9, "that is the loop with three temporaries; this one has none"),
        (6, "that is one too many: `mul` reads theta alone, and the number 0.3 costs nothing"),
        (7, "there are no temporaries: count for each step which of theta, theirs and target it reads and writes"),
    ]
    hint = "Count for each step what it reads and what it writes, a whole model each time."
    compare(moved, 5, mistakes, hint, "read theta, write target; read target and theirs, write target: 5.", 1e-6)
    return "5, where the floor moves 3: by bytes alone 1.7 times the floor."


UNTOUCHED = 7.0  # no weight is so large


@exercise("loop_by_lerp()")
def check_10b(loop_by_lerp, one, other, out):
    theta1, theta2, theta = named_weights(one), named_weights(other), named_weights(out)
    for tensor in theta.values():
        tensor.fill_(UNTOUCHED)
    before = {"one": copy.deepcopy(one), "other": copy.deepcopy(other)}
    try:
        given = call(loop_by_lerp, nothing=True)
        for name, model in (("one", one), ("other", other)):
            refuse(not same(model, before[name]), f"your function changes `{name}`: write into `out`'s tensors")
    finally:  # the next try begins with the parents as they were
        one.load_state_dict(before["one"].state_dict())
        other.load_state_dict(before["other"].state_dict())
    empty = [name for name, tensor in theta.items() if (tensor == UNTOUCHED).all()]
    if len(empty) == len(theta):
        refuse(given is not None, "your function gives something back; it has to write into `out`")
        refuse(True, "nothing is written into `out`: an assignment gives a name to a new tensor, out=target writes")
    refuse(empty, f"{len(empty)} tensors of `out` are not written, for example {empty[:1]}")
    a, b = factors(theta, theta1, theta2)
    refuse((a, b) == (0.7, 0.3), "you mix 0.7 of `one`: 0.3 is the share of the first model")
    refuse((a, b) != (0.3, 0.7), f"`out` is {a:g} of `one` and {b:g} of `other`, and not 0.3 and 0.7")
    asked, size = new_memory(loop_by_lerp), sum(tensor.nbytes for tensor in theta.values())
    refuse(asked > size / 10, f"right, but it asks for {asked / 1e6:.1f} MB of new memory: write with out=")
    return "0.3 of the first model, and no new memory. Time it with `seconds`."


@exercise("time_needed")
def check_10c(time_needed, billions=7, bytes_each=2, rate=1.1):
    size = billions * bytes_each
    truth = 3 * size / rate
    mistakes = [
        (size / rate, "that moves one model: two are read and one is written"),
        (2 * size / rate, "that is for reading both parents: the merge has to be written, too"),
        (6 * size / rate, "that is for float32: a number in bfloat16 has two bytes"),
        (3 * size * rate, "divide the gigabytes by the rate"),
        (3 * size, "these are the gigabytes: divide them by the rate"),
        (3 * billions / rate, "a number in bfloat16 has two bytes, not one"),
        (truth / 60, "that is in minutes: the answer is in seconds"),
    ]
    hint = "How many gigabytes is one model, and how many models pass?"
    way = f"three models of {size} GB are {3 * size} GB, at {rate} GB/s {truth:.0f} s."
    compare(time_needed, truth, mistakes, hint, way, 0.03)
    return f"about {truth:.0f} s."


@exercise("merge_config")
def check_10d(merge_config, weights):
    config = read_linear(merge_config)
    given = weights_of(config)
    missing, strange = sorted(set(weights) - set(given)), sorted(set(given) - set(weights))
    refuse(missing and not strange, f"{', '.join(missing)} is missing: the tree holds {len(weights)} models")
    refuse(strange, f"{', '.join(strange)} is no model of the tree, whose leaves are {', '.join(weights)}")
    total, has = sum(given.values()), lambda *shares: list(given[k] for k in ("clippy", "beer")) == list(shares)
    refuse(has(0.6, 0.4), "0.6 and 0.4 are the shares in the inner merge, which has 0.75 of the whole: multiply")
    in_proportion = total > 0 and all(close(given[label] / total, w, 0.001) for label, w in weights.items())
    refuse(
        in_proportion and not close(total, 1, 0.001),
        f"the proportions are right, and mergekit would divide by the sum, {total:g}. Write shares that sum to 1",
    )
    refuse(has(0.3, 0.45), "clippy and beer have changed places: 0.6 is the share of the left one, clippy")
    refuse(given["base"] == 0.75, "0.75 is the share of the left branch: base has the rest")
    refuse(not close(total, 1, 0.001), f"your weights sum to {total:g}, and an average's sum to 1")
    wrong = next((label for label, weight in weights.items() if not close(given[label], weight, 0.001)), None)
    refuse(wrong, f"{wrong} has the weight {given.get(wrong, 0):g}: multiply the shares on its way to the root")
    refused = by_mergekit(config)
    refuse(refused, f"mergekit would refuse this config: {refused}")
    return "a tree as one flat merge config, which mergekit can carry out."


def read_linear(answer):
    """A linear merge config as a dict, from a YAML text or a dict."""
    try:
        config = yaml.safe_load(answer) if isinstance(answer, str) else answer
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise NotYet(f"this is no YAML{line}: mind colons and indents") from error
    lists = isinstance(config, dict) and isinstance(config.get("models"), list)
    refuse(not lists, "the config is a YAML text with a list `models:`, as the notebook printed it")
    refuse(config.get("merge_method") != "linear", "the first line is `merge_method: linear`")
    return config


def weights_of(config):
    """model -> weight of a linear merge config; the last part of a path is the model's name."""
    given = {}
    for each in config["models"]:
        parts = each.get("parameters") if isinstance(each, dict) else None
        form = isinstance(parts, dict) and "weight" in parts and isinstance(each.get("model"), str)
        refuse(not form, f"each entry of `models:` has `model:` and `parameters:` with a `weight:`, not {brief(each)}")
        label = each["model"].rstrip("/").split("/")[-1]
        given[label] = given.get(label, 0.0) + number(parts["weight"])
    return given


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
