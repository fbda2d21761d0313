"""A destination is there when it is complete: two merges at once, a full disk, no permission, interrupts anywhere."""

import errno
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import fresh
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from small import OWN, build, bytes_of, load, write_own
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from helpers import average_models
from merging.disk import checkpoints, saving
from merging.disk.checkpoints import merge_checkpoints
from merging.disk.folders import only_one, whole_folder
from merging.disk.saving import save_merge
from merging.errors import MergeError


def write(destination, text="new", overwrite=True):
    """A folder with a configuration and one file."""
    with whole_folder(destination, [], overwrite) as partial:
        (partial / "config.json").write_text("{}")
        (partial / "file").write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def half(sources, folder):
    """The same merge in memory."""
    average_models([load(source) for source in sources]).save_pretrained(folder)
    return folder


# --- two at once ------------------------------------------------------------------------------------------------


def test_of_two_merges_into_one_destination_the_first_wins(folders, tmp_path):
    destination = tmp_path / "merged"
    process = fresh.CONTEXT.Process(target=fresh.slow_merge, args=(folders[:2], destination))
    process.start()
    while not (tmp_path / ".merged.partial").exists() and process.is_alive():
        time.sleep(0.002)
    with pytest.raises(MergeError, match=f"Another merge is writing {destination} at this moment. Wait"):
        merge_checkpoints(folders[1:], [0.1, 0.9], destination, overwrite=True)
    process.join()
    assert process.exitcode == 0
    assert bytes_of(destination) == bytes_of(half(folders[:2], tmp_path / "expected"))
    assert names(tmp_path) == ["expected", "merged"]
    merge_checkpoints(folders[1:], [0.1, 0.9], destination, overwrite=True)


def test_a_killed_process_leaves_no_lock_behind(folders, tmp_path):
    process = fresh.CONTEXT.Process(target=fresh.slow_merge, args=(folders[:2], tmp_path / "merged"))
    process.start()
    while not (tmp_path / ".merged.partial").exists() and process.is_alive():
        time.sleep(0.002)
    process.kill()
    process.join()
    assert ".merged.lock" in names(tmp_path)  # the file is there, and nobody holds it
    write(tmp_path / "merged")
    assert names(tmp_path) == ["merged"]


def test_many_threads_and_one_lock(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    inside, most = [], []

    def enter(_):
        try:
            with only_one(tmp_path / "m"):
                inside.append(None)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()
        except MergeError:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(200)))
    assert max(most) == 1 and names(tmp_path) == []


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    write(tmp_path / "m")
    assert names(tmp_path) == ["m"]


def test_what_a_killed_run_left_between_its_two_renames_is_put_back_first(tmp_path):
    write(tmp_path / "m", "old")
    (tmp_path / "m").rename(tmp_path / ".m.old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(tmp_path / "m", overwrite=False)
    assert names(tmp_path) == ["m"] and (tmp_path / "m" / "file").read_text() == "old"


def test_what_a_killed_merge_wrote_of_its_sources_is_swept(tmp_path):
    parents = [write_own(tmp_path / str(seed), "llama", seed) for seed in (0, 1)]
    for source in parents:
        torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
        (source / "model.safetensors").unlink()
    process = fresh.CONTEXT.Process(target=fresh.killed_merge, args=(parents, tmp_path / "merged"))
    process.start()
    process.join()
    assert process.exitcode == 9 and len(list(tmp_path.glob(".merged.*/*/*/model.safetensors"))) == 2
    merge_checkpoints(parents, [0.5, 0.5], tmp_path / "merged")
    assert names(tmp_path) == ["0", "1", "merged"] and not [
        file for file in (tmp_path / "merged").iterdir() if file.is_dir()
    ]


# --- what the system refuses ------------------------------------------------------------------------------------


@pytest.fixture
def small_files():
    """No file of this process may have more than 4 kilobytes: a write breaks off in its middle, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_write_that_breaks_off_in_a_merge(folders, tmp_path, small_files):
    with pytest.raises(
        OSError, match=r"merged could not be written \(File too large\), and nothing is left .* Free space"
    ):
        merge_checkpoints(folders[:2], [0.5, 0.5], tmp_path / "merged")
    assert names(tmp_path) == []


def test_a_write_that_breaks_off_in_a_save(tokenizer, tmp_path, small_files):
    with pytest.raises(OSError, match=r"m could not be written \(File too large\)") as caught:
        save_merge(build("llama", **OWN), tokenizer, tmp_path / "m", ["owner/one", "owner/two"], [0.5, 0.5])
    assert caught.value.errno == errno.EFBIG and names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        Exception("No space left on device (os error 28)"),  # of the tokenizers library
    ],
)
def test_a_full_disk(tmp_path, error):
    write(tmp_path / "m", "old")
    with pytest.raises(
        OSError, match="m could not be written .No space left on device., .* Free space there"
    ) as caught:
        with whole_folder(tmp_path / "m", [], True):
            raise error
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["m"] and (tmp_path / "m" / "file").read_text() == "old"


def test_a_folder_in_which_nobody_may_write(folders):
    root = Path(tempfile.mkdtemp())  # not below pytest's own folders, which another user may not enter
    try:
        root.chmod(0o755)
        (root / "closed").mkdir(mode=0o555)
        sources = [shutil.copytree(folder, root / str(i)) for i, folder in enumerate(folders[:2])]
        for file in root.glob("?/*"):
            file.chmod(0o644)  # safetensors saves for one user only
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root may write anywhere
        try:
            with pytest.raises(
                PermissionError, match=r"could not be written \(Permission denied\).*you may write there"
            ):
                merge_checkpoints(sources, [0.5, 0.5], root / "closed" / "merged")
            with pytest.raises(PermissionError, match="could not be written"):
                merge_checkpoints(sources, [0.5, 0.5], root / "closed" / "new" / "merged")
        finally:
            os.seteuid(user)
        assert names(root / "closed") == []
    finally:
        shutil.rmtree(root)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError, match="this one is a file"):
        write(tmp_path / "file")
    with pytest.raises(OSError, match="could not be written"):
        write(tmp_path / "file" / "merged")
    assert (tmp_path / "file").read_text() == "precious" and names(tmp_path) == ["file"]


# --- interrupts -------------------------------------------------------------------------------------------------


def interrupt_at(monkeypatch, owner, name, call, after):
    """Let the call-th call of a function be interrupted, before or after it did its work."""
    function, calls = getattr(owner, name), []

    def interrupted(*arguments, **options):
        calls.append(None)
        if len(calls) == call and not after:
            raise KeyboardInterrupt
        result = function(*arguments, **options)
        if len(calls) == call and after:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "owner, name, call",
    [
        (Path, "mkdir", 2),
        (checkpoints, "describe_merge", 1),
        (checkpoints, "average_stored", 1),
        (checkpoints, "average_stored", 7),
        (checkpoints, "check_unchanged", 1),
        (Path, "rename", 1),
        (Path, "rename", 2),
    ],
)
def test_an_interrupted_merge_leaves_the_old_folder_or_the_new_one(folders, tmp_path, owner, name, call, after):
    destination = merge_checkpoints(folders[1:], [0.5, 0.5], tmp_path / "merged")
    old, new = bytes_of(destination), bytes_of(half(folders[:2], tmp_path / "expected"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_at(monkeypatch, owner, name, call, after)
        with pytest.raises(KeyboardInterrupt):
            merge_checkpoints(folders[:2], [0.5, 0.5], destination, overwrite=True)
    assert names(tmp_path) == ["expected", "merged"]  # before anything else is called
    is_new = (name, call, after) == ("rename", 2, True)
    assert bytes_of(destination) == (new if is_new else old)
    merge_checkpoints(folders[:2], [0.5, 0.5], destination, overwrite=True)
    assert bytes_of(destination) == new


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "owner, name",
    [
        (saving, "save_torch_state_dict"),
        (PretrainedConfig, "save_pretrained"),
        (PreTrainedTokenizerBase, "save_pretrained"),
    ],
)
def test_an_interrupted_save_leaves_nothing_and_the_next_one_works(tokenizer, tmp_path, owner, name, after):
    model = build("llama", **OWN)
    save = lambda: save_merge(model, tokenizer, tmp_path / "m", ["owner/one", "owner/two"], [0.5, 0.5])
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_at(monkeypatch, owner, name, 1, after)
        with pytest.raises(KeyboardInterrupt):
            save()
    assert names(tmp_path) == []
    save()
    assert names(tmp_path) == ["m"]


# --- nothing is lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_a_folder_that_appears_during_a_merge_stays(tmp_path, overwrite, before):
    if before and overwrite:
        write(tmp_path / "m", "old")
    with pytest.raises(FileExistsError, match="m appeared while the merge was written, and is not touched"):
        with whole_folder(tmp_path / "m", [], overwrite) as partial:
            (partial / "file").write_text("new")
            if (tmp_path / "m").exists():
                (tmp_path / "m").rename(tmp_path / "saved")
            (tmp_path / "m").mkdir()
            (tmp_path / "m" / "file").write_text("precious")
    assert (tmp_path / "m" / "file").read_text() == "precious"
    assert names(tmp_path) == ["m", "saved"] if before and overwrite else ["m"]


def test_a_folder_that_vanishes_during_a_merge_is_no_obstacle(tmp_path):
    write(tmp_path / "m", "old")
    with whole_folder(tmp_path / "m", [], True) as partial:
        (partial / "file").write_text("new")
        shutil.rmtree(tmp_path / "m")
    assert names(tmp_path) == ["m"] and (tmp_path / "m" / "file").read_text() == "new"


@pytest.mark.parametrize("source", ["~/m", "~/m/part", "~/m.gguf", "link", "."])
@pytest.mark.parametrize("destination", ["~/m", "link", "home/other/../m"])
def test_a_source_is_a_source_in_any_spelling(tmp_path, monkeypatch, source, destination):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "home" / "m" / "part", "old")
    (tmp_path / "home" / "m" / "config.json").write_text("{}")
    (tmp_path / "home" / "m.gguf").symlink_to("m/part/file")
    (tmp_path / "link").symlink_to("home/m")
    with pytest.raises(MergeError, match="lie within each other"):
        with whole_folder(destination, ["owner/name", source], True):
            pass
    assert (tmp_path / "home" / "m" / "part" / "file").read_text() == "old"


def test_a_save_into_its_own_source(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "m", "old")
    with pytest.raises(MergeError, match="lie within each other"):
        save_merge(build("llama", **OWN), tokenizer, "~/m", ["~/m", "owner/two"], [0.5, 0.5], overwrite=True)
    assert (tmp_path / "m" / "file").read_text() == "old"


def test_a_destination_that_is_a_link_is_what_it_leads_to(tmp_path):
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    for text in ("new", "newer"):
        write(tmp_path / "link", text)
        assert (tmp_path / "real" / "file").read_text() == text and (tmp_path / "link").is_symlink()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop leads nowhere, or to itself. Choose another"):
        write(tmp_path / "loop")
    assert names(tmp_path) == ["link", "loop", "real"]


def test_a_folder_that_is_no_model_is_not_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters").write_text("precious")
    with pytest.raises(FileExistsError, match="home holds no model, and is not replaced"):
        write(tmp_path / "home")
    assert names(tmp_path / "home") == ["letters"]


def test_what_cannot_be_removed_is_said_at_once_and_each_time(tmp_path, monkeypatch):
    write(tmp_path / "m", "old")
    rmtree = shutil.rmtree

    def refuse(folder, ignore_errors=False):
        if Path(folder).name == ".m.old" and not ignore_errors:
            raise PermissionError(errno.EACCES, "Permission denied")
        elif Path(folder).name != ".m.old":
            rmtree(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.warns(UserWarning, match=r"\.m\.old, which .*m replaces, cannot be removed: do so by hand"):
        write(tmp_path / "m", "new")
    assert (tmp_path / "m" / "file").read_text() == "new"
    with pytest.raises(OSError, match=r"\.m\.old cannot be removed \(Permission denied\). Remove it by hand"):
        write(tmp_path / "m", "newer")
    assert (tmp_path / "m" / "file").read_text() == "new"
    monkeypatch.undo()
    write(tmp_path / "m", "newest")
    assert names(tmp_path) == ["m"] and (tmp_path / "m" / "file").read_text() == "newest"


def test_files_are_on_the_disk_before_the_folder_has_its_name(tmp_path, monkeypatch):
    acts, fsync, rename = [], os.fsync, Path.rename
    path_of = lambda number: Path(os.readlink(f"/proc/self/fd/{number}")).name
    monkeypatch.setattr(os, "fsync", lambda number: acts.append(path_of(number)) or fsync(number))
    monkeypatch.setattr(Path, "rename", lambda self, to: acts.append(f"{to.name}!") or rename(self, to))
    write(tmp_path / "m")
    assert set(acts[:3]) == {"config.json", "file", ".m.partial"} and acts[3:] == ["m!", tmp_path.name]
