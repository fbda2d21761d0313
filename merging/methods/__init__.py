"""Merges beyond the average.

mergekit  SLERP, task arithmetic, TIES, DARE and others, by mergekit between our checks
batches   text as batches of tokens, and gradient steps on it
regmean   each linear layer answers each model's inputs as that model did
fisher    a number counts as much as a text moves with it
lambdas   task vectors with learned coefficients
spectral  the sum of the task vectors with equal singular values
plane     where a model lies in the plane of three
"""
