"""What a refused load or a refused merge raises; the message says what, where, and what to do."""


class LoadError(OSError):
    """A model could not be loaded; the message says which, why, and the way out."""


class MergeError(ValueError):
    """Models, weights or a selection that cannot be merged; the message names the tensor and the remedy."""
