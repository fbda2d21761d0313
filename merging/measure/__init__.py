"""What a model predicts, writes and costs.

text      prompts, and how a model continues them
prompts   from a prompt to tokens and back
template  what a chat template writes first, found in a process of its own
bits      how well a model predicts text, and what a merge keeps of its parents' gains
ensembles an average of weights beside the average of what the models say
valid     whether a function or a recipe has the right form
style     whether a recipe holds what its style asks for
samples   texts sampled in batches, and the share of them that is valid
rows      many short answers, in a batch that loses its rows as they end
passes    whether a function is correct: the tasks, and a fence to run it behind
counts    how far a count may be trusted
texts     the texts that merges are fitted to, chosen on and reported on
cost      time and memory of a piece of code
sweeps    many merges, measured by Ray's workers
"""
