"""Keep the reports and progress bars of transformers out of a cell while a model is read."""

from contextlib import contextmanager

import transformers


@contextmanager
def quiet():
    """No reports below an error and no progress bars inside of a with block."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()
