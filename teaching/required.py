"""What the requirement files ask for, read as pip reads it."""

from packaging.requirements import Requirement


def required(files):
    """The requirements in these files, and in the files that they include."""
    found = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("-r "):
                found += required([file.parent / line[3:].strip()])
            elif line.strip() and not line.startswith("#"):
                found.append(Requirement(line))
    return found
