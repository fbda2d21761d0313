"""The checks of the exercises in notebook 05. alpha is the share of the first model."""

from lessons.exercises.form import close, exercise, filled, number, refuse


@exercise(answers=2)
def check_05a(tree1, tree2, flat_weights):
    for i, tree in enumerate((tree1, tree2), 1):
        weights = flat_weights(tree)
        needed = ("base", "beer", "clippy")
        refuse(
            sorted(weights) != [*needed], f"tree{i} holds {', '.join(sorted(weights))}; it needs base, clippy and beer"
        )
        said, off = {label: round(weight, 3) for label, weight in weights.items()}, max(weights.values())
        refuse(
            close(off, 0.5, 0.001),
            f"tree{i} gives {said}: with alpha = 0.5 at the root, whoever joins last has a half",
        )
        refuse(
            close(off, 2 / 3, 0.001),
            f"tree{i} gives {said}: alpha is the share of the left branch, and the pair needs two thirds",
        )
        refuse(not close(off, 1 / 3, 0.005), f"tree{i} gives {said}: not a third each")
    first = [frozenset(next(part for part in tree[:2] if not isinstance(part, str))[:2]) for tree in (tree1, tree2)]
    refuse(first[0] == first[1], f"both trees merge {' and '.join(sorted(first[0]))} first: take another pair")
    return "a third each, by two trees. They are one and the same model."


@exercise()
def check_05b(weights, flat_weights):
    truth = flat_weights(((("clippy", "beer", 0.6), "base", 0.5), "beer", 0.8))
    refuse(not isinstance(weights, dict) or set(weights) != set(truth), f"give a weight to each of {sorted(truth)}")
    weights = {label: number(weight) for label, weight in weights.items()}
    total, same = sum(weights.values()), lambda other: all(close(weights[k], v, 0.01) for k, v in other.items())
    refuse(same({"beer": 0.2, "clippy": 0.24}), "beer stands in the tree twice: add what it has inside of the mix")
    refuse(same({"clippy": 0.4}), "0.4 is the share of the whole mix: only 0.6 of that is clippy")
    swapped = flat_weights(("beer", (("clippy", "beer", 0.6), "base", 0.5), 0.8))
    refuse(same(swapped), "0.8 is the share of the left branch, and beer stands on the right")
    refuse(same({"beer": 0.16, "clippy": 0.24}), "beer also joins at the root, with 0.2: add that")
    refuse(not close(total, 1, 0.005), f"your weights sum to {total:.3g}, and a merge of merges is an average: 1")
    wrong = next((label for label in truth if not close(weights[label], truth[label], 0.01)), None)
    refuse(wrong, f"{wrong} does not have {weights.get(wrong, 0):.3g}: multiply the shares on its way to the root")
    return ", ".join(f"{label} {weight:.2f}" for label, weight in truth.items()) + "."


@exercise()
def check_05c(fair_alphas, flat_weights):
    for n in (2, 3, 4, 6):
        alphas = list(filled(fair_alphas(n)))
        refuse(len(alphas) != n - 1, f"n = {n} needs a list of length {n - 1}, and yours has {len(alphas)}")
        tree = "0"
        for i, alpha in enumerate(alphas, 1):
            tree = (tree, str(i), number(alpha))
        newcomer = all(close(alpha, 1 / (i + 1), 0.001) for i, alpha in enumerate(alphas, 1))
        refuse(n > 2 and newcomer, "your alphas are the newcomer's share: alpha is that of the first model, the merge")
        refuse(n > 2 and set(alphas) == {0.5}, "with 0.5 everywhere the last model has a half: alpha has to grow")
        weights = flat_weights(tree)
        off = max(weights, key=lambda label: abs(weights[label] - 1 / n))
        joined = f"for n = {n}, the model that joins as number {int(off) + 1} has {weights[off]:.3f}"
        refuse(not close(weights[off], 1 / n, 0.001), f"{joined}, not 1/{n}")
    return "n models, one after the other, and each has 1/n in the end."
