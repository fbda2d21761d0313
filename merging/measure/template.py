"""The child process of prompts: what a chat template writes before the first message.

Jinja has no bounds: 70 characters can loop for a year or fill the memory. This takes two seconds of CPU time and 500 MB
at most (Windows has only its parent's clock). It reads {template, tokens} as JSON and writes a list of texts.
"""

import json
import math
import sys
import time

import psutil
from transformers.utils.chat_template_utils import render_jinja_template

from merging.measure.passes.child import limit_process

HERE = "\N{WHITE SMILING FACE}here"


def start(messages, template, tokens):
    """What a template writes before the first message, "" if it does not write that."""
    try:
        [text], _ = render_jinja_template(conversations=[messages], chat_template=template, **tokens)
    except MemoryError:
        raise
    except Exception:  # a template may refuse a role, or miss what only its author knows
        return ""
    return text.partition(HERE)[0][:1000] if HERE in text else ""


if __name__ == "__main__":
    job = json.load(sys.stdin)
    limit_process(dict(CPU=math.ceil(time.process_time()) + 2, AS=psutil.Process().memory_info().vms + 500 * 2**20))
    user, system = ({"role": role, "content": HERE} for role in ("user", "system"))
    print(json.dumps([start(messages, **job) for messages in ([user], [system, user])]))
