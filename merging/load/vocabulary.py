"""Models with other vocabularies side by side: cut to the rows that all have, or given the rows of all.

What is lost is said in one sentence, and afterwards every number of a token in a model's config, in its generation
settings and in its tokenizer is the number of a row.
"""

import copy
import json

from tokenizers import Tokenizer

from merging.errors import LoadError, MergeError


def align_vocabularies(loaded, how=True):
    """Models (label -> LoadedModel) whose embeddings have the same rows for the same tokens.

    how: True cuts every embedding to the rows that all have; "union" gives each the tokens of all, and takes the rows
    of those that a model lacks from the first model that has them. Raises MergeError for tokenizers that disagree.
    """
    first = next(iter(loaded))
    for label in loaded:
        refuse_clash(first, loaded[first].tokenizer, label, loaded[label].tokenizer, how == "union", rows_of(loaded))
    return union(loaded) if how == "union" else cut(loaded)


def rows_of(loaded):
    """label -> the number of rows in a model's embedding."""
    return {label: model.get_input_embeddings().num_embeddings for label, (model, _) in loaded.items()}


def disagreement(vocabulary1, vocabulary2, rows):
    """The first of the rows, in which two vocabularies (word -> number) contradict each other, or None.

    They do where a row is for two different words, or a word has two different rows; a row that only one of them uses
    is spare in the other.
    """
    words1, words2 = ({i: word for word, i in words.items()} for words in (vocabulary1, vocabulary2))
    bad = {i for i in words1.keys() & words2 if words1[i] != words2[i]}
    bad |= {min(i, vocabulary2[word]) for word, i in vocabulary1.items() if vocabulary2.get(word, i) != i}
    return min((i for i in bad if i < rows), default=None)


def spare_rows(vocabulary1, vocabulary2, rows):
    """Words whose row, one of the first `rows`, is spare in the other vocabulary."""
    ids1, ids2 = set(vocabulary1.values()), set(vocabulary2.values())
    only = [(i, word) for words, ids in ((vocabulary1, ids2), (vocabulary2, ids1)) for word, i in words.items()
            if i < rows and i not in ids]  # fmt: skip
    return [word for _, word in sorted(only)]


def same_base_words(tokenizer1, tokenizer2):
    """True if two vocabularies differ in added tokens only."""
    added = {*tokenizer1.get_added_vocab(), *tokenizer2.get_added_vocab()}
    one, other = (
        {word: i for word, i in tokenizer.get_vocab().items() if word not in added}
        for tokenizer in (tokenizer1, tokenizer2)
    )
    return one == other


def refuse_clash(first, tokenizer1, label, tokenizer2, union, rows):
    """Raise MergeError if two tokenizers contradict each other; where added tokens alone do, a union mends it."""
    row = disagreement(tokenizer1.get_vocab(), tokenizer2.get_vocab(), min(rows.values()))
    mends = same_base_words(tokenizer1, tokenizer2)
    if mends if union else row is None:
        return
    raise MergeError(
        f"The tokenizers of {first!r} and {label!r} give the same tokens different numbers"
        + (f" (see row {row})" if row is not None else "")
        + ": row for row, averaging would mix unrelated tokens. "
        + (
            'They differ in added tokens only: load_models(..., align="union") gives each of them a row of its own.'
            if mends
            else "Merge models that share a tokenizer."
        )
    )


def cut(loaded):
    """Cut every embedding to the rows that all models have, and every tokenizer to the words with a row."""
    rows, aligned = rows_of(loaded), {}
    common, smallest = min(rows.values()), min(rows, key=rows.get)
    spare = sorted({w for item in loaded.values() for w in spare_rows(
        next(iter(loaded.values())).tokenizer.get_vocab(), item.tokenizer.get_vocab(), common)})  # fmt: skip
    if spare:
        print(
            f"{', '.join(spare[:5])}: not all tokenizers have these tokens, and in the models without them their rows "
            'are untrained; an average mixes both. load_models(..., align="union") takes them from a model that has '
            "them."
        )
    for label, (model, tokenizer) in loaded.items():
        if rows[label] != common:
            model.resize_token_embeddings(common)
        lost = [word for word, i in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]) if i >= common]
        if lost:
            tokenizer = fit_tokenizer(tokenizer, common, loaded[smallest].tokenizer)
            print(
                f"{label}: {', '.join(lost[:5])}{f' and {len(lost) - 5} more' if len(lost) > 5 else ''} have no row "
                f"among the {common} that all models have, and are lost"
                + ('. load_models(..., align="union") keeps them.' if max(rows.values()) > common else ".")
            )
        for settings in settings_of(model):
            fit_ids(settings, common)
        aligned[label] = type(loaded[label])(model, tokenizer)
    return aligned


def fit_tokenizer(tokenizer, rows, other):
    """A copy of a tokenizer without the words that have no row; if they cannot be taken out, of the other tokenizer."""
    fitted = copy.deepcopy(tokenizer)
    if hasattr(fitted, "backend_tokenizer"):
        parts = json.loads(fitted.backend_tokenizer.to_str())
        parts["added_tokens"] = [token for token in parts["added_tokens"] if token["id"] < rows]
        fitted._tokenizer = Tokenizer.from_str(json.dumps(parts))  # transformers has no public way to remove a word
    if max(fitted.get_vocab().values()) >= rows:
        fitted = copy.deepcopy(other)
        fitted.chat_template = tokenizer.chat_template
    words = fitted.get_vocab()
    for name, token in list(fitted.special_tokens_map.items()):
        if isinstance(token, str) and words.get(token, rows) >= rows:
            setattr(fitted, name, None)
    return fitted


def id_settings(settings):
    """name -> value of what in a config or in generation settings is a number of a token, or a list of such numbers."""
    ends = ("_token_id", "_token_ids", "_token_index", "suppress_tokens")
    found = {name: value for name, value in vars(settings).items() if name.endswith(ends)}
    whole = lambda value: isinstance(value, list) and all(type(i) is int for i in value)
    return {name: value for name, value in found.items() if type(value) is int or whole(value)}


def settings_of(model):
    """The config of a model, of its part for text, and its generation settings, each once."""
    parts = [model.config, model.config.get_text_config(), getattr(model, "generation_config", None)]
    return list({id(part): part for part in parts if part is not None}.values())


def renumber(settings, number):
    """Change the numbers of tokens in place; number: old number -> new one, or None for a token that is lost."""
    for name, value in id_settings(settings).items():
        if isinstance(value, int):
            setattr(settings, name, number(value))
        else:
            kept = [number(i) for i in value if number(i) is not None]
            setattr(settings, name, (kept if len(kept) > 1 or len(kept) == len(value) else kept[0]) if kept else None)


def fit_ids(settings, rows):
    """Take the numbers of tokens without a row out of a config or of generation settings, in place."""
    renumber(settings, lambda i: i if i < rows else None)


def union(loaded):
    """Give every model the tokens of all: the first model's numbers stay, what the others add comes behind them."""
    first, vocabularies = next(iter(loaded)), {label: item.tokenizer.get_vocab() for label, item in loaded.items()}
    joint = joint_tokenizer(loaded)
    words = joint.get_vocab()
    rows = max(max(words.values()) + 1, rows_of(loaded)[first])
    tables = {label: [table.clone() for table in tables_of(model)] for label, (model, _) in loaded.items()}
    if len({len(each) for each in tables.values()}) > 1:
        raise MergeError("Some of these models have an output layer of their own, and others do not: no union of rows.")
    has_row = lambda label, word: vocabularies[label].get(word, len(tables[label][0])) < len(tables[label][0])
    for label, (model, tokenizer) in loaded.items():
        owner = {word: next((o for o in (label, *loaded) if has_row(o, word)), label) for word in words}
        model.resize_token_embeddings(rows, mean_resizing=False)
        for k, table in enumerate(tables_of(model)):
            moved = {
                i: tables[owner[w]][k][vocabularies[owner[w]][w]] for w, i in words.items() if has_row(owner[w], w)
            }
            fill(table, tables[label][k], moved)
        numbers = {i: words[word] for word, i in vocabularies[label].items()}
        for settings in settings_of(model):
            renumber(settings, numbers.get)
        taken = [word for word in words if owner[word] != label]
        if taken:
            print(f"{label}: the rows of {', '.join(taken[:5])} are those of {owner[taken[0]]}, which has them.")
        loaded = loaded | {label: type(loaded[label])(model, dressed(joint, tokenizer))}
    return loaded


def joint_tokenizer(loaded):
    """The first tokenizer with the added tokens of all others."""
    first, *others = (tokenizer for _, tokenizer in loaded.values())
    joint = copy.deepcopy(first)
    for tokenizer in others:
        known = joint.get_vocab()
        joint.add_tokens([t for _, t in sorted(tokenizer.added_tokens_decoder.items()) if t.content not in known])
    words = joint.get_vocab()
    if len(set(words.values())) != len(words) or any(t.get_vocab().keys() - words.keys() for _, t in loaded.values()):
        raise MergeError("The tokenizers' added tokens cannot be joined. Merge models that share a tokenizer.")
    return joint


def dressed(joint, tokenizer):
    """A copy of the joint tokenizer with the chat template and the special tokens of a model's own."""
    mine = copy.deepcopy(joint)
    mine.chat_template = tokenizer.chat_template
    for name, token in tokenizer.special_tokens_map.items():
        setattr(mine, name, token)
    return mine


def tables_of(model):
    """What has a row for each token: the embedding, and the output layer's weight and bias if they differ."""
    head, table = model.get_output_embeddings(), model.get_input_embeddings().weight.detach()
    tables = [table]
    if head is not None and head.weight.data_ptr() != table.data_ptr():
        tables.append(head.weight.detach())
    if head is not None and getattr(head, "bias", None) is not None:
        tables.append(head.bias.detach())
    return tables


def fill(table, old, moved):
    """Write rows into a table: its old ones, their mean behind them, and then moved, row -> its numbers."""
    common = min(len(table), len(old))
    table[:common], table[common:] = old[:common], old.mean(0)
    for i, row in moved.items():
        table[i] = row


def check_align(how):
    """Raise LoadError unless align is True, False or "union"."""
    if how not in (True, False, "union"):
        raise LoadError(f'align is True (cut to common rows), "union" (the rows of all) or False, not {how!r}.')
