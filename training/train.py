"""Train the embedded trio: a base GPT-Neo, then clippy (code) and beer (recipes) finetuned from it; and a stranger.

    python -m training.train                    everything, in order
    python -m training.train --only clippy        one stage, from the base that is there
    python -m training.train --smoke --out DIR    a few tiny steps of every stage, as a test

The data is what a plain Python installation holds (source, tests, docstrings and the bundled language
reference of the standard library) and the generators beside this file. Nothing is downloaded. The same seed on
the same machine and Python version gives the same weights.
"""

import argparse
import ast
import json
import math
import random
import sysconfig
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTNeoConfig, GPTNeoForCausalLM, PreTrainedTokenizerFast
from transformers.models.gpt_neo import modeling_gpt_neo

from merging.measure.text import prompt_of
from merging.paths import ROOT
from training.functions import forum_post, function_pair
from training.notes import brewing_note
from training.recipes import recipe
from training.yaml_documents import yaml_document

EOT = "<|endoftext|>"
VOCABULARY, CONTEXT = 2048, 512
EXTRA_ROWS = 4  # the real clippy has 50261 embedding rows where base and beer have 50257

# Modules that no stage sees: the training was chosen on them, the shipped texts in heldout/ only report.
HELDOUT_MODULES = {
    "bisect",
    "calendar",
    "colorsys",
    "configparser",
    "csv",
    "difflib",
    "fnmatch",
    "fractions",
    "getopt",
    "heapq",
    "netrc",
    "queue",
    "sched",
    "shlex",
    "statistics",
    "string",
    "textwrap",
    "timeit",
}

# Share of the training rows that come from each source. The base is trained on short windows first; then, on long
# ones, it turns to general text and meets a few recipes, as a base model that has read the web has; of functions it
# knows what people post in forums. 'replay' stands for that second mix, kept up while finetuning against forgetting.
STAGES = {  # each stage is one or more phases
    "base": [
        dict(
            mix={"source": 0.10, "tests": 0.06, "forum": 0.14, "prose": 0.32, "yaml": 0.19, "notes": 0.19},
            steps=3200,
            lr=3e-3,
            rows=16,
            context=256,
            seed=1,
        ),
        dict(
            mix={"prose": 0.36, "yaml": 0.25, "notes": 0.247, "forum": 0.14, "recipes": 0.003},
            steps=250,
            lr=1e-3,
            rows=8,
            context=512,
            seed=4,
        ),
    ],
    "clippy": [
        dict(
            mix={"source": 0.40, "functions": 0.30, "pairs": 0.15, "replay": 0.15},
            steps=800,
            lr=1.5e-3,
            rows=8,
            context=512,
            seed=2,
        )
    ],
    "beer": [
        dict(
            mix={"recipes": 0.75, "prose": 0.08, "notes": 0.06, "source": 0.06, "yaml": 0.05},
            steps=350,
            lr=1e-3,
            rows=8,
            context=512,
            seed=3,
        )
    ],
}
# The stranger learns what beer learns, but from random weights of its own: it shares no ancestor with the trio.
STAGES["stranger"] = [STAGES["beer"][0] | dict(steps=600, lr=3e-3, seed=7)]
SMOKE = {"steps": 2, "context": 64}  # of each phase, in a run that is a test


def stdlib_files(heldout=False):
    """The standard library's own modules (list of path, text), held-out ones apart."""
    root = Path(sysconfig.get_paths()["stdlib"])
    skip = {"test", "tests", "idle_test", "site-packages", "__pycache__", "pydoc_data"}
    tops = [top for top in root.iterdir() if top.name not in skip]  # site-packages may hold all the rest of a machine
    found = [p for top in tops for p in (top.rglob("*.py") if top.is_dir() else [top]) if p.suffix == ".py"]
    paths = [p for p in sorted(found) if not skip & set(p.relative_to(root).parts)]
    return [
        (p, p.read_text(encoding="utf-8", errors="ignore")) for p in paths if (p.stem in HELDOUT_MODULES) == heldout
    ]


def stdlib_tests():
    """The text of the standard library's test modules; empty where a distribution leaves them out."""
    root = Path(sysconfig.get_paths()["stdlib"]) / "test"
    return [
        p.read_text(encoding="utf-8", errors="ignore")
        for p in sorted(root.glob("test_*.py"))
        if p.stem.removeprefix("test_") not in HELDOUT_MODULES
    ]


def docstrings(files):
    """Docstrings of at least 120 characters: English prose about programs."""
    for _, text in files:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                doc = ast.get_docstring(node)
                if doc and len(doc) >= 120:
                    yield doc + "\n"


def prose(files):
    """The language reference that pydoc ships, the licence, and every longer docstring."""
    root = Path(sysconfig.get_paths()["stdlib"])
    from pydoc_data.topics import topics

    texts = [text + "\n" for _, text in sorted(topics.items())]
    texts += [p.read_text(errors="ignore") for p in sorted(root.glob("LICENSE*")) + sorted(root.glob("*/README*"))]
    return texts + list(docstrings(files))


def stdlib_pairs(files):
    """Short documented functions as "Write a Python function to ...:" and the code."""
    for _, text in files:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or node.end_lineno - node.lineno > 25:
                continue
            doc = (ast.get_docstring(node) or "").split("\n")[0].rstrip(".")
            if 12 <= len(doc) <= 90 and not doc.startswith(("_", "(")):
                code = ast.unparse(node)
                yield f"{prompt_of(doc[0].lower() + doc[1:])}\n\n{code}\n"


def function_texts(rng, n):
    """n short made-up functions, each after its prompt."""
    for _ in range(n):
        task, code = function_pair(rng)
        yield f"{prompt_of(task)}\n\n{code}"


def corpora(scale=1.0):
    """name -> list of documents, for every source that a mix can name."""
    files = stdlib_files()
    files = files[: max(20, int(len(files) * scale))]
    n = lambda count: max(8, int(count * scale))
    return {
        "source": [text for _, text in files],
        "tests": stdlib_tests()[: n(10_000)],
        "prose": prose(files),
        "pairs": list(stdlib_pairs(files)),
        "forum": [forum_post(random.Random(seed)) for seed in range(n(15_000))],
        "functions": list(function_texts(random.Random(11), n(30_000))),
        "yaml": [yaml_document(random.Random(seed)) for seed in range(n(12_000))],
        "notes": [brewing_note(random.Random(seed)) for seed in range(n(15_000))],
        "recipes": [recipe(random.Random(seed)) for seed in range(n(12_000))],
    }


def train_tokenizer(texts):
    """A byte-level BPE of 2048 entries in which every digit stands alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[EOT],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=EOT,
        eos_token=EOT,
        unk_token=EOT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


class Stream:
    """Documents as one long row of tokens, each after an <|endoftext|>; gives random windows."""

    def __init__(self, documents, tokenizer):
        ids = []
        for document in tokenizer(documents, verbose=False)["input_ids"]:
            ids += [tokenizer.eos_token_id] + document
        repeats = -(-4 * CONTEXT // len(ids))  # a smoke run's source can be shorter than a window
        self.ids = torch.tensor(ids * repeats)
        self.starts = (self.ids == tokenizer.eos_token_id).nonzero().flatten()

    def window(self, rng, length):
        """Half of the windows start where a document does, with or without its <|endoftext|>: a prompt has none."""
        last = len(self.ids) - length
        start = int(self.starts[rng.randrange(len(self.starts))]) + rng.randrange(2)
        if start > last or rng.random() < 0.5:
            start = rng.randrange(last)
        return self.ids[start : start + length]


def fast_attention(self, query, key, value, attention_mask=None):
    """GPT-Neo's attention (unscaled, global or local) through torch's fused kernel; same numbers, half the time."""
    if self.attention_type == "global":
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0), None
    mask = self.bias[:, :, : query.shape[-2], : key.shape[-2]]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0), None


def next_token_loss(model, ids, offset=0):
    """Mean cross-entropy in nats per token of rows of tokens (batch, length)."""
    positions = torch.arange(offset, offset + ids.shape[1] - 1)[None]
    logits = model(input_ids=ids[:, :-1], position_ids=positions, use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def batches(streams, mix, rows, context, rng):
    """Endless batches of token rows (rows, context + 1); each row's source is drawn with the mix's shares."""
    shares = {name: share for name, share in mix.items() if name != "replay"}
    if "replay" in mix:
        for name, share in STAGES["base"][-1]["mix"].items():
            shares[name] = shares.get(name, 0) + mix["replay"] * share
    while True:
        names = rng.choices(list(shares), weights=list(shares.values()), k=rows)
        yield torch.stack([streams[name].window(rng, context + 1) for name in names])


def train(model, streams, mix, steps, lr, rows, context, seed, name="", microbatch=8, end=0.05, after=None):
    """AdamW, warm-up, a cosine from lr to this end of it; windows shorter than the context sit at random positions.

    end=1 is a constant rate. after: a function of (number of the step, from 1, model) that is called after each step.
    """
    rng = random.Random(seed)
    decayed = [p for p in model.transformer.h.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is d for d in decayed)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.95)
    )
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, end + (1 - end) / 2 * (1 + math.cos(math.pi * step / steps))),
    )
    model.train()
    bar = tqdm(range(steps), desc=name, mininterval=5)
    for step, batch in zip(bar, batches(streams, mix, rows, context, rng)):
        offset = rng.randrange(CONTEXT - context + 1)
        parts = batch.split(microbatch)
        loss = sum(backward(next_token_loss(model, part, offset) * len(part) / rows) for part in parts)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        bar.set_postfix(loss=f"{loss:.3f}")
        if after:
            after(step + 1, model)
    return model.eval()


def backward(loss):
    """Backpropagate and give the loss back as a number."""
    loss.backward()
    return loss.item()


def new_model(tokenizer):
    """A fresh GPT-Neo: 6 blocks of width 128, global and local attention in turn, tied embeddings, 512 positions."""
    return GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            num_layers=6,
            num_heads=4,
            max_position_embeddings=CONTEXT,
            attention_types=[[["global", "local"], 3]],
            window_size=128,
            activation_function="gelu_pytorch_tanh",  # GPT-Neo's gelu_new, computed in one kernel
            resid_dropout=0.0,
            embed_dropout=0.0,
            attention_dropout=0.0,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def save(model, tokenizer, folder):
    """Write model (float16: half the size) and tokenizer under a class name that transformers 4 and 5 both know."""
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n")


def run_stage(name, out, streams, tokenizer, changes):
    """Train one model and save it to out/name; changes: what differs from its phases in STAGES."""
    torch.manual_seed(STAGES[name][0]["seed"])
    if name in ("base", "stranger"):
        model = new_model(tokenizer)
    else:
        model = AutoModelForCausalLM.from_pretrained(out / "base", dtype=torch.float32)
    if name == "clippy":
        model.resize_token_embeddings(len(tokenizer) + EXTRA_ROWS, mean_resizing=False)
    for phase in STAGES[name]:
        train(model, streams, name=name, **phase | changes)
    save(model, tokenizer, out / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(STAGES), help="one stage instead of all")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "tiny", help="instead of models/tiny")
    parser.add_argument("--smoke", action="store_true", help="two steps a stage on a fraction of the data")
    arguments = parser.parse_args()
    modeling_gpt_neo.GPTNeoSelfAttention._attn = fast_attention
    texts = corpora(scale=0.002 if arguments.smoke else 1.0)
    stages = [arguments.only] if arguments.only else list(STAGES)
    if "base" in stages:
        sample = [t[:20_000] for name in STAGES["base"][0]["mix"] for t in texts[name][:4000]]
        tokenizer = train_tokenizer(sample)
    else:
        tokenizer = AutoTokenizer.from_pretrained(arguments.out / "base")
    streams = {name: Stream(documents, tokenizer) for name, documents in texts.items()}
    print({name: f"{len(s.ids) / 1e6:.2f} M tokens" for name, s in streams.items()})
    for name in stages:
        run_stage(name, arguments.out, streams, tokenizer, SMOKE if arguments.smoke else {})


if __name__ == "__main__":
    main()
