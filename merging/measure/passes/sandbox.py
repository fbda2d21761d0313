"""Is a sampled function correct? Run it on a few inputs, in a process of its own that can do little else.

This is a fence around what a tutorial's own models write, not a security product: do not put strangers' code into it.
Three layers, each of which would do for an accident: only syntax that such functions need is run at all (`allowed`);
it finds a short list of builtins and no modules; and the child process ends at its first audited act (an import, a
file, a process, a look at a frame), or at its limits on time, memory and output. Windows has only the limits on time
and output, and macOS does not keep to the one on memory.
"""

import ast
import contextlib
import inspect
import json
import math
import os
import re
import secrets
import signal
import string
import subprocess
import sys
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

from merging.measure.passes.tasks import FILE_TASK, FILES, TASKS

TIMEOUT = 2.0  # seconds of CPU time for all examples of a task; Python's start takes some hundredths of them


PATIENCE = 3 if os.name == "nt" else 15  # times as long by the clock, which alone ends what has no limit on CPU time


MEMORY = 256 * 2**20  # bytes of address space; Python itself takes about 20 MB


OUTPUT = 10_000  # characters that a call may print, and bytes of all answers together


CODE = 10_000  # characters of a sample; 200 tokens are about 1,000


NODES = tuple(
    getattr(ast, name)
    for name in """
    Module FunctionDef arguments arg keyword Return Assign AugAssign AnnAssign Delete For While If With withitem Raise
    Try ExceptHandler Assert Expr Pass Break Continue BoolOp BinOp UnaryOp Lambda IfExp Dict Set List Tuple ListComp
    SetComp DictComp GeneratorExp comprehension Compare Call FormattedValue JoinedStr Constant Attribute Subscript
    Starred Name Slice expr_context boolop operator unaryop cmpop
    """.split()
)


METHODS = frozenset(
    """
    capitalize casefold center count endswith find index isalnum isalpha isdecimal isdigit islower isnumeric isspace
    istitle isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition
    rsplit rstrip split splitlines startswith strip swapcase title upper zfill
    append clear copy extend insert pop remove reverse sort
    fromkeys get items keys popitem setdefault update values
    add difference discard intersection isdisjoint issubset issuperset symmetric_difference union
    is_integer close read readline readlines
    """.split()
)


NAMES = frozenset(
    """
    abs all any bool chr dict divmod enumerate filter float input int isinstance len list map max min ord print range
    reversed round set sorted str sum tuple zip
    Exception EOFError FileNotFoundError IndexError KeyError OSError TypeError ValueError ZeroDivisionError
    """.split()
)


def correct_share(samples, timeout=TIMEOUT, workers=2):
    """Share of samples, pairs of a task and the code that was sampled for it, that are correct; ValueError for none."""
    samples = list(samples)
    if not samples:
        raise ValueError("There are no samples to count: give at least one pair of task and code.")
    with ThreadPoolExecutor(workers) as pool:  # the threads only wait: each sample runs in a process of its own
        return sum(pool.map(lambda sample: passes(sample[1], sample[0], timeout), samples)) / len(samples)


def passes(code, task, timeout=TIMEOUT):
    """True if sampled code is correct: it may be run and gives what is expected for each example of one of TASKS.

    code: what was sampled, without the prompt. timeout: CPU seconds for all examples, rounded up. Refused code, an
    error in any example and a limit that was reached are all False. ValueError for a task without examples,
    RuntimeError if the child process cannot start, which says nothing about the sample.
    """
    if task not in TASKS:
        raise ValueError(f"There are no examples for {task!r}. Choose a task of sandbox.TASKS.")
    judge, examples = TASKS[task]
    arguments = [example[0] for example in examples]
    answers = run_code(code, arguments, timeout, FILES if task == FILE_TASK else None)
    if answers is None:
        return False
    readings = zip(*(example[1:] for example in examples))
    return any(all(map(judge, answers, reading, arguments)) for reading in readings)


def run_code(code, calls, timeout=TIMEOUT, files=None):
    """What a sampled function answers to each list of arguments, or None if it is refused or does not get that far.

    Of the top-level functions it is the one that takes most of the first call's arguments, the last of these. An answer
    is what it returns, or what it printed if it returns None, with tuples, sets and iterators as lists. input() gives
    it the arguments as text, one after the other. files: name -> text for an open() that reads these and nothing else.
    """
    if allowed(code, files):
        return None
    source, tree = _parse(code)
    name, count = _choose(tree, len(calls[0]))
    if name is None:
        return None
    calls = [(arguments[:count], [_typed(argument) for argument in arguments]) for arguments in calls]
    return _ask_child(dict(source=source, name=name, calls=calls, files=files), timeout)


def allowed(code, files=None):
    """None if the code may be run, or why it is refused: its first part that is not on the lists above.

    files: as in run_code; with any, open is one of the names. The last top-level statement may be cut off, and does
    not count then; nor does what stands under `if __name__ == ...`, since it is not run.
    """
    parsed = _parse(code)
    if parsed is None:
        return "it is too long or does not parse"
    nodes = list(ast.walk(parsed[1]))
    names = NAMES.union(["open"] if files else [], *map(_bound, nodes))
    return next(filter(None, (_refusal(node, names) for node in nodes)), None)


_PARSING = threading.Lock()  # warnings.catch_warnings changes what all threads see


def _parse(code):
    """(the source up to its last complete top-level statement, its tree without what only a script runs), or None."""
    if len(code) > CODE:
        return None
    lines = code.rstrip().split("\n")
    for end in [len(lines)] + [i for i in range(len(lines) - 1, 0, -1) if lines[i][:1].strip()][:1]:
        source = "\n".join(lines[:end])
        try:
            with _PARSING, warnings.catch_warnings(action="ignore"):  # sampled code provokes Python's own warnings
                tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        tree.body = [statement for statement in tree.body if not _is_main(statement)]
        return source, tree
    return None


def _is_main(statement):
    """True for a top-level `if __name__ == ...`."""
    test = getattr(statement, "test", None)
    return isinstance(statement, ast.If) and isinstance(test, ast.Compare) and "__name__" in _identifiers(test.left)


def _identifiers(node):
    """The names that a node itself holds: read, bound, or given with an argument; methods are not among them."""
    return [name for field in ("id", "arg", "name") if isinstance(name := getattr(node, field, None), str)]


def _bound(node):
    """The names that a node gives a value to."""
    is_read = isinstance(node, ast.keyword) or isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    return [] if is_read else _identifiers(node)


def _refusal(node, names):
    """None, or why one node of a tree is refused; names: those that may be read."""
    if not isinstance(node, NODES):
        return f"{type(node).__name__} is not on the list"
    if isinstance(node, ast.Attribute) and not (node.attr in METHODS or _is_plain_format(node)):
        return f".{node.attr} is not on the list"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return "decorators are not on the list"
    for name in _identifiers(node):
        if name.startswith("__") or name.endswith("__") or isinstance(node, ast.Name) and name not in names:
            return f"the name {name} is not on the list"
    return None


def _is_plain_format(node):
    """True for "...".format on a literal whose fields are names or numbers; "{0.__class__}" would read attributes."""
    if node.attr != "format" or not isinstance(node.value, ast.Constant) or not isinstance(node.value.value, str):
        return False
    try:
        fields = [field for _, *field, _ in string.Formatter().parse(node.value.value)]
    except ValueError:
        return False
    return all(re.fullmatch(r"\w*", name or "") and "{" not in (form or "") for name, form in fields)


def _choose(tree, given):
    """(name, how many of the given arguments it gets) of the function to call; (None, 0) if none can be called."""
    chosen, most = None, -1
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and (count := _takes(statement.args, given)) >= most:
            chosen, most = statement.name, count
    return chosen, max(most, 0)


def _takes(parameters, given):
    """How many of the given arguments a function takes, all if it can; -2 if it needs more or needs keywords."""
    places = len(parameters.posonlyargs + parameters.args)
    needs_keywords = any(default is None for default in parameters.kw_defaults)
    if needs_keywords or places - len(parameters.defaults) > given:
        return -2
    return given if parameters.vararg else min(places, given)


def _typed(argument):
    """An argument as someone would type it."""
    return " ".join(map(str, argument)) if isinstance(argument, list) else str(argument)


def _ask_child(job, timeout):
    """Run a job in a child process, and return its answers, or None if it ended without, was killed, or sent else."""
    token = secrets.token_hex(16)  # only who knows it can answer, and the sample does not
    limits = dict(CPU=math.ceil(timeout), AS=MEMORY, FSIZE=OUTPUT, NOFILE=0, NPROC=0, CORE=0)
    job = json.dumps(job | dict(token=token, limits=limits, names=sorted(NAMES), output=OUTPUT)).encode()
    with tempfile.TemporaryFile() as said:  # unlike a pipe it is never full, never left open, and limited in size
        _run_child(job, said, timeout * PATIENCE)
        said.seek(0)
        return _read_answers(said.read(OUTPUT).decode(errors="replace"), token)


def _run_child(job, said, seconds):
    """Let a new Python do a job and write to an open file, for at most so many seconds."""
    # Like -I, but with a PYTHONHASHSEED, which gives sets the same order every time. It does not see our environment.
    command = [sys.executable, "-P", "-s", "-S", "-W", "ignore", "-c", CHILD]
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    options = dict(stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
    with subprocess.Popen(command, env=kept | {"PYTHONHASHSEED": "0"}, **options) as child:
        try:
            child.communicate(job, seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when the reader interrupts the cell
            _kill(child)


def _kill(child):
    """End a child process that still runs, and whatever it started."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
            os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()


def _read_answers(said, token):
    """The answers in what a child wrote, the token in a line and then [token, answers]; None without answers.

    RuntimeError if it did not come as far as the first line.
    """
    started, _, rest = said.partition("\n")
    if started.strip() != token:
        raise RuntimeError(
            f"{sys.executable} did not start, or not in time, so the sample was not run. A larger timeout helps where "
            f"the machine is busy. It said: {said or 'nothing.'}"
        )
    try:
        sender, answers = json.loads(rest)
    except (ValueError, TypeError, RecursionError):
        return None
    return answers if sender == token else None


def _limit_process(limits):
    """Limit this process: the name of each limit and its value, in seconds, bytes or pieces."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, limit in limits.items():
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
        except (ValueError, OSError):  # macOS has no limit on address space; others may have a lower one already
            pass


def _compile_parts(source):
    """Code of each top-level function and assignment; calls, loops and the like are not run."""
    tree = compile(source, "<sample>", "exec", 0x400)  # ast.PyCF_ONLY_AST, without the time to import ast
    kinds = ("FunctionDef", "Assign", "AnnAssign")
    parts = [type(tree)([statement], []) for statement in tree.body if type(statement).__name__ in kinds]
    return [compile(part, "<sample>", "exec") for part in parts]


def _stubs(printed, typed, files, output):
    """print, input and open for the sample: they write to a StringIO, pop typed lines, and read from a dictionary."""
    import io
    import os

    def say(*values, sep=" ", end="\n", flush=False):
        print(*values, sep=sep, end=end, file=printed)
        if printed.tell() > output:
            os._exit(1)  # no except of the sample stops this

    def ask(prompt=""):
        if not typed:
            raise EOFError
        return typed.pop(0)

    def read(path, mode="r", *others, **options):
        if mode not in ("r", "rt"):
            raise OSError("Files are read-only here.")
        if path not in files:
            raise FileNotFoundError(path)
        return io.StringIO(files[path])

    return {"print": say, "input": ask} | ({"open": read} if files else {})


def _answer_job():
    """Run the sample that stands on standard input, and write the token, and then [token, answers], a line each."""
    import builtins
    import json
    import os
    import sys

    job = json.load(sys.stdin)
    print(job["token"], flush=True)
    parts, names = _compile_parts(job["source"]), {name: getattr(builtins, name) for name in job["names"]}
    _limit_process(job["limits"])
    sys.addaudithook(lambda event, details: event == "exec" or os._exit(1))
    answers = _answer_calls(parts, names, job)
    print(json.dumps([job["token"], answers], default=list), flush=True)
    os._exit(0)


def _answer_calls(parts, names, job):
    """Define what the sample defines, and return what its function returns or prints for each call."""
    import io

    namespace, answers = {"__builtins__": names | _stubs(io.StringIO(), [], job["files"], job["output"])}, []
    for part in parts:
        try:
            exec(part, namespace)
        except Exception:  # such as `n = int(input())` beneath the function, for which nobody types anything
            pass
    for arguments, typed in job["calls"]:
        printed = io.StringIO()
        namespace["__builtins__"].update(_stubs(printed, typed, job["files"], job["output"]))
        returned = namespace[job["name"]](*arguments)
        answers.append(printed.getvalue() if returned is None else returned)
    return answers


CHILD = "\n\n".join(map(inspect.getsource, (_limit_process, _compile_parts, _stubs, _answer_calls, _answer_job)))


CHILD += "\n\n_answer_job()\n"
