"""What GGUF files are, by name and header: a whole model, parts of one, or something beside it; parts become one."""

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path

from merging.errors import LoadError

PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


def models_in(folder):
    """The GGUF files of a folder that stand for a model: of several parts the first, and no mmproj beside a model."""
    files = sorted(folder.glob("*.gguf"))
    firsts = {}
    for file in files:
        part = PART.fullmatch(file.name)
        firsts.setdefault((part[1], part[3]) if part else file.name, file)
    models = [file for file in firsts.values() if "mmproj" not in file.name.lower()]
    return models or files[:1]


def all_parts(label, file):
    """All files of a model of which one file is given. Raises LoadError if one is missing."""
    part = PART.fullmatch(file.name)
    if not part:
        return [file]
    files = [file.with_name(f"{part[1]}-{i:05}-of-{part[3]}.gguf") for i in range(1, int(part[3]) + 1)]
    if missing := next((each for each in files if not each.is_file()), None):
        raise LoadError(
            f"Model {label!r}: {file.name} is one of {int(part[3])} parts of a model, and {missing.name} is not beside "
            "it. Download all parts into one folder."
        )
    return files


def refuse_part(label, file, reader):
    """Raise LoadError for a GGUF file that is no model of its own: an adapter, or the part that sees pictures."""
    said = lambda key: str(reader.fields[key].contents()) if key in reader.fields else ""
    kind, architecture = said("general.type"), said("general.architecture")
    if kind == "adapter" or said("adapter.type"):
        raise LoadError(
            f"Model {label!r}: {file} is an adapter in GGUF, which cannot be added to a base here. Take the adapter in "
            "peft's format (adapter_config.json and adapter_model.safetensors)."
        )
    if kind == "mmproj" or architecture == "clip":
        raise LoadError(
            f"Model {label!r}: {file} is the part of a model that sees pictures, and no model that writes. Give the "
            "GGUF file of the model itself."
        )


@contextmanager
def one_file(files, readers, place):
    """One GGUF file with the tensors of all parts, a temporary one in a place if there are several."""
    if len(files) == 1:
        yield files[0]
        return
    from gguf import GGUFValueType, GGUFWriter

    with tempfile.TemporaryDirectory(dir=place, prefix="whole-") as folder:
        whole = Path(folder) / "whole.gguf"
        fields = readers[0].fields
        writer = GGUFWriter(whole, fields["general.architecture"].contents())
        for key, field in fields.items():
            if not key.startswith(("GGUF.", "split.", "general.architecture")):
                kind, *inner = field.types
                writer.add_key_value(key, field.contents(), kind, inner[-1] if kind == GGUFValueType.ARRAY else None)
        tensors = [tensor for reader in readers for tensor in reader.tensors]
        for t in tensors:
            writer.add_tensor_info(t.name, t.data.shape, t.data.dtype, t.data.nbytes, t.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(tensor.data)
        writer.close()
        yield whole
