"""The child process of prompts: what a chat template writes before the first message.

Jinja has no bounds: 70 characters can loop for a year or fill the memory. It reads {template, tokens} as JSON, takes
two seconds of CPU time and 500 MB at most (Windows has only its parent's clock), and writes a list of texts.
"""

import contextlib
import json
import math
import sys
import time

import psutil
from transformers.utils.chat_template_utils import render_jinja_template

HERE = "\N{WHITE SMILING FACE}here"
LONGEST = 1000  # characters of a start


def limit_process():
    """Limit what this process may take from now on."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; macOS has no limit on address space
        import resource

        seconds, memory = math.ceil(time.process_time()) + 2, psutil.Process().memory_info().vms + 500 * 2**20
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def start(messages, template, tokens):
    """What the template writes before the first message, "" if it does not write that."""
    try:
        [text], _ = render_jinja_template(conversations=[messages], chat_template=template, **tokens)
    except MemoryError:
        raise
    except Exception:  # a template may refuse a role, or miss what only its author knows
        return ""
    return text.partition(HERE)[0][:LONGEST] if HERE in text else ""


if __name__ == "__main__":
    job = json.load(sys.stdin)
    limit_process()
    user, system = ({"role": role, "content": HERE} for role in ("user", "system"))
    print(json.dumps([start(messages, **job) for messages in ([user], [system, user])]))
