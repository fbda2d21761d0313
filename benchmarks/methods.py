"""The methods beyond the average, in memory: merges against merge_models, statistics against one forward pass."""

import torch
from mergekit.merge_methods.api import merge_state_dicts

import helpers
from benchmarks.timing import median_times, random_gpt_neo
from merging.methods.fisher import fisher, fisher_average
from merging.methods.lambdas import merge_lambdas
from merging.methods.mergekit import merge_with
from merging.methods.regmean import input_products, regmean

MERGES = {
    "average": "`merge_models(out=)`, the measure of the others",
    "slerp": "`merge_with('slerp')`: mergekit's arithmetic behind our checks",
    "task_arithmetic": "`merge_with('task_arithmetic')`",
    "ties": "`merge_with('ties', density=0.5)`",
    "dare_linear": "`merge_with('dare_linear', density=0.5)`",
    "model_stock": "`merge_with('model_stock')`",
    "mergekit_slerp": "mergekit's own `merge_state_dicts`, slerp",
    "mergekit_ties": "mergekit's own `merge_state_dicts`, ties, density 0.5",
    "lambdas": "`merge_lambdas`, one lambda a kind and block",
    "fisher_average": "`fisher_average`, the squared gradients measured before",
    "regmean": "`regmean`, the products measured before (solved in float64)",
}
STATISTICS = {
    "forward": "one forward pass over the text, without the output head",
    "input_products": "RegMean's statistics of the same text",
    "fisher": "Fisher's statistics of the same text: a backward pass a document",
}
ROWS = {**MERGES, **STATISTICS}


def methods_in_memory(settings, rounds, device, tokens=(4, 256)):
    """name -> median seconds of the rows in ROWS, in their order; the text is 2 batches of `tokens` random words."""
    base, one, two, out = (random_gpt_neo(settings, seed, device) for seed in range(4))
    dice = torch.Generator().manual_seed(1)
    ids = [torch.randint(settings["vocab_size"], tokens, generator=dice) for _ in range(2)]
    batches = [{"input_ids": each, "attention_mask": torch.ones_like(each)} for each in ids]
    products, fishers = ([measure(model, batches) for model in (one, two)] for measure in (input_products, fisher))
    lambdas = {helpers.tensor_kind(name): [0.5, 0.5] for name in helpers.named_weights(base)}
    with_base = lambda method, **knobs: merge_with(method, [one, two], base, out=out, **knobs)
    pair = {name: helpers.named_weights(model) for name, model in (("one", one), ("two", two))}
    trio = pair | {"base": helpers.named_weights(base)}

    @torch.no_grad()
    def forward():
        for batch in batches:
            one.base_model(**{key: tensor.to(device) for key, tensor in batch.items()}, use_cache=False)

    return median_times(
        rounds,
        average=lambda: helpers.merge_models(one, two, 0.3, out=out),
        slerp=lambda: merge_with("slerp", [one, two], out=out, alpha=0.3),
        task_arithmetic=lambda: with_base("task_arithmetic", lam=0.5),
        ties=lambda: with_base("ties", density=0.5),
        dare_linear=lambda: with_base("dare_linear", density=0.5),
        model_stock=lambda: with_base("model_stock"),
        mergekit_slerp=lambda: merge_state_dicts(pair, "slerp", base="one", parameters={"t": 0.7}),
        mergekit_ties=lambda: merge_state_dicts(trio, "ties", base="base", parameters={"weight": 1.0, "density": 0.5}),
        lambdas=lambda: merge_lambdas(base, [one, two], lambdas, out=out),
        fisher_average=lambda: fisher_average([one, two], fishers, out=out),
        regmean=lambda: regmean([one, two], products, out=out),
        forward=forward,
        input_products=lambda: input_products(one, batches),
        fisher=lambda: fisher(one, batches),
    )


def sections(settings, rounds, device):
    """The parts of the report: a title and a table each."""
    seconds = methods_in_memory(settings, rounds, device)
    for title, rows in (
        ("## Beyond the average, the same shape", MERGES),
        ("What RegMean and Fisher measure first, over 2 x 4 texts of 256 tokens:", STATISTICS),
    ):
        first = next(iter(rows))
        lines = [f"| row | what | seconds | times `{first}` |", "|:--|:--|--:|--:|"]
        lines += [
            f"| `{name}` | {what} | {seconds[name]:.3f} | {seconds[name] / seconds[first]:.1f} |"
            for name, what in rows.items()
        ]
        yield title
        yield "\n".join(lines)
