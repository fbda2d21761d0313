"""How the benchmarks time: rounds in changing order, medians, and random models of GPT-Neo-125M's shape."""

import random
import statistics

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from merging.measure.cost import clock

NEO = dict(vocab_size=50257, hidden_size=768, num_layers=12, num_heads=12, attention_types=[[["global", "local"], 6]])
SMOKE = dict(vocab_size=512, hidden_size=64, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]])


def median_times(rounds, **actions):
    """name -> median seconds; each round runs every action once and in another order, so that all see the same moods
    of the machine and nobody always runs after the same neighbour."""
    times = {name: [] for name in actions}
    for action in actions.values():
        action()
    dice, order = random.Random(1), list(actions.items())
    for _ in range(rounds):
        dice.shuffle(order)
        for name, action in order:
            times[name].append(seconds_of(action))
    return {name: statistics.median(values) for name, values in times.items()}


def seconds_of(action):
    """Seconds of one call, on a GPU with the work that it leaves behind; its result is freed outside of the time."""
    start = clock()
    result = action()
    seconds = clock() - start
    del result
    return seconds


def random_gpt_neo(settings, seed, device):
    torch.manual_seed(seed)
    return GPTNeoForCausalLM(GPTNeoConfig(**settings)).eval().to(device)
