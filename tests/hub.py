"""A Hugging Face Hub on loopback, and small random stand-ins for the article's three models in their real file formats.

With HF_ENDPOINT set to the address that `serve` gives and HF_HOME to an empty folder, both before the import, the
real loading code runs unchanged: listing, download, cache, tokenizer, weights.
"""

import hashlib
import json
import os
import re
import socket
import sysconfig
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Tokenizer, GPTNeoConfig, GPTNeoForCausalLM

BASE = "EleutherAI/gpt-neo-125M"
CLIPPY = "flax-community/gpt-neo-125M-code-clippy-dedup-2048"
BEER = "b3ck1/gpt-neo-125M-finetuned-beer-recipes"
MOVED = {BASE: "EleutherAI/gpt-neo-125m"}  # the Hub redirects to the canonical name

EOT, WORDS = "<|endoftext|>", 50257
CONFIG = dict(
    vocab_size=WORDS,
    hidden_size=32,
    num_layers=4,
    num_heads=4,
    max_position_embeddings=2048,
    attention_types=[[["global", "local"], 2]],
    window_size=256,
    bos_token_id=50256,
    eos_token_id=50256,
    architectures=["GPTNeoForCausalLM"],
)
CUT_ABOVE = 12_000_000  # the client writes pieces of 10 MB: of a smaller file there would be nothing to resume
# What the real repositories also hold, and nobody should download.
DECOYS = {
    BASE: ("flax_model.msgpack", "rust_model.ot", "pytorch_model.bin"),
    CLIPPY: ("flax_model.msgpack", "rust_model.ot"),
    BEER: ("rust_model.ot", "checkpoint-500/config.json"),
}


def write_checkpoints(folder):
    """Write the three repositories as folder/owner/name: the files that are loaded, and decoys."""
    folders = {repo: Path(folder, MOVED.get(repo, repo)) for repo in (BASE, CLIPPY, BEER)}
    vocabulary, merges = gpt2_vocabulary()
    base = _random_model(seed=0)
    for repo, path in folders.items():
        path.mkdir(parents=True)
        (path / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
        for decoy in DECOYS[repo]:
            (path / decoy).parent.mkdir(exist_ok=True)
            (path / decoy).write_text("not what was asked for")
    base.save_pretrained(folders[BASE])
    GPT2Tokenizer.from_pretrained(folders[CLIPPY]).backend_tokenizer.save(str(folders[CLIPPY] / "tokenizer.json"))
    # Of the old versions that wrote these files, clippy's kept a mask in global layers only, beer's in all.
    _write_bin(folders[CLIPPY], _finetuned(base, seed=1, rows=WORDS + 4), masked_layers=(0, 2))
    _write_bin(folders[BEER], _finetuned(base, seed=2, rows=WORDS), masked_layers=(0, 1, 2, 3), typical_p=0.9)
    (folders[BEER] / "additional_chat_templates").mkdir()
    for name in ("chat_template.jinja", "additional_chat_templates/tool_use.jinja"):
        (folders[BEER] / name).write_text(f"{{{{ messages }}}} of {name}")
    for path in folders.values():
        (path / "generation_config.json").unlink(missing_ok=True)  # newer than all three


def gpt2_vocabulary():
    """(word -> number, merges) of GPT-2's size and order: 256 bytes, 50000 merges, <|endoftext|>.

    The first merges are trained on the standard library; the others join two words, which GPT-2's splitting never
    lets happen, so that they fill the vocabulary and change no encoding.
    """
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in sorted(stdlib.glob("*.py"))[:60]]
    words, merges = dict.fromkeys(sorted(pre_tokenizers.ByteLevel.alphabet())), []
    trained = _trained_merges(texts, 3000)
    whole = [word for word in map("".join, trained) if re.fullmatch("Ġ[A-Za-z]{2,}", word)]
    for pair in trained + [(first, second) for first in whole for second in whole]:
        if "".join(pair) not in words and len(words) < WORDS - 1:
            words["".join(pair)] = None
            merges.append(" ".join(pair))
    return {word: i for i, word in enumerate([*words, EOT])}, merges


def _trained_merges(texts, n):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=256 + n, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


@torch.no_grad()
def _random_model(seed, rows=WORDS):
    """Random weights, but <|endoftext|> has a logit of about 2 everywhere: sampled texts end after a dozen tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPTNeoForCausalLM(GPTNeoConfig(**CONFIG | {"vocab_size": rows})).eval()
    model.transformer.ln_f.bias.fill_(0.5)
    model.transformer.wte.weight[WORDS - 1] = 0.125
    return model


@torch.no_grad()
def _finetuned(base, seed, rows):
    """The base plus a tenth of another random model; rows beyond the base's are random."""
    model, theta = _random_model(seed, rows), dict(base.named_parameters())
    for name, tau in model.named_parameters():
        shared = theta[name]
        tau.mul_(0.1)[: len(shared)].add_(shared)
    return model


def _write_bin(folder, model, masked_layers, **more_config):
    """The model as transformers of 2021 wrote it: a pickled state dict with the constants of its attention."""
    state, masks = dict(model.state_dict()), {}
    for i in masked_layers:
        mask = model.transformer.h[i].attn.attention.bias
        state[f"transformer.h.{i}.attn.attention.bias"] = masks.setdefault(i % 2, mask)  # shared, to keep files small
        state[f"transformer.h.{i}.attn.attention.masked_bias"] = torch.tensor(-1e9)
    torch.save(state, folder / "pytorch_model.bin")
    config = model.config.to_diff_dict() | {"vocab_size": len(state["lm_head.weight"])} | more_config
    (folder / "config.json").write_text(json.dumps(config, indent=2))


def environment(endpoint, home, **more):
    """The caller's environment without a trace of settings for the Hub, and then the ones given."""
    ours = re.compile(r"HF_|HUGGING_?FACE|TRANSFORMERS_|DISABLE_|MODEL_FAMILY|PYTHONPATH|\w+_proxy$", re.IGNORECASE)
    kept = {key: value for key, value in os.environ.items() if not ours.match(key)}
    return kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"} | more


@contextmanager
def serve(folder, silent=False, cut=None, gated=False):
    """Serve folder/owner/name as a Hub; gives (endpoint, list of the requests so far as "METHOD path range").

    silent: take requests and never answer. cut: None, "once" (the first file above CUT_ABOVE bytes, which is
    beer's weights, breaks off near its end; later requests are answered in full) or "always" (such a file breaks
    off there each time, so that its end never comes). gated: list the files, and give none to strangers.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.silent, server.cut, server.gated = Path(folder), silent, cut, gated
    server.requests, server.closing = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.requests
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name = r"/([\w.-]+(?:/[\w.-]+)?)"
    info_path = re.compile(rf"/api/models{name}(?:/revision/\w+)?")
    tree_path = re.compile(rf"/api/models{name}/tree/\w+")
    file_path = re.compile(rf"{name}/resolve/\w+/(.+)")

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if self.server.silent:
            self.server.closing.wait()
            self.close_connection = True
            return
        for pattern, answer in ((self.tree_path, self.tree), (self.info_path, self.info), (self.file_path, self.file)):
            if match := pattern.fullmatch(path):
                return self.answer_for_repo(answer, *match.groups())
        self.send(404)

    do_HEAD = do_GET

    def answer_for_repo(self, answer, repo, *rest):
        if repo in MOVED:
            return self.send(307, Location=self.path.replace(repo, MOVED[repo], 1))
        folder = self.server.folder / repo
        if not folder.is_dir():
            return self.send(401, **{"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        answer(repo, folder, *rest)

    def info(self, repo, folder):
        siblings = [{"rfilename": name} for name in _files(folder)]
        self.send_json(
            {
                "_id": "0",
                "id": repo,
                "modelId": repo,
                "sha": _commit(repo),
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
            }
        )

    def tree(self, repo, folder):
        self.send_json(
            [
                {"type": "file", "path": name, "oid": _sha(path), "size": path.stat().st_size}
                for name, path in _files(folder).items()
            ]
        )

    def file(self, repo, folder, name):
        path = _files(folder).get(name)
        headers = {"X-Repo-Commit": _commit(repo)}
        if self.server.gated:
            return self.send(
                403, **headers, **{"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted"}
            )
        if path is None:
            return self.send(404, **headers, **{"X-Error-Code": "EntryNotFound"})
        data, start = path.read_bytes(), 0
        headers |= {"ETag": f'"{_sha(path)}"', "Accept-Ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send(206 if asked else 200, data[start:], self.bytes_until_cut(data, start), **headers)

    def bytes_until_cut(self, data, start):
        """How many bytes of a file go out before the connection breaks; None: all."""
        if not self.server.cut or self.command == "HEAD" or len(data) < CUT_ABOVE:
            return None
        if self.server.cut == "once":
            self.server.cut = None
        return max(0, int(0.9 * len(data)) - start)

    def send_json(self, data):
        self.send(200, json.dumps(data).encode(), **{"Content-Type": "application/json"})

    def send(self, status, body=b"", cut_at=None, **headers):
        self.send_response(status)
        for key, value in (headers | {"Content-Length": len(body)}).items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut_at])
        if cut_at is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        """Keep quiet: the list of requests is the log."""


def _files(folder):
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _commit(repo):
    return hashlib.sha1(repo.encode()).hexdigest()
