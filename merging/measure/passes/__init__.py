"""Is a sampled function correct?

tasks    what a correct function is
skill    which part of small tasks a model solves
sandbox  sampled code, run behind a fence
child    what runs it, a process that can do little else
"""
