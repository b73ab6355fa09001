"""A costly initializer in Python: parses a catalogue of 50,000 items from JSON and indexes it before the first event, which then is one
look-up. What a module does at its top level componentize-py has done already when it built the component; what needs the function's own
surroundings (its name, variables, grants) can only be done in the initializer, and isolation `snapshot` does it once."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import logging
from wit_world.imports.types import Context, Error

ITEMS = 50_000

catalogue: dict[str, dict] = {}
built_for = ""
served = 0


class Initializer(exports.Initializer):
    def initialize(self, context: Context) -> None:
        global catalogue, built_for
        logging.log(logging.Level.INFO, "", f"building the catalogue of {context.function}")
        catalogue = {item["sku"]: item for item in json.loads(document())}
        built_for = context.function


class Handler(exports.Handler):
    def handle(self, event: bytes, context: Context) -> bytes:
        global served
        try:
            item = catalogue[json.loads(event)]
        except KeyError as error:
            raise Err(Error("NoSuchItem", f"the catalogue has {len(catalogue)} items, and not {error}", []))
        except (ValueError, TypeError) as error:
            raise Err(Error("InvalidEvent", f"{type(error).__name__}: {error}", []))
        served += 1
        return json.dumps({"price": item["price"], "served": served, "builtFor": built_for}).encode()


def document() -> str:
    """As text, so that there is something to parse. Prices are steps of a xorshift generator from a fixed seed."""
    state = 0x9E3779B9
    items = []
    for number in range(ITEMS):
        state = (state ^ (state << 13)) & 0xFFFFFFFF
        state ^= state >> 17
        state = (state ^ (state << 5)) & 0xFFFFFFFF
        items.append(
            f'{{"sku":"item-{number}","price":{state % 10_000},"tags":["a{number % 7}","b{number % 11}"]}}'
        )
    return f"[{','.join(items)}]"
