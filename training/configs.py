"""Configs of services in YAML, each with a sentence that asks for it: what a third specialist of SmolLM2 writes.

The sentence names the settings in any order and in several wordings; the config has them in the order of SETTINGS and
nested as there, and nothing else. So whether an answer is right can be computed: see is_config.
"""

import random

import yaml

from merging.measure.valid import Loader, is_too_much

NAMES = (
    "api auth billing cache gateway mailer metrics proxy queue scheduler search storage uploader webhook worker orders "
    "invoices sessions reports exports photos videos comments ratings tickets alerts payments coupons shipping returns"
).split()
HELDOUT_NAMES = "inventory profiles bookings messages recommendations subscriptions surveys calendars".split()
OWNERS = "ada bruno clara david elif farid greta hugo ines jonas kaya liam mara nils olga pavel rosa samir".split()


def settings(rng):
    """name of a setting -> (where it stands in the config, its value, wordings that ask for it)."""
    port, replicas, memory = rng.randint(1024, 9999), rng.randint(2, 9), rng.choice((64, 128, 256, 512, 1024, 2048))
    level, seconds, retries = rng.choice(("debug", "info", "warning", "error")), rng.randint(2, 90), rng.randint(2, 9)
    owner, place = rng.choice(OWNERS), rng.choice(("staging", "production", "testing", "development"))
    return {
        "owner": (("owner",), owner, (f"owned by {owner}", f"with owner {owner}")),
        "environment": (("environment",), place, (f"in {place}", f"for {place}")),
        "port": (("network", "port"), port, (f"on port {port}", f"with port {port}")),
        "timeout": (
            ("network", "timeout_s"),
            seconds,
            (f"with a timeout of {seconds} seconds", f"that waits {seconds} seconds"),
        ),
        "retries": (("network", "retries"), retries, (f"with {retries} retries", f"that tries {retries} times again")),
        "replicas": (("resources", "replicas"), replicas, (f"with {replicas} replicas", f"in {replicas} copies")),
        "memory": (
            ("resources", "memory_mb"),
            memory,
            (f"with {memory} MB of memory", f"that may take {memory} MB of memory"),
        ),
        "logs": (("logging", "level"), level, (f"with {level} logs", f"with log level {level}")),
        "encryption": (("security", "tls"), True, ("with encryption", "that speaks TLS")),
    }


def config(rng, names=NAMES):
    """(prompt, config as a dict) with a service's name and two to five settings."""
    name, known = rng.choice(names), settings(rng)
    chosen = rng.sample(list(known), rng.randint(2, 5))
    wanted = {"service": name}
    for place, value, _ in (known[setting] for setting in known if setting in chosen):
        group = wanted
        for key in place[:-1]:
            group = group.setdefault(key, {})
        group[place[-1]] = value
    asked = [rng.choice(known[setting][2]) for setting in chosen]
    return f"Write a YAML config for the service {name} {', '.join(asked[:-1])} and {asked[-1]}:", wanted


def config_text(wanted):
    """A config as the specialist learns to write it, behind the prompt."""
    return "\n\n" + yaml.safe_dump(wanted, sort_keys=False)


def pair(rng, names=NAMES):
    """(prompt, answer), to learn from."""
    prompt, wanted = config(rng, names)
    return prompt, config_text(wanted)


def heldout_configs(n=48):
    """n pairs (prompt, config) about services that no training saw."""
    rng = random.Random(2)
    return [config(rng, HELDOUT_NAMES) for _ in range(n)]


def is_config(text, wanted):
    """True if a text, or the first code fence in it, is YAML that says what is wanted, and nothing else."""
    fenced = text.split("```")
    text = fenced[1].removeprefix("yaml").removeprefix("yml") if len(fenced) > 1 else text
    if is_too_much(text):
        return False
    try:
        return yaml.load(text, Loader) == wanted
    except Exception:  # sampled text finds more ways to fail than YAMLError
        return False
