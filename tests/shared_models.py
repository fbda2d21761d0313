"""Models that several test files read and none may change: each is built or loaded once a session."""

import os
import shutil
import sys

import pytest
from hub import write_checkpoints
from short import write_shallow
from small import ALPHAS, BITS, PROMPTS, build, build_talker, build_tokenizer, save, write_model

from lessons.views.explorers import alpha_explorer
from merging.load.loading import LoadedModel, load_models


@pytest.fixture(autouse=True)
def absolute_places():
    """A test that leaves ".." in sys.path, as a setup cell does, lets later tests and their processes import others."""
    yield
    relative = [place for place in sys.path if place and not os.path.isabs(place)]
    sys.path[:] = [place for place in sys.path if place not in relative]
    assert relative == []


@pytest.fixture(scope="session")
def tiny():
    """The shipped trio, label -> LoadedModel; a test that writes into it fails the session."""
    loaded = load_models("tiny", device="cpu")
    state = lambda: [parameter._version for model, _ in loaded.values() for parameter in model.parameters()]
    before = state()
    yield loaded
    assert state() == before, "a test changed the shipped models that all tests share"


@pytest.fixture(scope="session")
def shipped(tiny):
    return tiny["base"]


@pytest.fixture(scope="session")
def tokenizer(tiny):
    return tiny["base"].tokenizer


@pytest.fixture(scope="session")
def small():
    """A random GPT-Neo that reads a byte-level vocabulary of 290 words."""
    words = build_tokenizer()
    return LoadedModel(build_talker(len(words)), words)


@pytest.fixture(params=["small", "shipped"])
def loaded(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def saved(small, tmp_path_factory):
    return save(small, tmp_path_factory.mktemp("saved") / "small")


@pytest.fixture
def folder(saved, tmp_path):
    """`small` in a folder of the test's own, to be damaged."""
    return shutil.copytree(saved, tmp_path / "small")


@pytest.fixture(scope="session")
def shallow(tmp_path_factory):
    """The tiny models cut off after two and after four of their blocks, in folders 2 and 4: see short.py."""
    folder = tmp_path_factory.mktemp("shallow")
    for blocks in (2, 4):
        write_shallow(folder / str(blocks), blocks)
    return folder


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """The repositories of the Hub's stand-ins: see hub.py."""
    root = tmp_path_factory.mktemp("checkpoints")
    write_checkpoints(root)
    return root


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Three random checkpoints on disk."""
    root = tmp_path_factory.mktemp("sources")
    return [write_model(root / str(seed), seed) for seed in range(3)]


@pytest.fixture(scope="session")
def random_trio(tokenizer):
    """label -> a random model of four blocks with the trio's vocabulary, for views that have to be quick."""
    shape = dict(hidden_size=32, num_hidden_layers=4, attention_types=[[["global", "local"], 2]], window_size=16)
    settings = shape | dict(vocab_size=len(tokenizer), max_position_embeddings=256, bos_token_id=0, eos_token_id=0)
    return {label: build("gpt-neo", seed, **settings).eval() for seed, label in enumerate(("base", "clippy", "beer"))}


@pytest.fixture
def explorer(random_trio, tokenizer):
    """The explorer of a made-up sweep, which writes texts of at most 24 tokens."""
    return alpha_explorer(
        ("clippy", random_trio["clippy"]),
        ("beer", random_trio["beer"]),
        tokenizer,
        ALPHAS,
        BITS,
        {"code": 1.6, "beer": 1.9},
        PROMPTS,
        max_length=24,
    )
