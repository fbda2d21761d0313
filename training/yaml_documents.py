"""YAML documents that have nothing to do with beer, so that the base knows the format and not the recipes."""

import random

from training.draws import sized

FIRST_NAMES = (
    "Ada Bruno Clara David Elif Farid Greta Hugo Ines Jonas Kaya Liam Mara Nils Olga Pavel Rosa Samir "
    "Tove Uma Viktor Wanda Yusuf Zoe"
).split()
LAST_NAMES = (
    "Abbott Berger Costa Dahl Evans Fischer Garcia Hansen Ito Jansen Kowalski Lopez Moreau Novak Okafor "
    "Petrov Quinn Rossi Silva Tanaka"
).split()
TOWNS = (
    "Lisbon Oslo Leeds Porto Graz Turin Ghent Malmo Krakow Lyon Bergen Cork Basel Seville Tartu Bath Utrecht Zagreb"
).split()
NOUNS = (
    "river stone lamp harbour garden mirror signal window forest ladder copper engine paper winter bridge island "
    "market shadow silver thunder valley lantern meadow orbit pocket saddle tunnel velvet anchor beacon"
).split()
ADJECTIVES = (
    "quiet broken golden early distant hollow bright narrow wild patient frozen secret hidden gentle last second "
    "blue green"
).split()
SERVICES = (
    "api auth billing cache gateway mailer metrics proxy queue scheduler search storage uploader webhook worker".split()
)
TOOLS = "lint test build package deploy docs audit release format coverage".split()
FOODS = (
    "flour butter sugar eggs milk rice onions garlic tomatoes carrots chickpeas lentils basil cumin paprika cream "
    "cheese spinach potatoes mushrooms lemon parsley noodles vinegar salt"
).split()
DISHES = "soup stew pie salad cake bread curry risotto pancakes dumplings tart gratin".split()
VERBS = "Chop Fry Stir Bake Mix Simmer Roast Fold Rinse Grate Whisk Season".split()
GENRES = "novel essay poetry history travel biography mystery science fantasy drama".split()
SENSORS = {
    "temperature": (-20, 40),
    "humidity": (10, 100),
    "pressure": (960, 1045),
    "wind_speed": (0, 35),
    "rainfall": (0, 60),
    "sunshine": (0, 15),
    "soil_moisture": (2, 60),
    "uv_index": (0, 11),
}
SETTINGS = (
    "timeout retries debug log_level max_size workers interval region cache_ttl verbose threshold batch_limit color "
    "buffer port priority enabled ratio offset window"
).split()


def _value(rng):
    """Choose a scalar of any kind."""
    return rng.choice(
        (
            rng.randint(0, 100),
            rng.randint(100, 9999),
            round(rng.uniform(0, 50), 2),
            True,
            False,
            None,
            rng.choice(NOUNS),
            rng.choice(SERVICES),
            f"{rng.choice(ADJECTIVES)}-{rng.choice(NOUNS)}",
            [],
        )
    )


def _several(rng, low, high, make):
    """Make a list of between low and high things."""
    return [make() for _ in range(rng.randint(low, high))]


def _person(rng):
    """Choose a first and a last name."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def _title(rng):
    """Choose a title for a book or a song."""
    return rng.choice(("The ", "A ", "")) + f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}".title()


def _date(rng):
    """Choose a date."""
    return f"{rng.randint(1990, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _services(rng):
    """Make a service configuration."""

    def service():
        return {
            "name": rng.choice(SERVICES),
            "image": f"{rng.choice(NOUNS)}/{rng.choice(SERVICES)}",
            "replicas": rng.randint(1, 9),
            "ports": rng.sample(range(1024, 9999), rng.randint(0, 3)),
            "env": _several(rng, 0, 2, lambda: {"key": rng.choice(SETTINGS).upper(), "value": _value(rng)}),
        }

    settings = rng.sample(SETTINGS, rng.randint(2, 5))
    return {
        "version": rng.randint(1, 4),
        rng.choice(("services", "apps", "units")): _several(rng, 2, 4, service),
        rng.choice(("defaults", "settings", "options")): {key: _value(rng) for key in settings},
    }


def _pipeline(rng):
    """Make a continuous-integration pipeline."""

    def job():
        return {
            "job": f"{rng.choice(TOOLS)}-{rng.choice(NOUNS)}",
            "runs_on": rng.choice(("linux", "macos", "windows", "arm64")),
            "needs": rng.choice(([], [rng.choice(TOOLS)], None)),
            "steps": _several(rng, 1, 4, lambda: {"run": f"make {rng.choice(TOOLS)}", "timeout": rng.randint(1, 60)}),
        }

    return {
        "pipeline": rng.choice(NOUNS),
        "branches": rng.sample(("main", "develop", "stable", "next"), rng.randint(1, 3)),
        "jobs": _several(rng, 2, 4, job),
    }


def _inventory(rng):
    """Make an inventory of machines or of a shop."""

    def host():
        return {
            "host": f"{rng.choice(NOUNS)}{rng.randint(1, 40)}",
            "address": f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
            "roles": rng.sample(SERVICES, rng.randint(0, 3)),
            "memory": rng.choice((4, 8, 16, 32, 64)),
        }

    def item():
        return {
            "sku": f"{rng.choice('ABCDEF')}{rng.randint(100, 9999)}",
            "item": f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}",
            "stock": rng.randint(0, 300),
            "price": round(rng.uniform(0.5, 250), 2),
            "supplier": rng.choice((None, rng.choice(LAST_NAMES))),
        }

    return {
        "site": rng.choice(TOWNS),
        "updated": _date(rng),
        "inventory": _several(rng, 2, 6, rng.choice((host, item))),
    }


def _cooking(rng):
    """Make instructions for a dish."""
    foods = rng.sample(FOODS, rng.randint(3, 6))
    units = {"g": (50, 800), "ml": (20, 500), "tbsp": (1, 5), "pieces": (1, 8), "cups": (1, 4)}

    def ingredient(food):
        unit = rng.choice(list(units))
        return {"name": food, "quantity": rng.randint(*units[unit]), "unit": unit}

    return {
        "title": f"{foods[0]} {rng.choice(DISHES)}".capitalize(),
        "serves": rng.randint(1, 10),
        "oven": rng.choice((None, 160, 180, 200, 220)),
        "ingredients": [ingredient(food) for food in foods],
        "steps": _several(
            rng, 2, 5, lambda: f"{rng.choice(VERBS)} the {rng.choice(foods)} for {rng.randint(1, 40)} minutes"
        ),
        "tags": rng.sample(("vegan", "quick", "spicy", "festive", "cheap"), rng.randint(0, 2)),
    }


def _books(rng):
    """Make a book catalogue."""

    def book():
        return {
            "title": _title(rng),
            "author": _person(rng),
            "year": rng.randint(1850, 2024),
            "pages": rng.randint(60, 900),
            "genres": rng.sample(GENRES, rng.randint(0, 2)),
            "rating": rng.choice((None, round(rng.uniform(1, 5), 1))),
        }

    return {"library": rng.choice(TOWNS), "books": _several(rng, 2, 5, book)}


def _addresses(rng):
    """Make an address book."""

    def contact():
        first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        return {
            "first": first,
            "last": last,
            "email": f"{first}.{last}@{rng.choice(NOUNS)}.example".lower(),
            "address": {"street": f"{rng.choice(NOUNS).title()} Road {rng.randint(1, 200)}", "town": rng.choice(TOWNS)},
            "phones": _several(rng, 0, 2, lambda: rng.randint(200000, 999999)),
            "birthday": rng.choice((None, _date(rng))),
        }

    return {rng.choice(("contacts", "people", "members")): _several(rng, 2, 4, contact)}


def _playlist(rng):
    """Make a playlist."""

    def track():
        return {
            "title": _title(rng),
            "artist": rng.choice((_person(rng), f"The {rng.choice(NOUNS).title()}s")),
            "seconds": rng.randint(90, 600),
            "liked": rng.random() < 0.5,
        }

    return {
        "playlist": _title(rng),
        "owner": rng.choice(FIRST_NAMES),
        "shuffle": rng.random() < 0.5,
        "tracks": _several(rng, 3, 8, track),
    }


def _weather(rng):
    """Make a list of weather stations and their readings."""

    def reading():
        sensor = rng.choice(list(SENSORS))
        return {"sensor": sensor, "value": round(rng.uniform(*SENSORS[sensor]), 1), "ok": rng.random() < 0.9}

    def station():
        return {
            "station": rng.choice(TOWNS),
            "altitude": rng.randint(0, 2500),
            "latitude": round(rng.uniform(35, 65), 3),
            "longitude": round(rng.uniform(-10, 30), 3),
            "readings": _several(rng, 0, 4, reading),
        }

    return {"network": rng.choice(NOUNS), "date": _date(rng), "stations": _several(rng, 2, 4, station)}


def _scalar(value):
    """Write a scalar as plain YAML."""
    words = {None: "null", True: "true", False: "false"}
    # 0 == False and 1 == True, so only the three constants themselves are looked up.
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _yaml_lines(value, shift):
    """Write nested maps and lists, with list items indented by shift below their key."""
    lines = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                pad = " " * (shift if isinstance(inner, list) else 2)
                lines += [f"{key}:"] + [pad + line for line in _yaml_lines(inner, shift)]
            else:
                lines.append(f"{key}: {'[]' if inner == [] else _scalar(inner)}")
        return lines
    for item in value:
        inner = _yaml_lines(item, shift) if isinstance(item, (dict, list)) else [_scalar(item)]
        lines += [("  " if place else "- ") + line for place, line in enumerate(inner)]
    return lines


def yaml_document(rng: random.Random) -> str:
    """Write a YAML document that has nothing to do with beer."""
    make = rng.choice((_services, _pipeline, _inventory, _cooking, _books, _addresses, _playlist, _weather))
    shift = rng.choice((0, 0, 2))
    return sized(rng, lambda source: "\n".join(_yaml_lines(make(source), shift)))
