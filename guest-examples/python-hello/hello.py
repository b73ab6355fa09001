"""An event function in Python: greets by name. An `Err` is the function's own error, any other exception is a crash."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import logging
from wit_world.imports.types import Context, Error


class Handler(exports.Handler):
    def handle(self, event: bytes, context: Context) -> bytes:
        try:
            name = json.loads(event)["name"]
        except (ValueError, LookupError, TypeError) as error:
            raise Err(Error("InvalidEvent", f"{type(error).__name__}: {error}", []))
        if not name:
            raise Err(Error("NoName", "a visitor needs a name", []))
        logging.log(logging.Level.INFO, "", f"greeting {name} in request {context.request_id}")
        return json.dumps({"message": f"hello {name}"}).encode()
