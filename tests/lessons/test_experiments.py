"""The experiments of the notebooks: their functions, taken from the cells that a reader sees."""

import ast
import copy
import json
import math
import random

import nbformat
import pytest
import torch
from small import build, largest_difference, same_bytes

from helpers import average_models, merge_models
from lessons.measured import stored
from merging.load.loading import load_models
from merging.measure.bits import bits_per_byte
from merging.measure.ensembles import merge_vs_ensemble
from merging.measure.texts import heldout_texts
from merging.paths import ROOT
from merging.tensors import named_weights
from training import train

TEXT = ["style: Scottish Ale\nbatch_size: 20\n", "def greet(name):\n    return name\n"]


def defined_in(title, **names):
    """Run only the imports, functions and classes of a notebook; names: the variables that these refer to."""
    [notebook] = (ROOT / "notebooks").glob(f"[0-9][0-9]_{title}.ipynb")
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            tree.body = [
                node
                for node in tree.body
                if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
            ]
            exec(compile(tree, notebook, "exec"), names)
    return names


@pytest.fixture(scope="module")
def models(tiny):
    return {label: model for label, (model, _) in tiny.items()}


@pytest.fixture(scope="module")
def experiments(models, tokenizer):
    theta = named_weights(models["base"])
    ways = {
        f"to_{label}": {name: tensor - theta[name] for name, tensor in named_weights(models[label]).items()}
        for label in ("clippy", "beer")
    }
    return defined_in(
        "why_merging_works",
        tokenizer=tokenizer,
        texts={"both": TEXT},
        quarters=[{"both": TEXT}],
        theta=theta,
        canvas=copy.deepcopy(models["base"]),
        **models,
        **ways,
    )


@pytest.mark.parametrize(
    "losses, expected",
    [([1, 3, 1], 2), ([1, 0, 1], 0), ([0, 1, 2], 0), ([0, 2, 2], 1), ([2, 2, 0], 1), ([0, 0, 3, 0, 4], 1)],
)
def test_a_barrier_is_the_highest_rise_above_the_straight_line(experiments, losses, expected):
    assert experiments["barrier"](losses) == pytest.approx(expected)


def test_a_path_runs_from_the_second_model_to_the_first(experiments, models, tokenizer):
    losses = experiments["path"](models["clippy"], models["beer"])["both"]
    ends = [bits_per_byte(models[label], tokenizer, TEXT) for label in ("beer", "clippy")]
    assert len(losses) == 5
    assert [losses[0], losses[-1]] == pytest.approx(ends)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_shuffled_model_computes_the_same_from_other_weights(experiments, seed):
    model = build(seed=seed).eval()
    moved = experiments["shuffled"](model, seed)
    ids = torch.randint(0, 60, (4, 30), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert torch.allclose(moved(ids).logits, model(ids).logits, atol=1e-5)
    assert largest_difference(moved, model) > 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_matching_finds_the_permutation_back(experiments, models, seed):
    broken = experiments["shuffled"](models["beer"], seed)
    mended = experiments["permute"](broken, experiments["match"](broken, reference=models["clippy"]))
    assert not same_bytes(broken, models["beer"])
    assert same_bytes(mended, models["beer"])


def test_matching_leaves_a_model_that_fits_as_it_is(experiments, models):
    orders = experiments["match"](models["beer"], reference=models["base"])
    assert all(order.tolist() == sorted(order.tolist()) for block in orders for order in block)


@pytest.mark.parametrize("x, y, label", [(0, 0, "base"), (1, 0, "clippy"), (0, 1, "beer")])
def test_the_corners_of_the_plane_are_the_models(experiments, models, x, y, label):
    assert largest_difference(experiments["at"](x, y), models[label]) < 1e-6


def test_lambda_one_half_is_the_fifty_fifty_merge(experiments, models):
    assert largest_difference(experiments["at"](0.5, 0.5), merge_models(models["clippy"], models["beer"], 0.5)) < 1e-6


MEANS = {  # by hand, of two models' logits for the next token: probabilities
    "of_probabilities": lambda one, two: (one.softmax(-1) + two.softmax(-1)) / 2,
    "of_logits": lambda one, two: ((one + two) / 2).softmax(-1),
}


@pytest.mark.parametrize("mean", MEANS)
def test_an_ensemble_averages_what_its_name_says(experiments, models, tokenizer, mean):
    ensemble, nats = experiments["Ensemble"](models["clippy"], models["beer"], experiments[mean]), 0.0
    for document in TEXT:
        ids = [tokenizer.eos_token_id] + tokenizer(document)["input_ids"]
        for i in range(1, len(ids)):
            with torch.no_grad():
                pair = (models[label](torch.tensor([ids[:i]])).logits[0, -1].double() for label in ("clippy", "beer"))
            nats -= MEANS[mean](*pair)[ids[i]].log().item()
    expected = nats / math.log(2) / sum(len(document) for document in TEXT)
    assert bits_per_byte(ensemble, tokenizer, TEXT) == pytest.approx(expected, rel=1e-4)


def test_a_divergence_is_none_from_itself_and_the_tokens_mean_from_another(experiments, models, tokenizer):
    divergence, (clippy, beer) = experiments["divergence"], (models["clippy"], models["beer"])
    assert divergence(beer, beer, TEXT) == 0
    both = (divergence(clippy, beer, TEXT) + divergence(beer, clippy, TEXT)) / 2
    helper = merge_vs_ensemble([models["base"], clippy, beer], tokenizer, {"both": TEXT}, [1])
    assert helper["parents"]["both"] == pytest.approx([both], rel=1e-4)


def test_a_greedy_soup_is_never_worse_than_its_best_ingredient():
    greedy_soup = defined_in("hierarchical_merging")["greedy_soup"]
    for seed in range(20):
        dice, table = random.Random(seed), {}
        score = lambda labels, dice=dice, table=table: table.setdefault(frozenset(labels), dice.random())
        soup = greedy_soup("abcde", score)
        assert score(soup) >= max(score([label]) for label in "abcde") == score(soup[:1])
        assert len(set(soup)) == len(soup)


def test_a_greedy_soup_adds_what_helps_and_leaves_out_what_does_not():
    value = {"a": 3, "b": 2, "c": 1, "d": 0}
    greedy_soup = defined_in("hierarchical_merging")["greedy_soup"]
    assert greedy_soup(
        "dcba", lambda labels: max(value[label] for label in labels) + ("c" in labels) - ("b" in labels)
    ) == ["a", "c", "d"]


def test_the_stored_ingredients_and_their_soups_score_what_was_measured(models, tokenizer, monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    ingredient = defined_in("hierarchical_merging", brewer=models["beer"])["ingredient"]
    rows = stored("soups/measured.json")["rows"]
    steps, seeds = ([name for name in rows if name.startswith(kind)] for kind in ("step-", "seed-"))
    pots = {"average of the steps": steps, "soup of the seeds": ["beer", *seeds]}
    for name, labels in {"step-100": ["step-100"], "seed-6": ["seed-6"], **pots}.items():
        pot = average_models([models["beer"] if label == "beer" else ingredient(label) for label in labels])
        bits = bits_per_byte(pot, tokenizer, heldout_texts()["beer"])
        assert bits == pytest.approx(rows[name]["bits"]["beer"], abs=2e-3)
    assert len(steps) == 5 and len(seeds) == 2


def test_the_shipped_curves_are_sweeps_to_the_shipped_clippy(models, tokenizer):
    (phase,) = train.STAGES["beer"]
    clippy = [bits_per_byte(models["clippy"], tokenizer, text) for text in heldout_texts().values()]
    runs = json.loads((ROOT / "models" / "further.json").read_text())
    for run in runs:
        assert [losses[-1] for losses in run["bits"].values()] == pytest.approx(clippy, abs=2e-3)
        assert all(len(losses) == len(run["alphas"]) == 11 for losses in run["bits"].values())
        assert run["lr"] / phase["lr"] in (1, 10) and run["steps"] / phase["steps"] in (1, 4)
    assert len({(run["run"], run["seed"]) for run in runs}) == len(runs)


def test_the_stranger_knows_recipes_and_shares_no_ancestor_with_the_trio(models, tokenizer):
    stranger, words = load_models({"stranger": ROOT / "models" / "tiny" / "stranger"}, device="cpu")["stranger"]
    assert words.get_vocab() == tokenizer.get_vocab()
    assert bits_per_byte(stranger, words, heldout_texts()["beer"]) < 0.4
    blocks = lambda model: torch.cat(
        [t.flatten() for name, t in named_weights(model).items() if name.endswith("c_fc.weight")]
    )
    cosine = lambda one, other: torch.cosine_similarity(blocks(one), blocks(other), dim=0).item()
    assert cosine(models["beer"], models["clippy"]) > 0.5 and abs(cosine(models["beer"], stranger)) < 0.1
