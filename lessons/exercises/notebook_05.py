"""The checks of the exercises in notebook 05. alpha is the share of the first model."""

from lessons.exercises.form import brief, call, close, exercise, number, numbers, refuse

LABELS = ["base", "beer", "clippy"]


@exercise("tree1", "tree2")
def check_05a(tree1, tree2, flat_weights):
    trees = {"tree1": as_tree(tree1, "tree1"), "tree2": as_tree(tree2, "tree2")}
    for name, tree in trees.items():
        weights = flat_weights(tree)
        refuse(sorted(weights) != LABELS, f"{name} holds {', '.join(sorted(weights))}; it needs base, clippy and beer")
        said, off = f"{name} gives { {label: round(w, 3) for label, w in weights.items()} }", max(weights.values())
        refuse(close(off, 0.5, 0.001), f"{said}: with alpha = 0.5 at the root, whoever joins last has a half")
        left = "alpha is the share of the left branch, and the pair needs two thirds"
        refuse(close(off, 2 / 3, 0.02), f"{said}: {left}")
        refuse(not close(off, 1 / 3, 0.03), f"{said}: not a third each")
        rough = any(abs(weight - 1 / 3) > 0.005 for weight in weights.values())
        refuse(rough, f"{said}: nearly a third each, write 1 / 3 and 2 / 3 for the alphas")
    first = [" and ".join(sorted(pair)) for pair in first_pairs(trees["tree1"])]
    same = first_pairs(trees["tree1"]) == first_pairs(trees["tree2"])
    refuse(same, f"both trees merge {', '.join(first)} first: take another pair")
    return "a third each, by two trees. They are one and the same model."


def first_pairs(tree):
    """The labels of each merge of two models, whatever stands on the left."""
    if isinstance(tree, str):
        return []
    leaves = all(isinstance(part, str) for part in tree[:2])
    return [set(tree[:2])] if leaves else first_pairs(tree[0]) + first_pairs(tree[1])


def as_tree(answer, name):
    """The answer as a tree of tuples with floats for alphas, if it has the form of one."""
    if isinstance(answer, str):
        return answer.strip()
    form = f"{name}: a tree is (left, right, alpha), each of left and right a name in quotes or a tree"
    refuse(not isinstance(answer, list | tuple), f"{form}, and not {brief(answer)}")
    refuse(len(answer) != 3, f"{form}; {brief(answer)} has {len(answer)} parts")
    refuse(isinstance(answer[2], str | list | tuple), f"{form}; at its end stands {brief(answer[2])}, and not an alpha")
    alpha = number(answer[2])
    refuse(1 < alpha <= 100, f"{name}: {alpha:g} is in percent, and alpha is between 0 and 1")
    refuse(not 0 <= alpha <= 1, f"{name}: {alpha:g} is no share: alpha is between 0 and 1")
    return as_tree(answer[0], name), as_tree(answer[1], name), alpha


@exercise("my_weights")
def check_05b(my_weights, flat_weights):
    truth = flat_weights(((("clippy", "beer", 0.6), "base", 0.5), "beer", 0.8))
    refuse(not isinstance(my_weights, dict), f"`my_weights` is a dict, label -> weight, and not {brief(my_weights)}")
    refuse("mix" in my_weights, "mix is no model of its own: share its weight between clippy and beer")
    refuse(set(my_weights) != set(truth), f"give a weight to each of {sorted(truth)}, and to nobody else")
    weights = {label: number(weight) for label, weight in my_weights.items()}
    total, same = sum(weights.values()), lambda other: all(close(weights[k], v, 0.01) for k, v in other.items())
    mistakes = [
        ({label: 100 * weight for label, weight in truth.items()}, "these are in percent: the weights sum to 1"),
        ({"beer": 0.2, "clippy": 0.24}, "beer stands in the tree twice: add what it has inside of the mix"),
        ({"beer": 0.16, "clippy": 0.24}, "beer also joins at the root, with 0.2: add that"),
        ({"clippy": 0.4}, "0.4 is the share of the whole mix: only 0.6 of that is clippy"),
        ({"clippy": 0.06}, "0.8 is the share of the left branch, and beer stands on the right"),
        ({"beer": 0.8}, "0.8 is the share of the left branch, and beer stands on the right"),
        ({"clippy": 0.16, "beer": 0.44}, "0.6 is clippy's share of the mix, and beer has the other 0.4"),
        ({"base": 0.5}, "0.5 is base's share of the left branch, which has 0.8 of the whole: multiply"),
    ]
    for wrong, sentence in mistakes:
        refuse(same(wrong), sentence)
    refuse(not close(total, 1, 0.005), f"your weights sum to {total:.3g}, and a merge of merges is an average: 1")
    wrong = next((label for label in truth if not close(weights[label], truth[label], 0.01)), None)
    refuse(wrong, f"{wrong} does not have {weights.get(wrong, 0):.3g}: multiply the shares on its way to the root")
    return ", ".join(f"{label} {weight:.2f}" for label, weight in truth.items()) + "."


@exercise("fair_alphas()")
def check_05c(fair_alphas, flat_weights):
    for n in (2, 3, 4, 6):
        given = call(fair_alphas, n)
        alphas = numbers(given.values() if isinstance(given, dict) else given)
        refuse(len(alphas) != n - 1, f"n = {n} needs a list of length {n - 1}, and yours has {len(alphas)}")
        refuse(not 0 <= min(alphas) <= max(alphas) <= 1, f"for n = {n} not all of your numbers are between 0 and 1")
        follows = lambda rule, alphas=alphas: all(abs(alpha - rule(k)) < 0.006 for k, alpha in enumerate(alphas, 1))
        late = "these are the newcomer's shares: alpha is that of the first model, the merge"
        refuse(n > 2 and follows(lambda k: 1 / (k + 1)), late)
        refuse(n > 2 and follows(lambda k: 0.5), "with 0.5 everywhere the last model has a half: alpha has to grow")
        weights = flat_weights(chain(alphas))
        off = max(weights, key=lambda label: abs(weights[label] - 1 / n))
        joined = f"for n = {n}, the model that joins as number {int(off) + 1} has {weights[off]:.3f}"
        refuse(not follows(lambda k: k / (k + 1)), f"{joined}, not 1/{n}")
    return "n models, one after the other, and each has 1/n in the end."


def chain(alphas):
    """The tree in which model 1 joins model 0, model 2 their merge, and so on."""
    tree = "0"
    for i, alpha in enumerate(alphas, 1):
        tree = (tree, str(i), alpha)
    return tree
