"""Checkpoints on disk.

stored       where the tensors of a checkpoint lie
folders      a folder that is there when it is complete, written by one process at a time
merge_config what mergekit runs, for each method
companions   what a checkpoint needs beside its weights
card         what a folder says about the merge in it
saving       saving a model that is in memory
sources      sources that are not stored as transformers writes them, stored so
checkpoints  merges from disk to disk
"""
