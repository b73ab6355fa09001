"""What every noun stands on: the official client, a record of which of its methods were called, guests, and resources to try them on."""

import atexit
import io
import itertools
import json
import logging
import os
import re
import tempfile
import time
import unittest
import uuid
import zipfile

import fc2

# The SDK logs each refusal as an error; here most refusals are the point.
logging.disable(logging.CRITICAL)

URL = os.environ["SDK_TESTS_URL"]
KEY_ID, SECRET = os.environ["SDK_TESTS_KEY_ID"], os.environ["SDK_TESTS_KEY_SECRET"]
ACCOUNT = os.environ["SDK_TESTS_ACCOUNT"]
SIGNED = os.environ["SDK_TESTS_SIGNED"] == "1"
GUESTS = os.environ["SDK_TESTS_GUESTS"]

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
REQUEST_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_called = set()
_numbers = itertools.count(1)
_run = uuid.uuid4().hex[:6]
_home = tempfile.TemporaryDirectory()


@atexit.register
def _keep_called():
    path = os.environ.get("SDK_TESTS_CALLED")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in sorted(_called))


class Recording:
    """The client as it is; notes each method that came back with an answer instead of an error."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*arguments, **named):
            answer = found(*arguments, **named)
            _called.add(name)
            return answer

        return call


def client(**changes):
    """A client of the server under test."""
    settings = {"endpoint": URL, "accessKeyID": KEY_ID, "accessKeySecret": SECRET, "Timeout": 60}
    return Recording(fc2.Client(**{**settings, **changes}))


def wasm(guest):
    """The binary of an example, or of a bad guest as `bad/NAME`."""
    path = os.path.join(GUESTS, guest + ".wasm" if guest.startswith("bad/") else f"{guest}/{guest}.wasm")
    with open(path, "rb") as file:
        return file.read()


def package(guest):
    """The same as a zip."""
    return zipped(**{"main.wasm": wasm(guest)})


def zipped(**files):
    """A zip of these files."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


def kept(content):
    """The path of a file with that content, which the SDK reads."""
    path = os.path.join(_home.name, f"file-{next(_numbers)}")
    with open(path, "wb") as file:
        file.write(content)
    return path


def crc64(content):
    """CRC-64 of ECMA-182 as the service writes it: reflected, all ones in and out, as decimal text."""
    crc = (1 << 64) - 1
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return str(crc ^ ((1 << 64) - 1))


def unique(noun):
    """A name that no other test has."""
    return f"py-{noun}-{_run}-{next(_numbers)}"


def eventually(what, look, seconds=20):
    """Looks until there is something, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Case(unittest.TestCase):
    """A test with a client."""

    maxDiff = None

    def setUp(self):
        self.fc = client()

    def service(self, **settings):
        """Makes a service; its name."""
        name = unique("service")
        self.fc.create_service(name, **settings)
        return name

    def function(self, service, name="f", guest="wat-echo", **settings):
        """Makes a function of a guest; the response."""
        settings = {"memorySize": 128, "timeout": 10, **settings}
        return self.fc.create_function(service, name, "wasm", "handle", codeZipFile=kept(package(guest)), **settings)

    def service_with(self, guest="wat-echo", **settings):
        """Makes a service with one function `f`; the service's name."""
        service = self.service()
        self.function(service, guest=guest, **settings)
        return service

    def request(self, method, path, body=None, headers=None, params=None):
        """Signs and sends what the SDK has no method for, as the SDK would; the response of `requests`."""
        path = "/2016-08-15" + path
        headers = self.fc._build_common_headers(method, path, headers or {})
        content = None if body is None else json.dumps(body).encode()
        return self.fc._do_request(method, path, headers, params=params, body=content)

    def refused(self, status, code, call, /, *arguments, **named):
        """The call raises the documented error; what it raised. `code` may be one of several, `status` too."""
        statuses, codes = ([one] if isinstance(one, (int, str)) else one for one in (status, code))
        with self.assertRaises(fc2.FcError) as raised:
            call(*arguments, **named)
        error = raised.exception
        self.assertIn((error.status_code, error.err_code), [(s, c) for s in statuses for c in codes], error.message)
        self.assertRegex(error.request_id, REQUEST_ID)
        told = json.loads(error.message)
        self.assertTrue(told["ErrorMessage"], "an error says what is wrong")
        self.assertEqual(told["RequestId"], error.request_id)
        return error

    def faulted(self, kind, call, /, *arguments, **named):
        """The call ends as a function error, which the SDK raises with status 200; the error's document."""
        with self.assertRaises(fc2.FcError) as raised:
            call(*arguments, **named)
        error = raised.exception
        self.assertEqual(error.status_code, 200, error.message)
        self.assertRegex(error.request_id, REQUEST_ID)
        document = json.loads(error.message)
        self.assertIn("errorMessage", document)
        if kind:
            self.assertEqual(document.get("errorType"), kind)
        return document

    def told(self, response):
        """The response has what every answer has; its data."""
        self.assertRegex(response.headers["X-Fc-Request-Id"], REQUEST_ID)
        self.assertTrue(response.headers["Content-Type"].startswith("application/json"), response.headers)
        return response.data

    def tagged(self, response):
        """The response has a tag; the tag."""
        self.assertTrue(response.headers.get("ETag"), response.headers)
        return response.headers["ETag"]

    def assert_moments(self, record):
        """The record says when it was made and changed, in the documented form."""
        for key in ("createdTime", "lastModifiedTime"):
            self.assertRegex(record[key], MOMENT)
