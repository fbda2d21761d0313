"""RegMean, Fisher-weighted averages and learned lambdas: plain loops as oracles, identities, padding, refusals."""

import copy
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import build, build_tokenizer, largest_difference, refused, same_bytes, snapshot
from test_mergekit import FAMILIES, SHARE, by_loop, quick, trio

from merging.methods.batches import batch_nats, finetune, token_batches
from merging.methods.fisher import fisher, fisher_average
from merging.methods.lambdas import learn_lambdas, merge_lambdas
from merging.methods.regmean import input_products, linear_layers, regmean, turn
from merging.tensors import named_weights, tensor_kind


def random_batches(seed=0, lengths=((9, 4, 7), (12, 12)), words=64):
    """Batches of random tokens, padded to the longest row of each."""
    dice, batches = torch.Generator().manual_seed(seed), []
    for rows in lengths:
        ids, mask = (
            torch.zeros(len(rows), max(rows), dtype=torch.long),
            torch.zeros(len(rows), max(rows), dtype=torch.long),
        )
        for i, n in enumerate(rows):
            ids[i, :n], mask[i, :n] = torch.randint(1, words, (n,), generator=dice), 1
        batches.append({"input_ids": ids, "attention_mask": mask})
    return batches


def alone(batches):
    """The same documents, each a batch of its own without padding."""
    return [
        {key: tensor[row : row + 1, : int(batch["attention_mask"][row].sum())] for key, tensor in batch.items()}
        for batch in batches
        for row in range(len(batch["input_ids"]))
    ]


# --- token batches ----------------------------------------------------------------------------------------------


def test_token_batches_hold_every_document_once_between_two_ends():
    tokenizer, texts = build_tokenizer(), ["def f(x):", "style: Ale", "a", "batch_size: 25\n"]
    batches = token_batches(tokenizer, texts, rows=3)
    assert [len(batch["input_ids"]) for batch in batches] == [3, 1]
    rows = [each["input_ids"][0].tolist() for each in alone(batches)]
    assert all(row[0] == row[-1] == tokenizer.eos_token_id for row in rows)
    assert sorted(tokenizer.decode(row[1:-1]) for row in rows) == sorted(texts)
    assert max(batch["input_ids"].shape[1] for batch in token_batches(tokenizer, texts, length=5)) == 5
    with pytest.raises(ValueError, match="at least one document"):
        token_batches(tokenizer, [])


@FAMILIES
def test_padding_changes_no_likelihood(name):
    model, (batch, _) = build(name).eval(), random_batches()
    with torch.no_grad():
        parts = [batch_nats(model, each, reduction="sum") for each in alone([batch])]
        tokens = int(batch["attention_mask"][:, 1:].sum())
        torch.testing.assert_close(batch_nats(model, batch, reduction="sum"), sum(parts))
        torch.testing.assert_close(batch_nats(model, batch), sum(parts) / tokens)


# --- RegMean ----------------------------------------------------------------------------------------------------


def inputs_of(model, batches):
    """name of a weight -> every input of its layer, stacked as rows, from documents read one by one."""
    seen, layers = {}, linear_layers(model)
    for document in alone(batches):
        hooks = [
            layer.register_forward_pre_hook(
                lambda _, x, name=name: seen.setdefault(name, []).append(x[0].detach().reshape(-1, x[0].shape[-1]))
            )
            for name, layer in layers.items()
        ]
        with torch.no_grad():
            model.eval()(**document)
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(rows) for name, rows in seen.items()}


@FAMILIES
def test_input_products_are_those_of_the_tokens_without_their_padding(name):
    model, batches = build(name), random_batches()
    products, rows = input_products(model, batches), inputs_of(copy.deepcopy(model), batches)
    assert model.training and set(products) == set(rows)
    assert {tensor_kind(layer)[0] for layer in products} == {"attention", "feed-forward"}
    for layer, x in rows.items():
        torch.testing.assert_close(products[layer], x.T @ x / len(x), atol=1e-4, rtol=1e-4)
    assert not any(module._forward_pre_hooks for module in model.modules())


@FAMILIES
def test_regmean_is_the_least_squares_answer_to_the_stacked_inputs(name):
    _, one, two = trio(name)
    texts = random_batches(1, ((30,) * 8,) * 2), random_batches(2, ((30,) * 8,) * 2)
    products = [input_products(model, batches) for model, batches in zip((one, two), texts)]
    merged, weights = regmean([one, two], products, [0.3, 0.7], shrink=1.0), (0.3, 0.7)
    stacks = [inputs_of(copy.deepcopy(model), batches) for model, batches in zip((one, two), texts)]
    for layer, module in linear_layers(merged).items():
        pairs = []
        for share, model, rows in zip(weights, (one, two), stacks):
            x, w = rows[layer].double(), turn(module, named_weights(model)[layer]).double()
            scale = math.sqrt(share / len(x))
            pairs.append((scale * x, scale * x @ w))
        x, y = (torch.cat(part) for part in zip(*pairs))
        found = turn(module, named_weights(merged)[layer]).double()
        best = torch.linalg.lstsq(x, y).solution
        assert (x @ found - y).norm() <= (x @ best - y).norm() * (1 + 1e-5)
        torch.testing.assert_close(found, best, atol=2e-3, rtol=2e-3)
    rest = {key: tensor for key, tensor in named_weights(merged).items() if key not in products[0]}
    for key, tensor in rest.items():
        torch.testing.assert_close(tensor, 0.3 * named_weights(one)[key] + 0.7 * named_weights(two)[key])


@quick
@given(share=SHARE, shrink=SHARE)
def test_regmean_of_one_model_or_of_twins_is_that_model(share, shrink):
    _, model, _ = trio()
    products = input_products(model, random_batches())
    assert same_bytes(regmean([model], [products], shrink=shrink), model)
    twin = copy.deepcopy(model)
    other = input_products(model, random_batches(5))
    assert same_bytes(regmean([model, twin], [products, other], [share, 1 - share], shrink), model)


@quick
@given(share=SHARE, shrink=st.sampled_from([0.0, 0.5, 0.9]))
def test_the_order_of_the_models_changes_nothing(share, shrink):
    _, one, two = trio()
    texts = random_batches(1), random_batches(2)
    products = [input_products(model, batches) for model, batches in zip((one, two), texts)]
    fishers = [fisher(model, batches) for model, batches in zip((one, two), texts)]
    for merge, measured, more in ((regmean, products, {"shrink": shrink}), (fisher_average, fishers, {})):
        there = merge([one, two], measured, [share, 1 - share], **more)
        back = merge([two, one], measured[::-1], [1 - share, share], **more)
        assert largest_difference(there, back.state_dict()) < 1e-4


def test_inputs_that_are_always_zero_keep_the_average():
    _, one, two = trio()
    products = [{name: torch.zeros_like(p) for name, p in input_products(one, random_batches()).items()}] * 2
    merged = regmean([one, two], products, [0.25, 0.75])
    assert largest_difference(merged, by_loop(lambda x, y: 0.25 * x + 0.75 * y, one, two)) < 1e-5


# --- Fisher -----------------------------------------------------------------------------------------------------


@FAMILIES
def test_fisher_is_the_mean_square_of_each_documents_gradient(name):
    model, batches = build(name), random_batches()
    expected = {key: torch.zeros_like(p) for key, p in model.named_parameters()}
    plain = copy.deepcopy(model).eval()
    for document in alone(batches):
        plain.zero_grad()
        ids = document["input_ids"]
        log_p = plain(input_ids=ids).logits[0, :-1].log_softmax(-1)
        log_p[torch.arange(ids.shape[1] - 1), ids[0, 1:]].sum().backward()
        for key, p in plain.named_parameters():
            expected[key] += p.grad**2
    mean = sum(f.sum() for f in expected.values()) / sum(f.numel() for f in expected.values())
    found = fisher(model, batches)
    assert all(p.grad is None for p in model.parameters())
    for key, square in expected.items():
        torch.testing.assert_close(found[key], square / mean, atol=1e-4, rtol=1e-3)


@FAMILIES
def test_fisher_average_is_the_formula_number_by_number(name):
    _, one, two = trio(name)
    fishers = [fisher(model, random_batches(seed)) for seed, model in enumerate((one, two))]
    merged = named_weights(fisher_average([one, two], fishers, [0.3, 0.7]))
    for key, square1 in fishers[0].items():
        f1, f2 = 0.3 * (square1.double() + 1e-6), 0.7 * (fishers[1][key].double() + 1e-6)
        expected = (f1 * named_weights(one)[key] + f2 * named_weights(two)[key]) / (f1 + f2)
        torch.testing.assert_close(merged[key].double(), expected, atol=1e-5, rtol=1e-5)


@quick
@given(share=SHARE)
def test_fisher_average_of_twins_is_that_model_and_its_ends_are_the_models(share):
    _, one, two = trio()
    fishers = [fisher(model, random_batches(seed)) for seed, model in enumerate((one, two))]
    assert same_bytes(fisher_average([one, copy.deepcopy(one)], fishers, [share, 1 - share]), one)
    assert same_bytes(fisher_average([one, two], fishers, [1, 0]), one)
    assert same_bytes(fisher_average([one, two], fishers, [0, 1]), two)


# --- learned lambdas --------------------------------------------------------------------------------------------


@FAMILIES
def test_learned_lambdas_follow_the_gradient_of_the_loss(name):
    base, one, two = trio(name)
    batches = [random_batches(1), random_batches(2)]
    (learned, again) = (learn_lambdas(base, [one, two], batches, steps=1, lr=0.1, seed=3) for _ in range(2))
    assert learned == again
    # Adam's first step is lr times the sign of the slope: here by a small change of one lambda at a time
    dice = random.Random(3)
    drawn = [dice.choice(kind) for kind in batches]

    def loss(place, which, by):
        lambdas = {each: [0.5, 0.5] for each in learned}
        lambdas[place] = [0.5 + by * (i == which) for i in range(2)]
        merged = merge_lambdas(base, [one, two], lambdas)
        with torch.no_grad():
            return sum(batch_nats(merged, batch) for batch in drawn).item()

    for place in [("attention", 0), ("feed-forward", 1), ("norm", None), ("embedding", None)]:
        for which in range(2):
            slope = loss(place, which, 0.002) - loss(place, which, -0.002)
            if abs(slope) > 1e-4:  # else rounding decides
                assert learned[place][which] == pytest.approx(0.5 - math.copysign(0.1, slope), abs=1e-3)


@FAMILIES
def test_merged_lambdas_are_the_formula(name):
    base, one, two = trio(name)
    lambdas = {
        place: [0.1 * i, 1 - 0.2 * i] for i, place in enumerate(dict.fromkeys(map(tensor_kind, named_weights(base))))
    }
    merged = named_weights(merge_lambdas(base, [one, two], lambdas))
    for key, start in named_weights(base).items():
        first, second = lambdas[tensor_kind(key)]
        expected = start + first * (named_weights(one)[key] - start) + second * (named_weights(two)[key] - start)
        torch.testing.assert_close(merged[key], expected, atol=1e-5, rtol=1e-5)


def test_lambdas_of_zero_are_base_and_learning_lowers_the_loss():
    base, one, two = trio()
    batches = [random_batches(1), random_batches(2)]
    untouched = learn_lambdas(base, [one, two], batches, steps=0, start=0.0)
    assert same_bytes(merge_lambdas(base, [one, two], untouched), base)
    start = merge_lambdas(base, [one, two], learn_lambdas(base, [one, two], batches, steps=0))
    learned = merge_lambdas(base, [one, two], learn_lambdas(base, [one, two], batches, steps=20, lr=0.05))
    tuned = finetune(start, batches, steps=20, lr=3e-3)
    total = lambda model: sum(batch_nats(model.eval(), batch).item() for kind in batches for batch in kind)
    assert total(learned) < total(start) and total(tuned) < total(start)


# --- what all of them leave alone, and refuse ---------------------------------------------------------------------


@FAMILIES
def test_parents_stay_and_out_is_used(name):
    base, one, two = trio(name)
    before, batches = [snapshot(model) for model in (base, one, two)], random_batches()
    products, fishers = ([measure(model, batches) for model in (one, two)] for measure in (input_products, fisher))
    lambdas = learn_lambdas(base, [one, two], [batches], steps=1)
    finetune(one, [batches], steps=1)
    for merge in (
        lambda out: regmean([one, two], products, out=out),
        lambda out: fisher_average([one, two], fishers, out=out),
        lambda out: merge_lambdas(base, [one, two], lambdas, out=out),
    ):
        out = copy.deepcopy(base)
        assert merge(out) is out and same_bytes(out, merge(None))
        assert out.get_input_embeddings().weight is out.get_output_embeddings().weight
        refused(lambda merge=merge: merge(one), one, two, says=["one of the parents"])
    assert all(same_bytes(model, state) for model, state in zip((base, one, two), before))
    assert all(p.grad is None and p.requires_grad for model in (base, one, two) for p in model.parameters())


def test_refuses_measurements_that_do_not_fit():
    base, one, two = trio()
    products = [input_products(model, random_batches()) for model in (one, two)]
    fishers = [fisher(model, random_batches()) for model in (one, two)]
    name = "transformer.h.1.mlp.c_fc.weight"
    for merge, measured in ((regmean, products), (fisher_average, fishers)):
        lacking = {key: tensor for key, tensor in measured[1].items() if key != name}
        damaged = measured[1] | {name: torch.full_like(measured[1][name], math.nan)}
        wrong = measured[1] | {name: measured[1][name][:3]}
        refused(lambda: merge([one, two], measured[:1]), one, two, says=["2 models", "not 1"])
        refused(lambda: merge([one, two], [measured[0], lacking]), one, two, says=["Measurement 2", "nothing", name])
        refused(lambda: merge([one, two], [measured[0], damaged]), one, two, says=["Measurement 2", "NaN", name])
        refused(lambda: merge([one, two], [measured[0], wrong]), one, two, says=["Measurement 2", "shape", name])
        refused(lambda: merge([one, two], measured, [0.5, 0.6]), one, two, says=["sum to"])
        refused(lambda: merge([one, build("gpt-2")], measured), one, says=["GPT2LMHeadModel"])
        refused(lambda: merge([], []), says=["no model"])
    refused(lambda: regmean([one, two], products, shrink=1.5), one, two, says=["from 0 to 1, not 1.5"])
    negative = [{key: -tensor for key, tensor in each.items()} for each in products]
    refused(lambda: regmean([one, two], negative), one, two, says=["do not determine"])


def test_refuses_lambdas_that_do_not_fit():
    base, one, two = trio()
    good = {place: [0.5, 0.5] for place in map(tensor_kind, named_weights(base))}
    place = ("attention", 1)
    for bad in ([0.5], [0.5, math.nan], "ab"):
        refused(
            lambda bad=bad: merge_lambdas(base, [one, two], good | {place: bad}), base, says=["attention of block 1"]
        )
    refused(lambda: merge_lambdas(base, [one, two], {}), base, says=["needs 2 finite lambdas"])
    refused(lambda: learn_lambdas(base, [one, build("gpt-2")], [random_batches()]), base, says=["GPT2LMHeadModel"])
