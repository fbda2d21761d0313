"""Is a sampled function correct?

tasks    what a correct function is
sandbox  sampled code, run behind a fence
child    what runs it, a process that can do little else
"""
