"""The package behind helpers.py, one subject a module, imports from top to bottom only.

errors      what a refused load or merge raises
files       the JSON files of a checkpoint folder, and what its tokenizer needs
palette     one colour, marker and hatch for each model
quiet       no reports of transformers in a cell
room        how much memory models take, and whether it is there
gguf        a GGUF file as a checkpoint folder
adapters    LoRA adapters as models of their own
text        prompts, and how a model continues them
loading     from a family, a folder or a Hub id to models with their tokenizers
tasks       what a correct function is
sandbox     sampled code, run behind a fence
scoring     how well a model predicts held-out text, and how much of what it writes is valid
tensors     a model as named tensors, each once, and what kind each is
checks      what is refused before any number is averaged
averaging   the weighted average itself, in place and in half precision
stored      where the tensors of a checkpoint lie on disk
interop     recipes that mergekit runs, and model cards
folders     a folder that is there when it is complete, written by one process at a time
checkpoints merges from disk to disk, and saving a merge
preflight   what can be known about models before their weights are loaded
sweeps      many merges, measured by Ray's workers
calibration text to fit and to choose merges on, and what a merge keeps of its parents' gains
mergekit_methods  SLERP, task arithmetic, TIES, DARE and others, by mergekit between our checks
methods     merges that read text: RegMean, Fisher, learned coefficients
recipes_mergekit  recipes for these methods, carried out by mergekit from disk to disk
measuring   time and memory of a piece of code
figures     the pictures and tables of the notebooks; figures_experiments, _methods and _real hold those of one topic
svg         pictures that are quick enough for a slider
live        what a live view is: controls, a picture, words, a text
views       the live views of the notebooks
exercise_form what all checks of exercises have in common
exercises   the checks of the exercises in 01 to 05; exercises_further those in 06 to 10
quiz        the quiz over the whole series, as a page and as a widget
"""

import os

# A repository that holds only a .bin would otherwise make transformers ask a conversion service in the background,
# and may download a second copy of the weights. Must be set before transformers is imported.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
