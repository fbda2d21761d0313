"""The article's models through the real loading code, against a Hub on loopback with small stand-ins: see hub.py."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import fresh
import pytest
from hub import BASE, BEER, CLIPPY, DECOYS, WORDS, environment, serve

from merging.paths import ROOT

LABELS = ["base", "clippy", "beer"]
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
WAY_OUT = "MODEL_FAMILY=tiny"

LOAD = "import helpers; print(*helpers.load_models({family!r}))"
NO_SOCKETS = """
import socket
def refuse(self, address):
    print("asked", address)
    raise OSError("there is no network")
socket.socket.connect = socket.socket.connect_ex = refuse
"""
INSPECT = """
import json, helpers

def describe(loaded):
    model, tokenizer = loaded
    rows, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    text = "def grüße(name):\\n    print(name)"
    ids = tokenizer(text)["input_ids"]
    return dict(rows=len(rows), tied=rows.data_ptr() == head.data_ptr(), training=model.training,
                templates=sorted(tokenizer.chat_template or []),
                dtypes=sorted({str(p.dtype) for p in model.parameters()}), words=len(tokenizer), ids=len(ids),
                round_trip=tokenizer.decode(ids) == text, eos=tokenizer.eos_token_id,
                typical_p=[model.generation_config.typical_p, getattr(model.config, "typical_p", None)],
                sampled=len(helpers.generate_text(model, tokenizer, text, max_length=30, seed=32)) > len(text))

aligned = helpers.load_models("gpt-neo-125m")
clippy, beer = aligned["clippy"].model, aligned["beer"].model
merged = helpers.merge_models(clippy, beer, 0.5)
theta = [helpers.named_weights(model)["transformer.wte.weight"] for model in (clippy, beer, merged)]
as_on_disk = helpers.load_models("gpt-neo-125m", align=False)
print(json.dumps(dict(
    aligned={label: describe(loaded) for label, loaded in aligned.items()},
    rows={label: len(loaded.model.get_input_embeddings().weight) for label, loaded in as_on_disk.items()},
    merged_error=(theta[2] - (theta[0] + theta[1]) / 2).abs().max().item(),
    moved=(theta[0] - theta[1]).abs().max().item())))
"""
# Loads family after family; prints for each the traceback that a reader sees.
FAIL = """
import json, sys, traceback, helpers
for family in json.loads(sys.argv[1]):
    failed = None
    try:
        helpers.load_models(family)
    except Exception:
        failed = traceback.format_exc()
    print(json.dumps(failed))
"""
# Removes file after file from the cache (sys.argv: repository and paths, link and blob) and loads its model again.
MEND = """
import json, os, sys, helpers
for repo, *paths in json.loads(sys.argv[1]):
    for path in paths:
        os.unlink(path)
    helpers.load_models({"mine": repo})
"""
PREFLIGHT = """
import json, os, urllib.request, helpers
from merging.load.preflight import preflight
pair = dict(clippy={clippy!r}, beer={beer!r})
print(json.dumps(preflight(pair)._asdict()))
try:
    urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/mark")
except OSError:
    pass  # this Hub knows no such page; the request is what counts
print(*helpers.load_models(pair))
"""


def run(code, endpoint, home, *arguments, **more):
    """Run code in a fresh Python, where helpers and the Hub's client are imported for the first time."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment(endpoint, home, **more),
        capture_output=True,
        text=True,
        timeout=300,
    )


def check_loads(endpoint, home, family="gpt-neo-125m", before="", **more):
    done = run(before + LOAD.format(family=family), endpoint, home, **more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == (list(family) if isinstance(family, dict) else LABELS)


def failures(families, endpoint, home, **more):
    """The message of the LoadError that loading each family ends in, after checks that hold for every such failure."""
    done, messages = fresh.run_code(FAIL, [json.dumps(families)], environment(endpoint, home, **more)), []
    assert done.returncode == 0, done.stderr
    assert "Max retries" not in done.stderr and "Traceback" not in done.stderr
    for failed in map(json.loads, done.stdout.splitlines()):
        print(failed)  # pytest shows it when a test fails
        assert failed.count("Traceback") == 1
        assert "Max retries" not in failed and "During handling" not in failed
        kind, _, message = failed.strip().splitlines()[-1].partition(": ")
        assert kind == "merging.errors.LoadError"
        assert len(re.findall(r"[.?!]( |$)", message)) <= 3
        messages.append(message)
    assert len(messages) == len(families)
    return messages


def failure(endpoint, home, **options):
    return failures(["gpt-neo-125m"], endpoint, home, **options)[0]


def cached_file(home, repo, name):
    """The path of a file in the cache, which must hold exactly one version of it."""
    [path] = Path(home, "hub", "models--" + repo.replace("/", "--"), "snapshots").glob(f"*/{name}")
    return path


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def about_models(requests):
    """The requests less the client's own: it asks once a day which programs may be driving it."""
    return [request for request in requests if "/api/agent-harnesses" not in request]


def weights_asked(requests):
    return [
        request for request in requests if request.startswith("GET") and re.search(r"\.(bin|safetensors)\b", request)
    ]


@pytest.fixture(scope="session")
def first_load(checkpoints, tmp_path_factory):
    """What a load into an empty cache printed, asked for and left behind; its Hub is gone afterwards."""
    home = tmp_path_factory.mktemp("first")
    with serve(checkpoints) as (endpoint, requests):
        done = run(INSPECT, endpoint, home)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(
        home=home,
        endpoint=endpoint,
        requests=requests,
        printed=done.stdout + done.stderr,
        seen=json.loads(done.stdout.splitlines()[-1]),
    )


def test_three_models_in_the_promised_state(first_load):
    assert list(first_load.seen["aligned"]) == LABELS
    for seen in first_load.seen["aligned"].values():
        assert seen["rows"] == seen["words"] == WORDS and seen["tied"]
        assert seen["dtypes"] == ["torch.float32"] and not seen["training"]
        assert seen["eos"] == WORDS - 1 and seen["round_trip"] and seen["ids"] < 20 and seen["sampled"]


def test_beers_other_templates_come_along(first_load):
    assert [seen["templates"] for seen in first_load.seen["aligned"].values()] == [[], [], ["default", "tool_use"]]


def test_beers_typical_p_is_forgotten(first_load):
    assert json.loads(cached_file(first_load.home, BEER, "config.json").read_text())["typical_p"] == 0.9
    settings = [seen["typical_p"] for seen in first_load.seen["aligned"].values()]
    assert settings[0] == settings[1] == settings[2]
    assert 0.9 not in settings[2]


def test_clippy_keeps_its_extra_rows_unless_aligned(first_load):
    assert first_load.seen["rows"] == {"base": WORDS, "clippy": WORDS + 4, "beer": WORDS}


def test_clippy_and_beer_merge(first_load):
    assert first_load.seen["merged_error"] < 1e-6 < first_load.seen["moved"]


def test_only_the_needed_files_are_asked_for(first_load):
    asked = {path for request in first_load.requests if "/resolve/" in (path := request.split()[1])}
    assert {path.rsplit("/", 1)[1] for path in asked} == {
        "config.json",
        "vocab.json",
        "merges.txt",
        "tokenizer.json",
        "model.safetensors",
        "pytorch_model.bin",
        "chat_template.jinja",
        "tool_use.jinja",
    }
    for repo, decoys in DECOYS.items():
        assert not [
            path for path in asked for decoy in decoys if repo.lower() in path.lower() and path.endswith("/" + decoy)
        ]


def test_nobody_asks_for_a_conversion(first_load):
    known = r"(/api/models/[^/]+/[^/]+(/revision/\w+|/tree/\w+)?|/[^/]+/[^/]+/resolve/.+)"
    assert all(re.fullmatch(known, request.split()[1]) for request in about_models(first_load.requests))


def test_each_file_is_fetched_once(first_load):
    fetched = [request for request in first_load.requests if request.startswith("GET") and "/resolve/" in request]
    canonical = [request for request in fetched if BASE not in request]  # without those that were redirected
    assert len(canonical) == len(set(canonical)) > 9


def test_loading_is_quiet(first_load):
    assert "LOAD REPORT" not in first_load.printed
    assert "warning" not in first_load.printed.lower()
    assert "UNEXPECTED" not in first_load.printed


@pytest.mark.long
def test_second_load_asks_nothing(first_load):
    check_loads(first_load.endpoint, first_load.home, before=NO_SOCKETS)


def test_second_load_offline(first_load):
    check_loads(first_load.endpoint, first_load.home, before=NO_SOCKETS, HF_HUB_OFFLINE="1")


@pytest.mark.long
def test_preflight_reads_no_weights_and_loading_completes_what_it_left_out(checkpoints, tmp_path):
    with serve(checkpoints) as (endpoint, requests):
        done = fresh.run_code(PREFLIGHT.format(clippy=CLIPPY, beer=BEER), [], environment(endpoint, tmp_path))
    assert done.returncode == 0, done.stderr
    *_, card, loaded = done.stdout.splitlines()
    assert loaded.split() == ["clippy", "beer"]
    mark = requests.index("GET /mark")
    assert about_models(requests[:mark]) and weights_asked(requests[:mark]) == []
    assert len(weights_asked(requests[mark:])) == 2
    assert json.loads(card)["refusals"] == []
    assert "50261 rows in clippy and 50257 in beer" in json.loads(card)["notes"][0]


def test_refused_connection(tmp_path):
    message = failure(NOWHERE, tmp_path)
    assert BASE in message and "cannot be reached" in message and WAY_OUT in message


@pytest.mark.long
def test_silent_server(checkpoints, tmp_path):
    with serve(checkpoints, silent=True) as (endpoint, requests):
        message = failure(endpoint, tmp_path)
    assert len(about_models(requests)) == 1
    assert BASE in message and "cannot be reached" in message and WAY_OUT in message


@pytest.mark.long
def test_offline_with_an_empty_cache(tmp_path):
    message = failure(NOWHERE, tmp_path, HF_HUB_OFFLINE="1")
    assert BASE in message and "HF_HUB_OFFLINE" in message and WAY_OUT in message


WRONG = {  # source of a model, or a family's name -> what the message says
    "no-such-model": ["'mine'", "no-such-model", "spelling"],
    "nobody/no-such-model": ["'mine'", "nobody/no-such-model", "spelling"],
    "./no/such/folder": ["'mine'", "there is no folder ./no/such/folder"],
    BEER: ["'mine'", BEER, "ask for your consent", "hf auth login"],
    "gpt-neo-9b": ["gpt-neo-9b", "tiny", "gpt-neo-125m"],
}


@pytest.fixture(scope="module")
def wrong(checkpoints, tmp_path_factory):
    """(source -> message, requests) of a Hub that is gated: it lists the files and gives none to strangers."""
    with serve(checkpoints, gated=True) as (endpoint, requests):
        families = [{"mine": source} if source != "gpt-neo-9b" else source for source in WRONG]
        messages = failures(families, endpoint, tmp_path_factory.mktemp("wrong"))
    return dict(zip(WRONG, messages)), requests


@pytest.mark.parametrize("source", WRONG)
def test_a_wrong_name_says_what_is_wrong_and_a_gated_model_how_to_get_in(wrong, source):
    messages, _ = wrong
    assert all(word in messages[source] for word in WRONG[source])


def test_an_unknown_model_is_asked_for_once_and_a_wrong_family_or_folder_never(wrong):
    _, requests = wrong
    asked = [request for request in about_models(requests) if BEER not in request]
    assert asked == ["GET /api/models/no-such-model", "GET /api/models/nobody/no-such-model"]


@pytest.mark.long
def test_connection_cut_once_is_resumed(checkpoints, tmp_path):
    with serve(checkpoints, cut="once") as (endpoint, requests):
        check_loads(endpoint, tmp_path)
    first, second = [request for request in weights_asked(requests) if BEER in request]
    assert "bytes=" not in first and "bytes=" in second
    assert sha(cached_file(tmp_path, BEER, "pytorch_model.bin")) == sha(checkpoints / BEER / "pytorch_model.bin")


@pytest.mark.long
def test_connection_always_cut_loses_nothing_that_was_complete(checkpoints, tmp_path):
    with serve(checkpoints, cut="always") as (endpoint, _):
        message = failure(endpoint, tmp_path)
    assert BEER in message and "broke off" in message and WAY_OUT in message
    with serve(checkpoints) as (endpoint, requests):
        check_loads(endpoint, tmp_path)
    assert len(weights_asked(requests)) == 1 and BEER in weights_asked(requests)[0]


@pytest.mark.long
def test_a_cache_that_lacks_a_file_is_completed_with_this_file(checkpoints, first_load, tmp_path):
    files = [(BASE, "model.safetensors"), (CLIPPY, "pytorch_model.bin"), (BEER, "config.json"), (BEER, "merges.txt")]
    home = shutil.copytree(first_load.home, tmp_path / "cache", symlinks=True)
    paths = [cached_file(home, *file) for file in files]
    whole = [sha(path) for path in paths]
    jobs = [[repo, str(path), str(path.resolve())] for (repo, _), path in zip(files, paths)]
    with serve(checkpoints) as (endpoint, requests):
        done = fresh.run_code(MEND, [json.dumps(jobs)], environment(endpoint, home))
    assert done.returncode == 0, done.stderr
    asked = [request.split()[1] for request in requests if "/resolve/" in request]
    assert list(dict.fromkeys(path.rsplit("/", 1)[1] for path in asked)) == [name for _, name in files]
    assert [sha(cached_file(home, *file)) for file in files] == whole
