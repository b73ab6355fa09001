"""Invocations: the answer untouched, the documented headers, the tail log, errors of functions, async acceptance."""

import base64

from fc import Case, REQUEST_ID


def tail(response):
    return base64.b64decode(response.headers["X-Fc-Log-Result"]).decode()


class Sync(Case):
    def test_an_answer_has_the_documented_headers(self):
        service = self.service_with()
        answer = self.fc.invoke_function(service, "f", b"hi")
        headers = answer.headers
        self.assertRegex(headers["X-Fc-Request-Id"], REQUEST_ID)
        self.assertEqual(headers["X-Fc-Invocation-Service-Version"], "LATEST")
        self.assertEqual(headers["X-Fc-Code-Checksum"], self.fc.get_function(service, "f").data["codeChecksum"])
        self.assertRegex(headers["X-Fc-Invocation-Duration"], r"^\d+$")
        self.assertRegex(headers["X-Fc-Max-Memory-Usage"], r"^\d+\.\d+$")
        self.assertRegex(headers["X-Fc-Instance-Id"], "^c-")
        self.assertEqual(headers["Content-Type"], "application/octet-stream")
        self.assertIn("x-fc-request-id", headers["Access-Control-Expose-Headers"])
        for absent in ("X-Fc-Log-Result", "X-Fc-Error-Type"):
            self.assertNotIn(absent, headers)

    def test_bytes_come_back_as_they_went(self):
        service = self.service_with()
        for event in (None, b"", b"hi", bytes(range(256)) * 64, "h\u00e9llo".encode(), b"{\"a\":1}", b"x" * (1 << 20)):
            with self.subTest(event=(event or b"")[:20]):
                self.assertEqual(self.fc.invoke_function(service, "f", event).data, event or b"")

    def test_every_event_has_an_id_of_its_own(self):
        service = self.service_with()
        ids = {self.fc.invoke_function(service, "f").headers["X-Fc-Request-Id"] for _ in range(5)}
        self.assertEqual(len(ids), 5)

    def test_the_tail_has_its_frame(self):
        service = self.service_with("rust-event")
        for kind in ("Sync", None):
            headers = {"x-fc-log-type": "Tail", **({"x-fc-invocation-type": kind} if kind else {})}
            answer = self.fc.invoke_function(service, "f", b'{"name":"Ann"}', headers=headers)
            log, request = tail(answer), answer.headers["X-Fc-Request-Id"]
            self.assertIn(f"FC Invoke Start RequestId: {request}\n", log)
            self.assertIn("greeting Ann", log)
            self.assertIn(f"FC Invoke End RequestId: {request}\n", log)
            self.assertRegex(log, r"Duration: [\d.]+ ms, Billed Duration: \d+ ms, Memory Size: 128 MB, Max Memory Used: ")

    def request_invoke(self, service, headers):
        return self.request("POST", f"/services/{service}/functions/f/invocations", headers=headers)

    def test_the_environment_reaches_the_guest(self):
        service = self.service_with("bad/secret-panic", environmentVariables={"API_TOKEN": "t-0-k-e-n"})
        answer = self.request_invoke(service, {"x-fc-log-type": "Tail"})
        self.assertIn("t-0-k-e-n", tail(answer), "its owner asked for the log")
        self.assertNotIn("t-0-k-e-n", answer.text)

    def test_a_reported_error_is_handled(self):
        service = self.service_with("rust-event")
        document = self.faulted("NoName", self.fc.invoke_function, service, "f", b'{"name":""}')
        self.assertEqual(document["errorMessage"], "a visitor needs a name")
        answer = self.request("POST", f"/services/{service}/functions/f/invocations", {"name": ""})
        self.assertEqual(answer.headers["X-Fc-Error-Type"], "HandledInvocationError")
        self.assertTrue(answer.headers["Content-Type"].startswith("application/json"))

    def test_a_crash_is_unhandled(self):
        for guest in ("trap", "rust-panic", "stack-overflow", "memory-hog", "exit-code", "initialize-fails"):
            with self.subTest(guest):
                service = self.service_with(f"bad/{guest}")
                self.faulted(None, self.fc.invoke_function, service, "f", b"x")
                answer = self.request("POST", f"/services/{service}/functions/f/invocations")
                self.assertEqual(answer.headers["X-Fc-Error-Type"], "UnhandledInvocationError")

    def test_a_timeout_says_after_how_long(self):
        for guest in ("infinite-loop", "sleeper"):
            with self.subTest(guest):
                service = self.service_with(f"bad/{guest}", timeout=1)
                document = self.faulted(None, self.fc.invoke_function, service, "f", b"x")
                self.assertIn("timed out after 1 second", document["errorMessage"])

    def test_the_newest_can_be_named(self):
        service = self.service_with()
        for qualifier in (None, "LATEST"):
            self.assertEqual(self.fc.invoke_function(service, "f", b"hi", qualifier=qualifier).data, b"hi")

    def test_what_is_not_there_is_not_found(self):
        service = self.service_with()
        invoke = self.fc.invoke_function
        self.refused(404, "ServiceNotFound", invoke, "py-no-such-service", "f")
        self.refused(404, "FunctionNotFound", invoke, service, "g")
        self.refused(404, "VersionNotFound", invoke, service, "f", qualifier="7")
        self.refused(404, "AliasNotFound", invoke, service, "f", qualifier="prod")

    def test_headers_with_no_such_value_are_refused(self):
        service = self.service_with()
        invoke = self.fc.invoke_function
        self.refused(400, "InvalidArgument", invoke, service, "f", headers={"x-fc-invocation-type": "Later"})
        error = self.refused(400, "InvalidArgument", invoke, service, "f", headers={"x-fc-log-type": "All"})
        self.assertIn("LogType is set to an invalid value (allowed: Tail | None, actual: 'All')", error.message)

    def test_too_large_an_event_is_refused(self):
        service = self.service_with()
        error = self.refused(400, "EntityTooLarge", self.fc.invoke_function, service, "f", b"x" * (33 << 20))
        self.assertIn("payload size exceeds maximum allowed size", error.message)


class Async(Case):
    HEADERS = {"x-fc-invocation-type": "Async"}

    def test_what_is_accepted_has_an_id_and_no_body(self):
        service = self.service_with()
        accepted = self.fc.invoke_function(service, "f", b"hi", headers=self.HEADERS)
        self.assertEqual(accepted.data, b"")
        self.assertRegex(accepted.headers["X-Fc-Request-Id"], REQUEST_ID)
        self.assertFalse(accepted.headers.get("Content-Type", "").startswith("application/json"))
        answer = self.request("POST", f"/services/{service}/functions/f/invocations", headers=self.HEADERS)
        self.assertEqual(answer.status_code, 202)

    def test_a_tail_is_not_to_be_had(self):
        service = self.service_with()
        headers = {**self.HEADERS, "x-fc-log-type": "Tail"}
        error = self.refused(400, "InvalidArgument", self.fc.invoke_function, service, "f", headers=headers)
        self.assertIn("(allowed: None, actual: 'Tail')", error.message)

    def test_128_kib_is_the_most(self):
        service = self.service_with()
        self.fc.invoke_function(service, "f", b"x" * (128 << 10), headers=self.HEADERS)
        self.refused(400, "EntityTooLarge", self.fc.invoke_function, service, "f", b"x" * ((128 << 10) + 1), headers=self.HEADERS)

    def test_the_target_must_be_there(self):
        service = self.service_with()
        invoke = self.fc.invoke_function
        self.refused(404, "FunctionNotFound", invoke, service, "g", headers=self.HEADERS)
        self.refused(404, "AliasNotFound", invoke, service, "f", headers=self.HEADERS, qualifier="prod")
