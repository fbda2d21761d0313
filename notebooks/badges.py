"""What is the same in all notebooks and depends on where the repository lives: the setup cell, and the badges.

    python notebooks/badges.py                    write both anew, for the address in repository.txt
    python notebooks/badges.py owner/name main    the same for a new address and branch or tag, which it keeps there

repository.txt is the only place where the address is written by hand. Without it there are no badges, and a notebook that
is opened alone says where it belongs. The README's badges stand between two comments.
"""

import re
import sys
from pathlib import Path
from urllib.parse import quote

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SETUP = '''\
# Setup, the same in every notebook: opened alone, as in Colab, it fetches the rest of the series and what is missing.
import importlib.util, os, subprocess, sys

if not os.path.exists("../helpers.py"):
    commands = [] if os.path.exists("series") else ["git clone --quiet --depth=1 --branch={branch} {address} series"]
    for name in ("torch", "transformers", "matplotlib", "ipywidgets", "scipy"):
        if not importlib.util.find_spec(name):
            commands.append(f"{{sys.executable}} -m pip install --quiet {{name}}")
    for command in commands:
        if subprocess.run(command, shell=True).returncode:
            raise RuntimeError(f"`{{command}}` failed: get {where} by hand and open it from there.")
    os.chdir("series/notebooks")
sys.path.insert(0, "..")  # helpers.py lies one folder up'''
COLAB = ("[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
         "(https://colab.research.google.com/github/{repo}/blob/{branch}/notebooks/{name})")
LIGHTNING = ("[![Open in Lightning Studio](https://pl-bolts-doc-images.s3.us-east-2.amazonaws.com/app-2/studio-badge.svg)]"
             "(https://lightning.ai/new?repo_url={url})")
MARKS = "<!-- badges -->", "<!-- end of badges -->"


def read_address(root):
    """(owner/name or None, branch) from repository.txt."""
    file = root / "repository.txt"
    words = file.read_text(encoding="utf-8").split() if file.is_file() else []
    return (words[0] if words else None), (words[1] if len(words) > 1 else "main")


def setup_cell(repo, branch):
    """The source of the setup cell."""
    address = f"https://github.com/{repo}" if repo else "REPOSITORY"
    return SETUP.format(branch=branch, address=address, where=address if repo else "this notebook's repository")


def badges(repo, branch, name):
    """The line of badges of a notebook, or ""."""
    if not repo:
        return ""
    url = quote(f"https://github.com/{repo}/blob/{branch}/notebooks/{name}", safe="")
    return f"{COLAB.format(repo=repo, branch=branch, name=name)} {LIGHTNING.format(url=url)}"


def write_notebook(path, repo, branch):
    """Rewrite the setup cell, which is the first code cell, and the badges under the title."""
    notebook = nbformat.read(path, as_version=4)
    title, setup = notebook.cells[0], next(cell for cell in notebook.cells if cell.cell_type == "code")
    if not setup.source.startswith(SETUP.splitlines()[0]):
        raise ValueError(f"The first code cell of {path.name} is not the setup cell.")
    setup.source = setup_cell(repo, branch)
    head, *rest = [part for part in title.source.split("\n\n") if not part.startswith("[![")]
    title.source = "\n\n".join(filter(None, [head, badges(repo, branch, path.name), *rest]))
    nbformat.write(notebook, path)


def write_readme(path, repo, branch):
    """Rewrite what stands between the two marks."""
    first, last = MARKS
    text = path.read_text(encoding="utf-8")
    line = badges(repo, branch, "01_load_models.ipynb")
    text, n = re.subn(f"{first}.*?{last}", lambda _: f"{first}\n{line}\n{last}" if line else f"{first}{last}", text, flags=re.DOTALL)
    if n != 1:
        raise ValueError(f"{path} needs {first}{last} once, where the badges go.")
    path.write_text(text, encoding="utf-8")


def main(root=ROOT, arguments=sys.argv[1:]):
    if arguments:
        repo, branch = (*arguments, "main")[:2]
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
            raise SystemExit(f"{repo!r} is not of the form owner/name.")
        (root / "repository.txt").write_text(f"{repo} {branch}\n", encoding="utf-8")
    repo, branch = read_address(root)
    for path in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        write_notebook(path, repo, branch)
    write_readme(root / "README.md", repo, branch)
    print(f"setup cells and badges for {repo} at {branch}" if repo else "setup cells without an address, no badges")


if __name__ == "__main__":
    main()
