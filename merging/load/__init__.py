"""From an id, a folder, an adapter or a GGUF file to models.

quiet     no reports of transformers in a cell
device    which processor computes, in which dtype, on how many threads
memory    how much memory models take, and whether it is there
limits    how much the settings of a file may ask for
files     the JSON files of a checkpoint folder, and what its tokenizer needs
kinds     what a folder is: a whole model, an adapter, or neither
layout    which tensors a configuration stands for, in memory and on disk
reading   a checkpoint folder as a model, whole or not at all
vocabulary models with other vocabularies, cut to common rows or given the rows of all
gguf      a GGUF file as a checkpoint folder
gguf_parts what a GGUF file is by its header, and parts made one file
adapters  LoRA adapters as models of their own
loading   from a family, a folder or a Hub id to models with their tokenizers
preflight what can be known about models before their weights are loaded
"""
