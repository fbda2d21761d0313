"""Is this machine ready for the class? One line for each question, each 'ok' or what to do, in half a minute.

    make check-room        the exit status is 0 when every line says ok

Run it the day before, as the account and on the machines that the class will use.
"""

import importlib.metadata
import re
import shutil
import sys
from pathlib import Path

from merging.paths import ROOT

PYTHON = (3, 11)
GB = 1e9
DISK = 1.0  # GB: the real model's numbers (0.3), what notebook 10 writes and removes (0.6)
MEMORY = 2.0  # GB for one learner with the tiny models
MEMORY_REAL = 7.0  # GB for one learner with the real model of notebook 06, whose kernel grows to 5.6
INSTALL = "run `make env`, or in the kit sh install.sh (install.bat)"


class NotReady(Exception):
    """What to do about it, in one sentence."""


def check_versions():
    """Python and every package that the notebooks import, against the versions that the requirement files allow."""
    if sys.version_info[:2] < PYTHON:
        raise NotReady(f"this is Python {sys.version.split()[0]}: install 3.11 or newer, then {INSTALL}.")
    launcher = Path(sys.prefix, "bin", "jupyter")
    text = launcher.read_text(encoding="utf-8", errors="replace") if launcher.is_file() else ""
    python = re.search(r"/[^\"\n]*/python[\d.]*", text)
    if python and not Path(python[0]).exists():
        raise NotReady(f"this folder was moved or renamed after it was installed: {INSTALL}, once more.")
    from teaching.required import required

    wrong = []
    for package in required([ROOT / "requirements.txt", ROOT / "requirements" / "smollm2.txt"]):
        try:
            version = importlib.metadata.version(package.name)
            if not package.specifier.contains(version, prereleases=True):
                wrong.append(f"{package.name} {version}, {package.specifier} is needed")
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{package.name} is missing")
    if wrong:
        raise NotReady(f"{'; '.join(wrong)}: {INSTALL}.")
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "ipywidgets"))
    return f"Python {sys.version.split()[0]}, {shown}"


def check_disk():
    """Space for the real model's numbers and for what notebook 10 writes."""
    free = shutil.disk_usage(ROOT).free / GB
    if free < DISK:
        raise NotReady(f"{free:.1f} GB are free where this repository lies, {DISK:g} are needed: delete something.")
    return f"{free:.1f} GB free"


def check_free():
    """Memory that is free now, for one learner."""
    import psutil

    free = psutil.virtual_memory().available / GB
    if free < MEMORY:
        raise NotReady(f"{free:.1f} GB of memory are free, {MEMORY:g} a learner are needed: close other programs.")
    if free < MEMORY_REAL:
        return f"{free:.1f} GB free for one learner (notebook 06 wants {MEMORY_REAL:g}: show it from one machine)"
    return f"{free:.1f} GB free, for one learner"


def check_load():
    """The three models of the repository, without a network."""
    from helpers import load_models

    models = load_models("tiny", device="cpu")
    return f"{', '.join(models)} loaded from models/tiny"


def check_merge():
    """merge_models against the formula by hand at alpha = 0.3, where a swapped alpha shows."""
    from helpers import load_models, merge_models, named_weights

    models = load_models("tiny", device="cpu")
    clippy, beer = (models[label].model for label in ("clippy", "beer"))
    theta1, theta2 = named_weights(clippy), named_weights(beer)
    merged = named_weights(merge_models(clippy, beer, alpha=0.3))
    off = max((merged[n] - (0.3 * theta1[n] + 0.7 * theta2[n])).abs().max().item() for n in theta1)
    if not off < 1e-6:
        raise NotReady(f"the merge is off by {off:.1g}: this copy of the repository was changed; get a fresh one.")
    return "30 % of clippy and 70 % of beer, as the formula says"


def check_picture():
    """A figure with text in it, drawn and read back."""
    import io

    from PIL import Image

    from lessons.figures.base import figure_png, new_figure

    figure, axes = new_figure()
    axes.plot([0, 1], [1, 0], label="α")
    axes.set_xlabel("alpha: beer at 0, clippy at 1")
    picture = Image.open(io.BytesIO(figure_png(figure))).convert("L")
    dark, light = picture.getextrema()
    if dark > 100 or light < 250:
        raise NotReady(f"matplotlib draws nothing: {INSTALL}.")
    return f"{picture.width} x {picture.height} points"


def check_slider():
    """A live view that follows its slider, and JupyterLab's part of it, without which no slider appears."""
    from jupyter_core.paths import jupyter_path

    from lessons.views.explorers import predict_then_reveal

    view = predict_then_reveal(alphas=[0, 0.5, 1], values=[0.1, 0.8, 0.2], ends=("beer", "clippy"), name="gain")
    before = view.picture.value
    view.set(guess=1)
    if view.picture.value == before:
        raise NotReady(f"the picture does not follow the slider: {INSTALL}.")
    places = [Path(place, "@jupyter-widgets", "jupyterlab-manager") for place in jupyter_path("labextensions")]
    if not any(place.is_dir() for place in places):
        raise NotReady("JupyterLab lacks its part of ipywidgets: pip install jupyterlab_widgets, then reload the page.")
    return "moves, and JupyterLab can show it"


CHECKS = {
    "versions": check_versions,
    "disk": check_disk,
    "memory": check_free,
    "load": check_load,
    "merge": check_merge,
    "picture": check_picture,
    "slider": check_slider,
}


def run(checks=None):
    """Print one line for each check; returns whether all are ok."""
    ready = True
    for name, check in (checks or CHECKS).items():
        try:
            line = f"ok      {name}: {check()}"
        except NotReady as what:
            line, ready = f"NOT OK  {name}: {what}", False
        except ImportError as error:
            line, ready = f"NOT OK  {name}: {error.name} cannot be imported: {INSTALL}.", False
        except Exception as error:
            line, ready = f"NOT OK  {name}: {type(error).__name__}: {' '.join(str(error).split())}", False
        print(line, flush=True)
    return ready


if __name__ == "__main__":
    raise SystemExit(0 if run() else 1)
