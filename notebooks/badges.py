"""What is the same in all notebooks and depends on where the repository lives: the setup cell, and the badges.

    python notebooks/badges.py                    for the address of the git remote `origin`, else of repository.txt
    python notebooks/badges.py owner/name main    for this address and branch or tag

The address is kept in repository.txt. Without one there are no badges, and a notebook that is opened alone says where
it belongs. The README's badges stand between two comments.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import nbformat

ROOT = Path(__file__).resolve().parents[1]
TITLE = "#@title Setup, the same in every notebook"
ALONE = """\
import os, sys
if not os.path.exists("{up}/helpers.py"):
    raise RuntimeError("Open this notebook in its repository, in the folder {folder}.")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # waiting threads leave their core to others
sys.path.insert(0, "{up}")  # helpers.py lies {where}"""
FETCH = """\
import os, subprocess, sys
if not os.path.exists("{up}/helpers.py"):  # opened alone, as in Colab
    origin = "{address}"
    command = f'"{{sys.executable}}" series/requirements/missing.py'  # installs what is missing
    if not os.path.exists("series"):
        command = f"git clone -q --depth 1 -b {branch} {{origin}} series && {{command}}"
    if subprocess.run(command, shell=True).returncode:
        raise RuntimeError(f"That failed: get {{origin}} by hand and open it there.")
    os.chdir("series/{folder}")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # waiting threads leave their core to others
sys.path.insert(0, "{up}")  # helpers.py lies {where}"""
PLACES = {"notebooks": ("..", "one folder up"), "notebooks/solutions": ("../..", "two folders up")}
# Folded in JupyterLab, a form in Colab, left out of the site.
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["remove-cell"]}
COLAB = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repo}/blob/{branch}/notebooks/{name})"
)
LIGHTNING = (
    "[![Open in Lightning Studio](https://pl-bolts-doc-images.s3.us-east-2.amazonaws.com/app-2/studio-badge.svg)]"
    "(https://lightning.ai/new?repo_url={url})"
)
SITE = (
    "[![Read it as a site](https://img.shields.io/badge/read_it-as_a_site-009E73)](https://{owner}.github.io/{name}/)"
)
MARKS = "<!-- badges -->", "<!-- end of badges -->"


def read_address(root):
    """(owner/name or None, branch) from repository.txt."""
    file = root / "repository.txt"
    words = file.read_text(encoding="utf-8").split() if file.is_file() else []
    return (words[0] if words else None), (words[1] if len(words) > 1 else "main")


def origin(root):
    """owner/name of the git remote `origin` if that is on GitHub, else None."""
    git = ["git", "-C", str(root), "remote", "get-url", "origin"]
    address = subprocess.run(git, capture_output=True, text=True).stdout.strip() if (root / ".git").exists() else ""
    found = re.fullmatch(r"(?:https://|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    return found and found[1]


def setup_cell(repo, branch, folder="notebooks"):
    """The source of the setup cell of the notebooks in one of PLACES."""
    up, where = PLACES[folder]
    address = f"https://github.com/{repo}"
    body = (FETCH if repo else ALONE).format(up=up, where=where, folder=folder, branch=branch, address=address)
    return f"{TITLE}\n{body}"


def badges(repo, branch, name):
    """The line of badges of a notebook, or ""; name: its path under notebooks."""
    if not repo:
        return ""
    url = quote(f"https://github.com/{repo}/blob/{branch}/notebooks/{name}", safe="")
    return f"{COLAB.format(repo=repo, branch=branch, name=name)} {LIGHTNING.format(url=url)}"


def site(repo):
    """The badge of the site, which .github/workflows/pages.yml publishes; a project's pages lie under its owner."""
    owner, name = repo.split("/")
    return SITE.format(owner=owner.lower(), name=name)


def write_notebook(path, root, repo, branch):
    """Rewrite the setup cell, which is the first code cell, and the badges under the title."""
    notebook, place = nbformat.read(path, as_version=4), path.relative_to(root)
    title, setup = notebook.cells[0], next(cell for cell in notebook.cells if cell.cell_type == "code")
    if not setup.source.startswith(TITLE):
        raise ValueError(f"The first code cell of {path.name} is not the setup cell.")
    setup.source = setup_cell(repo, branch, place.parent.as_posix())
    setup.metadata = nbformat.from_dict(FOLDED)
    head, *rest = [part for part in title.source.split("\n\n") if not part.startswith("[![")]
    name = place.relative_to("notebooks").as_posix()
    title.source = "\n\n".join(filter(None, [head, badges(repo, branch, name), *rest]))
    nbformat.write(notebook, path)


def notebooks(root):
    """The notebooks, and their solutions."""
    return [path for folder in PLACES for path in sorted((root / folder).glob("[0-9]*.ipynb"))]


def write_readme(path, repo, branch):
    """Rewrite what stands between the two marks."""
    first, last = MARKS
    text = path.read_text(encoding="utf-8")
    line = f"{site(repo)} {badges(repo, branch, '01_load_models.ipynb')}" if repo else ""
    text, n = re.subn(
        f"{first}.*?{last}", lambda _: f"{first}\n{line}\n{last}" if line else f"{first}{last}", text, flags=re.DOTALL
    )
    if n != 1:
        raise ValueError(f"{path} needs {first}{last} once, where the badges go.")
    path.write_text(text, encoding="utf-8")


def main(root=ROOT, arguments=sys.argv[1:]):
    (repo, branch), where = read_address(root), "as in repository.txt"
    if arguments:
        (repo, branch), where = (*arguments, "main")[:2], "as asked for"
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
            raise SystemExit(f"{repo!r} is not of the form owner/name.")
    elif origin(root):
        branch = branch if repo == origin(root) else "main"
        repo, where = origin(root), "the git remote origin"
    if repo:
        (root / "repository.txt").write_text(f"{repo} {branch}\n", encoding="utf-8")
    for path in notebooks(root):
        write_notebook(path, root, repo, branch)
    write_readme(root / "README.md", repo, branch)
    print(
        f"Setup cells and badges for {repo} at {branch}, {where}."
        if repo
        else "No address (no REPO=, no git remote origin on GitHub, no repository.txt): no badges."
    )


if __name__ == "__main__":
    main()
