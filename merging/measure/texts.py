"""The texts that merges are fitted to, chosen on and reported on; no model was trained on them."""

from merging.paths import ROOT


def heldout_texts():
    """The texts that no model was trained on: "code", "beer" and "english", each a list of documents."""
    folder = ROOT / "models" / "heldout"
    return {
        path.stem: path.read_text(encoding="utf-8").strip("\n").split("\n\n\n")
        for path in (folder / "code.txt", folder / "beer.txt", folder / "english.txt")
    }


def excerpts(texts, tokenizer, tokens=48):
    """The first tokens of two documents of each text: short enough to be scored at every move of a slider."""
    head = lambda document: tokenizer.decode(tokenizer(document)["input_ids"][: tokens // 2])
    return {kind: [head(document) for document in documents[:2]] for kind, documents in texts.items()}


PARTS = ("fit", "choose", "report")  # for methods that read text, for their knobs, and for what comes out


def calibration_texts(part):
    """The texts "code" and "beer" of one of PARTS, each a list of documents (see training/calibration.py)."""
    folder = ROOT / "models" / "calibration" / part
    read = lambda kind: (folder / f"{kind}.txt").read_text(encoding="utf-8").strip("\n").split("\n\n\n")
    return {kind: [document + "\n" for document in read(kind)] for kind in ("code", "beer")}
