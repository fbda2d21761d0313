"""The JSON files of a checkpoint folder, and what its tokenizer needs: an error about them names the file."""

import importlib.util
import json
import re
import stat
from collections import Counter
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer

from merging.errors import LoadError
from merging.load.limits import MOST_LAYERS, excess, kernel

LIMIT = 100_000_000  # bytes of JSON in an index or a header: as many as the safetensors library allows in a header
SMALL = 10_000_000  # bytes of JSON with settings
OBJECTS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
PACKED = (".model", ".tiktoken", ".spm")  # tokenizers that transformers unpacks with the help of another package

# How the names of files end that are read or copied, here and by the libraries that read a folder.
READ = (".json", ".jinja", ".txt", ".safetensors", ".bin", ".pt", ".gguf", ".py", "LICENSE", *PACKED)
TEMPLATES = "additional_chat_templates"  # a folder

# How the names of files begin that say what a tokenizer is.
TOKENIZER = (*"token tekken vocab merges special_tokens added_tokens chat_template spiece sentencepiece".split(),)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def damaged(file, reason):
    """The error for a file that is not what its name says."""
    return LoadError(f"{file} is damaged or incomplete ({reason}). Download it again.")


def parse_object(text, file, otherwise="it is no JSON object"):
    """A JSON object in UTF-8 bytes as a dict, in which each key stands once. Raises LoadError with what it is not."""

    def once(pairs):
        twice = [key for key, n in Counter(key for key, _ in pairs).items() if n > 1]
        if twice:
            raise damaged(file, f"{otherwise}: {twice[0]!r:.100} stands there twice")
        return dict(pairs)

    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=once)
        if b"\\u" in text:  # an escape may be half of a character: what cannot be written again is no text
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):  # no UTF-8, no JSON, a number of thousands of digits; brackets without end
        raise damaged(file, otherwise) from None
    if not isinstance(found, dict):
        raise damaged(file, f"{otherwise}, but a {type(found).__name__}")
    return found


def read_object(file, limit=LIMIT):
    """The JSON object in a file as a dict. Raises LoadError, for a file that is too large without reading it."""
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise damaged(file, "it is no regular file")
        check_size(file, limit)
        return parse_object(file.read_bytes(), file)
    except LoadError:
        raise
    except OSError as error:
        raise unreadable(file, error) from None


def check_size(file, limit=LIMIT):
    """Raise LoadError for a file with more bytes than are read."""
    if (size := file.stat().st_size) > limit:
        raise damaged(file, f"it has {size / 1e6:,.0f} MB, where at most {limit / 1e6:.0f} are read")


def unreadable(file, error):
    """The error for a file that the system does not let us read."""
    return LoadError(
        f"{file} cannot be read ({error.strerror or reason(error)}). Check that it is a file that you may read."
    )


def read_config(folder):
    """The configuration of a checkpoint, without running code that comes with it. Raises LoadError."""
    file = Path(folder) / "config.json"
    check_settings(file)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    except Exception as error:
        raise LoadError(
            f"{file} is no configuration that transformers can read ({reason(error, folder)}). Download it again, or "
            "install a transformers that knows this model."
        ) from None
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise damaged(file, f"it asks for {layers:,} in num_hidden_layers")
    return config


def check_settings(file):
    """The settings in a JSON file. Raises LoadError if they ask for more than can be built, or for code of others."""
    settings = read_object(file, SMALL)
    if too_many := excess(settings):
        raise damaged(file, "it asks for {1:,.0f} in {0:.100}".format(*too_many))
    if kernel(settings):
        raise LoadError(f"{file} asks for code from the Hub, {kernel(settings)!r:.100}, which is never run here.")
    return settings


def read_index(file):
    """name of a tensor -> name of the file beside the index that holds it. Raises LoadError."""
    places = read_object(file).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise damaged(file, "it has no weight_map from the names of tensors to the names of files")
    for name in sorted(set(places.values())):
        check_inside(file, name)
    return places


def is_own(folder, name):
    """True if a name is that of a regular file, or of none, that lies in its folder after links are followed."""
    home = folder.resolve()
    # In the Hub's cache each file of a snapshot is a link into the folder blobs of the same repository.
    homes = {home, *(place.parent / "blobs" for place in home.parents[:2] if place.name == "snapshots")}
    try:
        place = (folder / name).resolve()
        return len(name) < 256 and place.parent in homes and (place.is_file() or not place.exists())
    except (OSError, ValueError, RuntimeError):  # a name with a zero byte, a link that leads to itself
        return False


def check_own(folder):
    """Raise LoadError unless every file of a folder that may be read or copied is regular and lies in it.

    A link would carry another file of this machine into the merge, a pipe would never end. Of what says what a
    tokenizer is, templates among it, none may be too large either: libraries read it whole.
    """
    more = folder / TEMPLATES
    try:
        files = [file for file in folder.iterdir() if file.name.endswith(READ) and not file.is_dir()]
        files += more.iterdir() if more.is_dir() else []
        outside = more if more.is_symlink() else None
    except OSError as error:
        raise unreadable(folder, error) from None
    foreign = next((file for file in files if not is_own(file.parent, file.name)), outside)
    if foreign:
        raise LoadError(
            f"{foreign} is no regular file of this folder but a link out of it, or a pipe or a device: such "
            "files are neither read nor copied. Put the file itself there, or take it away."
        )
    for file in files:
        if (file.parent == more or file.name.startswith(TOKENIZER) or file.name.endswith(PACKED)) and file.is_file():
            check_size(file)


def check_inside(index, name):
    """Raise LoadError unless an index names a file of its own folder, by a link or not."""
    if not is_own(index.parent, name):
        raise LoadError(
            f"{index} names {name!r:.100}, which is not in its folder: such files are not opened. Put the weights "
            "beside the index, or download the checkpoint again."
        )


def check_files(folder, tokenizer=True):
    """Raise LoadError if a JSON file of a checkpoint is damaged, or if its tokenizer is missing or cannot be read here.

    Called before transformers reads a folder: its own errors often do not name the file, and where a tokenizer is
    missing it makes an empty one for many architectures.
    """
    folder = Path(folder)
    check_own(folder)
    for name in OBJECTS:
        if (folder / name).exists():
            read_object(folder / name, LIMIT if name == "tokenizer.json" else SMALL)
    for name in INDEXES:
        if (folder / name).exists():
            read_index(folder / name)
    if tokenizer:
        check_tokenizer(folder)


# Runs of each character that a pattern may stumble over.
PROBE = "".join(64 * chr(i) + "\n" for i in range(32, 127))


def read_tokenizer(folder, **options):
    """The tokenizer of a folder, without running code that comes with it. Raises LoadError if its library gives up."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend and backend.normalizer:
            backend.normalizer.normalize_str(PROBE)
        if backend and backend.pre_tokenizer:
            backend.pre_tokenizer.pre_tokenize_str(PROBE)
        return tokenizer
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, which no `except Exception` catches
            raise
        raise LoadError(
            f"the tokenizer in {folder} cannot split text ({reason(error)}). Take another release"
        ) from None


def has_tokenizer(names):
    """True if a folder with files of these names has all that makes a tokenizer."""
    return bool(
        names & {"tokenizer.json", "tekken.json", "vocab.txt"}
        or {"vocab.json", "merges.txt"} <= names
        or any(name.endswith(PACKED) for name in names)
    )


def check_tokenizer(folder):
    """Raise LoadError if a folder has no tokenizer, or one that needs a package which is not installed."""
    names = {file.name for file in folder.iterdir()}
    if not has_tokenizer(names):
        lacks = "merges.txt" if "vocab.json" in names else "tokenizer.json"
        raise LoadError(
            f"{folder} has no {lacks} and no other file that makes a tokenizer whole. Copy the tokenizer's files from "
            "the model that it was finetuned from."
        )
    if not has_tokenizer({name for name in names if not name.endswith(PACKED)}):
        check_packages(next(folder / name for name in sorted(names) if name.endswith(PACKED)))


def check_packages(file):
    """Raise LoadError if a tokenizer's file needs a package which is not installed."""
    with open(file, "rb") as stream:
        is_tiktoken = re.match(rb"[A-Za-z0-9+/=]+ \d+\s", stream.read(1000))  # a word in base64 and its number
    packages = ["tiktoken"] if is_tiktoken else ["sentencepiece", "protobuf"]
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        raise LoadError(
            f"{file} is a tokenizer that needs the package {missing[0]}, which is not installed: "
            f"pip install {' '.join(missing)}"
        )


def is_installed(package):
    """True if Python finds a package, without importing it."""
    try:
        return importlib.util.find_spec({"protobuf": "google.protobuf"}.get(package, package)) is not None
    except ModuleNotFoundError:  # google itself
        return False


def reason(error, folder=None):
    """What an error of another library says, on one line and not too long; folder: what it was reading.

    The advice to run code that comes with a model is replaced by who asks for which code.
    """
    if folder and "trust_remote_code" in str(error):
        return asks_for_code(Path(folder))
    if "weights_only" in str(error):  # torch's advice would run what is in the file
        return "its .bin file is damaged or holds more than numbers, which could be code: take a release in safetensors"
    return f"{' '.join(str(error).split()) or type(error).__name__:.300}"


def asks_for_code(folder):
    """A sentence that names the file of a folder that asks for code of its own, and which."""
    for file in (folder / "config.json", folder / "tokenizer_config.json"):
        wanted = read_object(file).get("auto_map") if file.is_file() else None
        if wanted:
            code = wanted if isinstance(wanted, (str, list)) else list(wanted.values())
            return (
                f"{file.name} asks to run code of its own, {str(code):.100}, which is never done here: merge a model "
                "that transformers knows without it"
            )
    return "it asks to run code of its own, which is never done here"
