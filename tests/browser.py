"""A notebook in a real browser: JupyterLab on loopback, Debian's Chromium, Playwright.

    python tests/browser.py    time every view: key press to changed picture, to its last change, to the first new token

Screenshots go to tests/screenshots, which git ignores.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = Path(__file__).resolve().parent / "screenshots"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLIDERS = ".noUi-handle"  # what the keyboard moves


@contextmanager
def serve(command, ready, **environment):
    """Run a server that prints nothing of use, until the block ends; `ready` is the address that answers first."""
    with tempfile.TemporaryDirectory() as home:
        folders = {
            name: str(Path(home, name))
            for name in (
                "JUPYTER_CONFIG_DIR",
                "JUPYTER_DATA_DIR",
                "JUPYTER_RUNTIME_DIR",
                "JUPYTERLAB_SETTINGS_DIR",
                "JUPYTERLAB_WORKSPACES_DIR",
                "IPYTHONDIR",
            )
        }
        settings = Path(folders["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab")
        for plugin, values in (
            ("notebook-extension/tracker", {"windowingMode": "none"}),  # else cells off screen do not exist
            ("apputils-extension/notification", {"fetchNews": "false"}),
        ):
            path = settings / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | folders | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(ready)
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(address, seconds=300):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(address, timeout=30).status
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def copy_series(folder, documents, characters=120):
    """Copy what a notebook reads, with only the beginnings of some held-out documents; the models are linked."""
    for name in ("notebooks", "images", "merging", "lessons"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "helpers.py", folder)
    (folder / "models" / "heldout").mkdir(parents=True)
    for path in (ROOT / "models").iterdir():
        if path.name != "heldout":
            (folder / "models" / path.name).symlink_to(path)
    for path in (ROOT / "models" / "heldout").glob("*.txt"):
        first = path.read_text(encoding="utf-8").split("\n\n\n")[:documents]
        short = "\n\n\n".join(document[:characters].rstrip() for document in first)
        (folder / "models" / "heldout" / path.name).write_text(short + "\n", encoding="utf-8")


@contextmanager
def jupyterlab(folder=None, documents=4, characters=120):
    """The address of a JupyterLab on a copy of the series, so that nothing here is changed; folder: where it goes."""
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(folder or scratch)
        copy_series(folder, documents, characters)
        command = [
            sys.executable,
            "-m",
            "jupyter",
            "lab",
            "--no-browser",
            "--expose-app-in-browser",
            f"--ServerApp.port={port}",
            "--ServerApp.allow_root=True",
            f"--ServerApp.root_dir={folder / 'notebooks'}",
            "--IdentityProvider.token=",
            "--ServerApp.password=",
        ]
        with serve(command, f"http://127.0.0.1:{port}/api"):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def chromium():
    """A page of a fresh browser, as large as a projector; its console's errors are collected in page.errors."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        yield page
        browser.close()


def run_all(page, address, name):
    """Open a notebook and run all of its cells; the kernel of the one before ends, for it holds half a gigabyte."""
    if not page.url.startswith(address):
        page.goto(f"{address}/lab?reset")
        page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)", timeout=300_000)
    page.evaluate(
        """async name => {
            const {shell, serviceManager, commands} = window.jupyterapp;
            [...shell.widgets('main')].forEach(widget => widget.dispose());
            await serviceManager.sessions.shutdownAll();
            await commands.execute('docmanager:open', {path: name});
        }""",
        name,
    )
    page.wait_for_function(
        f"""() => {{
        const panel = window.jupyterapp.shell.currentWidget;
        const kernel = panel?.sessionContext?.session?.kernel;
        return panel?.context?.path === '{name}' && panel.context.isReady && kernel?.status === 'idle';
    }}""",
        timeout=300_000,
    )
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_timeout(1000)  # the last widgets are drawn


def views(page):
    """The outputs that hold sliders, from top to bottom."""
    return page.locator(".jp-OutputArea-output", has=page.locator(SLIDERS))


# Counts, from a key press on, the milliseconds to the view's first changed picture, to its last change of picture or
# words, and to its first new text.
WATCH = """(handle) => {
    const view = handle.closest('.jp-OutputArea-output');
    const [picture, words, text] = view.querySelectorAll('.widget-html-content');
    const since = () => performance.now() - window.times.start;
    const watch = (element, seen) => element && new MutationObserver(seen).observe(
        element, {childList: true, subtree: true, characterData: true});
    watch(picture, () => requestAnimationFrame(() => { window.times.picture ||= since(); }));
    for (const element of [picture, words])
        watch(element, () => requestAnimationFrame(() => { window.times.settled = since(); }));
    watch(text, () => { if (text.textContent.trim()) window.times.text ||= since(); });
    document.addEventListener('keydown', () => { window.times = {start: performance.now()}; }, true);
    handle.focus();
}"""


def time_moves(page, handle, moves=15):
    """What WATCH counts, for moves to and fro: name -> one number of milliseconds for each move."""
    handle.evaluate(WATCH)
    times = []
    for i in range(moves):
        page.keyboard.press("ArrowLeft" if i % 4 < 2 else "ArrowRight")
        page.wait_for_function("() => window.times.settled", timeout=20_000)
        page.wait_for_timeout(400)
        page.wait_for_function(
            """() => {  // until nothing is written any more
            const text = document.activeElement.closest('.jp-OutputArea-output').textContent;
            const still = text === window.before;
            window.before = text;
            return still;
        }""",
            polling=400,
            timeout=20_000,
        )
        times.append(page.evaluate("window.times"))
    return {name: [t[name] for t in times if name in t] for name in ("picture", "settled", "text")}


def spread(values):
    return (
        f"median {statistics.median(values):4.0f} ms, p90 {statistics.quantiles(values, n=10)[-1]:4.0f} ms"
        if len(values) > 1
        else "-"
    )


FAST = ("03_merge_all_layers", "04_merge_selected_layers", "05_hierarchical_merging", "06_a_real_language_model")


def main():
    with jupyterlab(characters=None) as address, chromium() as page:
        for name in FAST:
            run_all(page, address, name + ".ipynb")
            for i in range(views(page).count()):
                handle = views(page).nth(i).locator(SLIDERS).first
                handle.scroll_into_view_if_needed()
                for what, times in time_moves(page, handle).items():
                    print(f"{name}, view {i + 1}, {what}: {spread(times)}", flush=True)


if __name__ == "__main__":
    main()
