"""The child process of sandbox: defines what a sample defines, calls its function, and can do little else.

It reads a job as JSON and writes the job's token in a line, and then [token, answers].
"""

import builtins
import io
import json
import os
import sys

MODULES = """bisect calendar cmath collections copy datetime decimal fractions functools heapq itertools math operator
random re statistics string textwrap typing""".split()


def limit_process(limits):
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


def close_doors():
    """Let the first act that Python audits end this process: an import, a file, a process, a look at a frame."""
    harmless, end = frozenset(("exec", "compile")), os._exit
    for name in ("mkfifo", "mknod"):  # the ways to make a file that Python does not audit
        for module in (os, sys.modules[os.name]):
            vars(module).pop(name, None)
    sys.addaudithook(lambda event, details: event in harmless or end(1))


def parse(source):
    """The tree of a source up to the last complete statement, or None; the last one at its top may be cut off."""
    lines = source.rstrip().split("\n")
    for end in [len(lines)] + [i for i in range(len(lines) - 1, 0, -1) if lines[i][:1].strip()][:1]:
        try:
            return compile("\n".join(lines[:end]), "<sample>", "exec", 0x400)  # ast.PyCF_ONLY_AST
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def takes(parameters, given):
    """How many of the given arguments a function takes, all if it can; -2 if it needs more or needs keywords."""
    places = len(parameters.posonlyargs + parameters.args)
    needs_keywords = any(default is None for default in parameters.kw_defaults)
    if needs_keywords or places - len(parameters.defaults) > given:
        return -2
    return given if parameters.vararg else min(places, given)


def choose(tree, given):
    """(how many arguments it takes, name) of the function that takes most of the given arguments, the last of these."""
    functions = [node for node in tree.body if type(node).__name__ == "FunctionDef"]
    counts = [(takes(function.args, given), i, function.name) for i, function in enumerate(functions)]
    count, _, name = max([(-1, -1, None), *counts])
    return max(count, 0), name


def stubs(printed, typed, files, output):
    """print, input and open for the sample: they write to a StringIO, pop typed lines, and read from a dictionary."""
    end, show = os._exit, print

    def say(*values, file=None, flush=False, **options):
        show(*values, file=printed, **options)
        if printed.tell() > output:
            end(1)  # no except of the sample stops this

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

    return {"print": say, "input": ask, "open": read}


def answers_of(job, tree, modules):
    """Define what the sample defines, and return what its function returns or prints for each call."""

    def find(name, globals=None, locals=None, fromlist=(), level=0):
        if name not in modules:
            raise ImportError(f"no module named {name} here")
        return modules[name]

    files, answers = job["files"] or {}, []
    count, name = choose(tree, len(job["calls"][0][0]))
    kinds = ("FunctionDef", "ClassDef", "Assign", "AnnAssign", "Import", "ImportFrom")
    known = vars(builtins) | {"__import__": find} | stubs(io.StringIO(), [], files, job["output"])
    namespace = {"__builtins__": known, "__name__": "sample"}
    for statement in tree.body:  # calls, loops and the like are not run
        if type(statement).__name__ in kinds:
            try:
                exec(compile(type(tree)([statement], []), "<sample>", "exec"), namespace)
            except Exception:  # such as `n = int(input())` beneath the function, for which nobody types anything
                pass
    for arguments, typed in job["calls"]:
        printed = io.StringIO()
        known.update(stubs(printed, typed, files, job["output"]))
        returned = namespace[name](*arguments[:count])
        answers.append(printed.getvalue() if returned is None else returned)
    return answers


def main():
    modules = {name: __import__(name) for name in [*MODULES, "_strptime"]}
    modules["random"].seed(0)
    job = json.load(sys.stdin)
    print(job["token"], flush=True)
    limit_process(job["limits"])
    tree = parse(job["source"])  # an error in it makes Python look for a file, which is an act
    if tree is None:
        return
    close_doors()
    print(json.dumps([job["token"], answers_of(job, tree, modules)], default=list), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
