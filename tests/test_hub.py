"""The article's models through the real loading code, against a Hub on loopback with small stand-ins: see hub.py."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from browser import copy_series
from hub import BASE, BEER, CLIPPY, DECOYS, WORDS, serve, write_checkpoints
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
LABELS = ["base", "clippy", "beer"]
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
WAY_OUT = "MODEL_FAMILY=tiny"

LOAD = "import helpers; print(*helpers.load_models({family!r}))"
INSPECT = """
import json, helpers

def describe(loaded):
    model, tokenizer = loaded
    rows, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    text = "def grüße(name):\\n    print(name)"
    ids = tokenizer(text)["input_ids"]
    return dict(rows=len(rows), tied=rows.data_ptr() == head.data_ptr(), training=model.training,
                dtypes=sorted({str(p.dtype) for p in model.parameters()}), words=len(tokenizer), ids=len(ids),
                round_trip=tokenizer.decode(ids) == text, eos=tokenizer.eos_token_id,
                typical_p=[model.generation_config.typical_p, getattr(model.config, "typical_p", None)],
                sampled=len(helpers.generate_text(model, tokenizer, text, max_length=30, seed=32)) > len(text))

aligned = helpers.load_models("gpt-neo-125m")
merged = helpers.merge_models(aligned["clippy"].model, aligned["beer"].model, 0.5)
theta = [helpers.merge_tensors(m)["transformer.wte.weight"] for m in (aligned["clippy"].model, aligned["beer"].model, merged)]
as_on_disk = helpers.load_models("gpt-neo-125m", align=False)
print(json.dumps(dict(
    aligned={label: describe(loaded) for label, loaded in aligned.items()},
    rows={label: len(loaded.model.get_input_embeddings().weight) for label, loaded in as_on_disk.items()},
    merged_error=(theta[2] - (theta[0] + theta[1]) / 2).abs().max().item(),
    moved=(theta[0] - theta[1]).abs().max().item())))
"""
# Prints how long the call took, imports apart, and lets the exception through as a reader would see it.
FAIL = """
import time, helpers
start = time.monotonic()
try:
    helpers.load_models({family!r})
finally:
    print(time.monotonic() - start)
"""


def environment(endpoint, home, **more):
    """The caller's environment without a trace of settings for the Hub, and then the ones given."""
    ours = re.compile(r"HF_|HUGGING_?FACE|TRANSFORMERS_|DISABLE_|MODEL_FAMILY|PYTHONPATH|\w+_proxy$", re.IGNORECASE)
    kept = {key: value for key, value in os.environ.items() if not ours.match(key)}
    return kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"} | more


def run(code, endpoint, home, **more):
    """Run code in a fresh Python, where helpers and the Hub's client are imported for the first time."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(endpoint, home, **more),
        capture_output=True,
        text=True,
        timeout=300,
    )


def check_loads(endpoint, home, family="gpt-neo-125m", **more):
    done = run(LOAD.format(family=family), endpoint, home, **more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == (list(family) if isinstance(family, dict) else LABELS)


def failure(family, endpoint, home, within=10, **more):
    """The message of the LoadError that loading a family ends in, after checks that hold for every such failure."""
    done = run(FAIL.format(family=family), endpoint, home, **more)
    assert done.returncode == 1, done.stdout
    print(done.stderr)  # pytest shows it when a test fails
    assert float(done.stdout) < within  # seconds: nobody waits for a stack of retries
    assert done.stderr.count("Traceback") == 1
    assert "Max retries" not in done.stderr and "During handling" not in done.stderr
    kind, _, message = done.stderr.strip().splitlines()[-1].partition(": ")
    assert kind == "helpers.LoadError"
    assert len(re.findall(r"[.?!]( |$)", message)) <= 3
    return message


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
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoints(folder)
    return folder


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


@pytest.fixture
def cache(first_load, tmp_path):
    """A full cache of one's own."""
    return shutil.copytree(first_load.home, tmp_path / "cache", symlinks=True)


# --- loading ----------------------------------------------------------------------------------------------------


def test_three_models_in_the_promised_state(first_load):
    assert list(first_load.seen["aligned"]) == LABELS
    for seen in first_load.seen["aligned"].values():
        assert seen["rows"] == seen["words"] == WORDS and seen["tied"]
        assert seen["dtypes"] == ["torch.float32"] and not seen["training"]
        assert seen["eos"] == WORDS - 1 and seen["round_trip"] and seen["ids"] < 20 and seen["sampled"]


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


def test_second_load_needs_no_hub(first_load):
    check_loads(first_load.endpoint, first_load.home)


def test_second_load_asks_nothing(checkpoints, first_load):
    with serve(checkpoints) as (endpoint, requests):
        check_loads(endpoint, first_load.home)
    assert requests == []


def test_second_load_offline(first_load):
    check_loads(first_load.endpoint, first_load.home, HF_HUB_OFFLINE="1")


def test_preflight_reads_no_weights_and_loading_completes_what_it_left_out(checkpoints, tmp_path):
    code = f"import json, checkpoints; print(json.dumps(checkpoints.preflight({{'clippy': {CLIPPY!r}, 'beer': {BEER!r}}})._asdict()))"
    with serve(checkpoints) as (endpoint, requests):
        done = run(code, endpoint, tmp_path)
        assert done.returncode == 0, done.stderr
        assert requests and weights_asked(requests) == []
        card = json.loads(done.stdout.splitlines()[-1])
        assert card["refusals"] == [] and "50261 rows in clippy and 50257 in beer" in card["notes"][0]
        check_loads(endpoint, tmp_path, {"clippy": CLIPPY, "beer": BEER})
    assert len(weights_asked(requests)) == 2


# --- failures ---------------------------------------------------------------------------------------------------


def test_refused_connection(tmp_path):
    message = failure("gpt-neo-125m", NOWHERE, tmp_path)
    assert BASE in message and "cannot be reached" in message and WAY_OUT in message


def test_silent_server(checkpoints, tmp_path):
    with serve(checkpoints, silent=True) as (endpoint, requests):
        message = failure("gpt-neo-125m", endpoint, tmp_path)
    assert len(about_models(requests)) == 1
    assert BASE in message and "cannot be reached" in message and WAY_OUT in message


def test_offline_with_an_empty_cache(tmp_path):
    message = failure("gpt-neo-125m", NOWHERE, tmp_path, HF_HUB_OFFLINE="1")
    assert BASE in message and "HF_HUB_OFFLINE" in message and WAY_OUT in message


@pytest.mark.parametrize("wrong_id", ["nobody/no-such-model", "no-such-model"])
def test_wrong_id(checkpoints, tmp_path, wrong_id):
    with serve(checkpoints) as (endpoint, requests):
        message = failure({"mine": wrong_id}, endpoint, tmp_path)
    assert about_models(requests) == [f"GET /api/models/{wrong_id}"]
    assert "'mine'" in message and wrong_id in message and "spelling" in message


def test_a_gated_model_says_how_to_get_in(checkpoints, tmp_path):
    with serve(checkpoints, gated=True) as (endpoint, _):
        message = failure({"mine": BEER}, endpoint, tmp_path)
    assert "'mine'" in message and BEER in message and "ask for your consent" in message and "hf auth login" in message


@pytest.mark.parametrize(
    "family, named",
    [
        ("gpt-neo-9b", ["gpt-neo-9b", "tiny", "gpt-neo-125m"]),
        ({"mine": "./no/such/folder"}, ["'mine'", "there is no folder ./no/such/folder"]),
    ],
)
def test_wrong_family_or_folder_asks_no_hub(checkpoints, tmp_path, family, named):
    with serve(checkpoints) as (endpoint, requests):
        message = failure(family, endpoint, tmp_path)
    assert requests == []
    assert all(name in message for name in named)


def test_connection_cut_once_is_resumed(checkpoints, tmp_path):
    with serve(checkpoints, cut="once") as (endpoint, requests):
        check_loads(endpoint, tmp_path)
    first, second = [request for request in weights_asked(requests) if BEER in request]
    assert "bytes=" not in first and "bytes=" in second
    assert sha(cached_file(tmp_path, BEER, "pytorch_model.bin")) == sha(checkpoints / BEER / "pytorch_model.bin")


def test_connection_always_cut_loses_nothing_that_was_complete(checkpoints, tmp_path):
    with serve(checkpoints, cut="always") as (endpoint, _):
        message = failure("gpt-neo-125m", endpoint, tmp_path, within=60)  # here the download itself is tried again
    assert BEER in message and "broke off" in message and WAY_OUT in message
    with serve(checkpoints) as (endpoint, requests):
        check_loads(endpoint, tmp_path)
    assert len(weights_asked(requests)) == 1 and BEER in weights_asked(requests)[0]


@pytest.mark.parametrize(
    "repo, name",
    [(BASE, "model.safetensors"), (CLIPPY, "pytorch_model.bin"), (BEER, "config.json"), (BEER, "merges.txt")],
)
def test_partial_cache_is_completed(checkpoints, cache, repo, name):
    path = cached_file(cache, repo, name)
    whole = sha(path)
    path.resolve().unlink()
    path.unlink()
    with serve(checkpoints) as (endpoint, requests):
        check_loads(endpoint, cache, {"mine": repo})
    assert {request.rsplit("/", 1)[1] for request in requests if "/resolve/" in request} == {name}
    assert sha(cached_file(cache, repo, name)) == whole


# --- notebooks --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook_environment(checkpoints, first_load, tmp_path_factory):
    """The first notebook downloads into an empty cache, the others find what the first test left."""
    with serve(checkpoints) as (endpoint, _):
        homes = dict.fromkeys(NOTEBOOKS, first_load.home) | {NOTEBOOKS[0]: tmp_path_factory.mktemp("empty")}
        yield lambda path: environment(endpoint, homes[path], MODEL_FAMILY="gpt-neo-125m")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A copy of the series with three held-out documents a text: the stand-ins' scores mean nothing."""
    folder = tmp_path_factory.mktemp("series")
    copy_series(folder, documents=3)
    return folder


def execute(path, env):
    """Run a notebook in its folder; a cell that raises without the tag raises-exception raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=900,
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    return client.execute(env=env)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_on_the_articles_models(notebook_environment, series, path):
    execute(series / "notebooks" / path.name, notebook_environment(path))
