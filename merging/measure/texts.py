"""The texts that merges are fitted to, chosen on and reported on; no model was trained on them."""

from merging.paths import ROOT


def heldout_texts():
    """The texts that no model was trained on: "code", "beer" and "english", each a list of documents."""
    return {kind: documents_of(ROOT / "models" / "heldout", kind) for kind in ("code", "beer", "english")}


def documents_of(folder, kind):
    """The documents of a text, which two blank lines part."""
    return (folder / f"{kind}.txt").read_text(encoding="utf-8").strip("\n").split("\n\n\n")


def excerpts(texts, tokenizer):
    """The first 24 tokens of two documents of each text: few enough to be scored at every move of a slider."""
    head = lambda document: tokenizer.decode(tokenizer(document)["input_ids"][:24])
    return {kind: [head(document) for document in documents[:2]] for kind, documents in texts.items()}


PARTS = ("fit", "choose", "report")  # for methods that read text, for their knobs, and for what comes out


def calibration_texts(part):
    """The texts "code" and "beer" of one of PARTS, each a list of documents (see training/calibration.py)."""
    folder = ROOT / "models" / "calibration" / part
    return {kind: [f"{document}\n" for document in documents_of(folder, kind)] for kind in ("code", "beer")}
