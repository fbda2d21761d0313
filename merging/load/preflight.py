"""What can be known about models before their weights are loaded: may they be averaged?"""

from typing import NamedTuple

from merging.checks import architecture_differences, config_setting, other_settings
from merging.errors import LoadError, printable
from merging.load.adapters import adapter_config, base_of, check_plain, tokenizer_folder, with_template
from merging.load.files import check_files, read_config, read_tokenizer, reason
from merging.load.gguf import cache
from merging.load.kinds import is_adapter
from merging.load.layout import bare_tensors, no_language
from merging.load.loading import find_folder
from merging.load.memory import float32_bytes, in_words
from merging.load.reading import QUANTISED, is_quantised
from merging.load.vocabulary import disagreement, same_base_words, spare_rows
from merging.tensors import other_parts


class Preflight(NamedTuple):
    """rows: for show_table(["", *labels], rows); refusals: why no merge is possible; notes: what to know before one."""

    rows: list
    refusals: list
    notes: list


WHY = {
    "model_type": "the tensors of one have no counterpart in the other. Merge models of one architecture",
    "num_hidden_layers": "some layers would have no partner. Merge models of one size",
    "hidden_size": "matrices of different size have no numbers to pair. Merge models of one size",
    "tie_word_embeddings": "one model uses its embedding also as its output layer, the other learned a separate one, "
    "which would have no partner. Merge models that were finetuned from the same base",
}


def preflight(sources):
    """What can be known about models before their weights are loaded: may they be averaged, and what should one know?

    sources: label -> Hub id or folder; of a Hub id only config and tokenizer are downloaded. Each model is compared
    with the first. Returns a Preflight; says nothing about whether a merge will be good: that must be measured. Raises
    LoadError if a model cannot be found or read.
    """
    configs, tokenizers, refusals, notes = {}, {}, [], []
    for label, source in sources.items():
        configs[label], tokenizers[label], bad, remarks = _look_at(label, source, sources)
        refusals, notes = refusals + bad, notes + remarks
    first, tensors = next(iter(configs), None), {label: bare_tensors(config) for label, config in configs.items()}
    notes += _other_parts(first, tensors[first]) if tensors.get(first) else []
    for label in list(configs)[1:]:
        bad, remarks = _compare(first, configs[first], tokenizers[first], label, configs[label], tokenizers[label])
        refusals, notes = refusals + bad, notes + remarks
    rows = [
        [question, *(answer(configs[label], tokenizers[label]) if label in configs else "" for label in sources)]
        for question, answer in QUESTIONS.items()
    ]
    sizes = (float32_bytes(tensors.get(label, {})) for label in sources)
    rows.append(["takes in float32", *(in_words(size) if size else "unknown" for size in sizes)])
    return Preflight(rows, list(map(printable, refusals)), list(map(printable, notes)))


QUESTIONS = {
    "architecture": lambda config, tokenizer: config.model_type,
    "layers": lambda config, tokenizer: config_setting(config, "num_hidden_layers"),
    "width": lambda config, tokenizer: config_setting(config, "hidden_size"),
    "vocabulary rows": lambda config, tokenizer: config_setting(config, "vocab_size"),
    "tokens in the tokenizer": lambda config, tokenizer: len(tokenizer),
    "output layer": lambda config, tokenizer: (
        "the embedding" if config_setting(config, "tie_word_embeddings") else "its own"
    ),
    "stored as": lambda config, tokenizer: str(config.dtype or "unknown").removeprefix("torch."),
    "quantised": lambda config, tokenizer: "yes" if getattr(config, "quantization_config", None) else "no",
    "chat template": lambda config, tokenizer: "yes" if tokenizer.chat_template else "no",
}


def _look_at(label, source, sources):
    """(config, tokenizer, refusals, notes) of one model; of an adapter the base's, and the words that it brings."""
    own = folder = words_at = find_folder(label, source, weights=False)
    notes = []
    if is_adapter(own):
        folder, note = _base_folder(label, own, sources)
        words_at, notes = tokenizer_folder(own, folder), [note]
    elif own.parent == cache():
        notes = [f"{label} is read from GGUF codes: the rounding of its numbers to a few bits is part of it."]
    config, tokenizer = _config_and_tokenizer(label, folder, words_at)
    if own != words_at:
        tokenizer = with_template(tokenizer, own)
    refusals = [why] if (why := no_language(label, config)) else []
    if is_quantised(label if own == folder else f"base of {label}", folder, config):
        refusals.append(
            f"{label} {QUANTISED}"
            if own == folder
            else f"The base of {label} is quantised: nothing can be added to its codes. Give the base's release in "
            "bfloat16 or float32 beside it, as base."
        )
    return config, tokenizer, refusals, notes


def _config_and_tokenizer(label, folder, words_at):
    """The config in a folder, and the tokenizer in it or in its adapter's. Raises LoadError."""
    try:
        check_files(folder)
        return read_config(folder), read_tokenizer(words_at)
    except Exception as error:
        raise LoadError(
            f"Model {label!r}: transformers cannot read its config or tokenizer: {reason(error, folder)}"
        ) from None


def _base_folder(label, folder, sources):
    """(the folder of the base that an adapter belongs to, a note that says so). Raises LoadError as loading would."""
    check_plain(label, folder)
    rank, given = adapter_config(label, folder).get("r"), label != "base" and sources.get("base")
    base = given or base_of(label, folder)
    name = "the model labelled base" if given else base
    note = f"{label} is a LoRA adapter of rank {rank}, a small correction: load_models adds it to {name}."
    return find_folder(f"base of {label}", base, weights=False), note


def _other_parts(label, tensors):
    """Notes on what no selection by kind reaches."""
    others = other_parts(tensors, sum(tensor.numel() for tensor in tensors.values()))
    return [f"{label}: {others}. A selection of attention or feed-forward leaves them as they are."] if others else []


def _compare(first, config1, tokenizer1, label, config2, tokenizer2):
    """(refusals, notes) on two models."""
    refusals = _differences(first, config1, label, config2)
    if config1.model_type != config2.model_type:
        return refusals, []
    bad, notes = _vocabularies(first, config1, tokenizer1, label, config2, tokenizer2)
    if tokenizer1.chat_template != tokenizer2.chat_template:
        notes.append(
            f"The chat templates of {first} and {label} differ: each learned its own marks for who is speaking. "
            f"The merge is saved with {first}'s; try it with both before you trust it."
        )
    return refusals + bad, notes + _settings(first, config1, label, config2)


def _differences(first, config1, label, config2):
    """Sentences on the settings in which two architectures differ."""
    return [
        f"{setting} is {one} in {first} and {other} in {label}: "
        f"{WHY.get(setting, 'the same numbers would take part in another computation. Merge copies of one base')}."
        for setting, (one, other) in architecture_differences(config1, config2).items()
    ]


def _settings(first, config1, label, config2):
    """Notes on all other settings in which two configurations differ."""
    return [
        f"{name} is {one} in {first} and {other} in {label}: a merge is computed with {first}'s, which {label} was not "
        "trained with."
        for name, (one, other) in other_settings(config1, config2).items()
    ]


def _vocabularies(first, config1, tokenizer1, label, config2, tokenizer2):
    """(refusals, notes) on two vocabularies."""
    rows1, rows2 = (config_setting(config, "vocab_size") for config in (config1, config2))
    if rows1 is None or rows2 is None:  # a model without words
        return [], []
    rows, words1, words2 = min(rows1, rows2), tokenizer1.get_vocab(), tokenizer2.get_vocab()
    row = disagreement(words1, words2, rows)
    if row is not None:
        word1, word2 = (tokenizer.decode([row]) for tokenizer in (tokenizer1, tokenizer2))
        return [
            f"The tokenizers of {first} and {label} number their tokens differently: row {row} of the embedding is for "
            f"{word1!r} in {first} and for {word2!r} in {label}, so averaging would mix unrelated tokens. "
            + (
                'They differ in added tokens only: load_models(..., align="union") gives each a row of its own.'
                if same_base_words(tokenizer1, tokenizer2)
                else "Merge models that share a tokenizer."
            )
        ], []
    spare, union = spare_rows(words1, words2, rows), 'load_models(..., align="union") keeps them'
    notes = [
        f"{', '.join(spare[:5])}: only one of {first} and {label} has these tokens, and where one is missing its row "
        f"is untrained; an average mixes both. {union}."
    ] * bool(spare)
    lost = sorted({word for words in (words1, words2) for word, i in words.items() if i >= rows})
    if rows1 != rows2:
        notes.append(
            f"The embeddings have {rows1} rows in {first} and {rows2} in {label}, with the same tokens "
            f"in the first {rows}: load_models cuts them to that"
            + (f", and the merge loses {', '.join(lost[:5])}. {union}" if lost else "")
            + ". Other programs want this done before they merge."
        )
    elif lost:
        notes.append(f"{', '.join(lost[:5])} have no row in the embeddings, and load_models takes them out.")
    return [], notes
