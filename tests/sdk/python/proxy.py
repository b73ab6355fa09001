"""Requests to HTTP functions through their trigger, by the SDK's `do_http_request`."""

from fc import Case, REQUEST_ID, SIGNED, client


class Proxy(Case):
    def http(self, guest="rust-http", auth="anonymous", methods=("GET", "POST")):
        """Makes a function with an HTTP trigger; the service's name."""
        service = self.service_with(guest)
        self.fc.create_trigger(service, "f", "h", "http", {"authType": auth, "methods": list(methods)}, None, None)
        return service

    def test_the_function_answers(self):
        service = self.http()
        answer = self.fc.do_http_request("GET", service, "f", "/")
        self.assertEqual(answer.status_code, 200)
        self.assertRegex(answer.headers["X-Fc-Request-Id"], REQUEST_ID)
        self.assertTrue(answer.text)
        self.assertEqual(self.fc.do_http_request("GET", service, "f", "").text, answer.text, "no path is the root")

    def test_body_type_and_status_go_through(self):
        service = self.http()
        headers = {"content-type": "text/x-poem"}
        answer = self.fc.do_http_request("POST", service, "f", "/invoke", headers=headers, body=b"roses \xff")
        self.assertEqual((answer.status_code, answer.content), (200, b"roses \xff"))
        self.assertEqual(answer.headers["Content-Type"], "text/x-poem")
        self.assertEqual(self.fc.do_http_request("GET", service, "f", "/nothing/here").status_code, 404)
        self.assertEqual(self.fc.do_http_request("GET", service, "f", "/invoke").status_code, 405)
        streamed = self.fc.do_http_request("POST", service, "f", "/echo", body=b"x" * (1 << 20))
        self.assertEqual(streamed.content, b"x" * (1 << 20))

    def test_paths_and_queries_are_signed_as_the_sdk_does_it(self):
        service = self.http(auth="function")
        query = {"k": ["1", "2"], "key with space": "value with space", "empty": ""}
        for path in ("/", "/echo", "/echo with space", "/a%20b"):
            with self.subTest(path):
                answer = self.fc.do_http_request("POST", service, "f", path, params=query, body=b"hi")
                self.assertIn(answer.status_code, (200, 404), answer.text)
                self.assertNotIn("X-Fc-Error-Type", answer.headers)

    def test_who_has_no_key_is_kept_out(self):
        if not SIGNED:
            self.skipTest("this server checks no signatures")
        service = self.http(auth="function")
        stranger = client(accessKeySecret="wrong")
        answer = stranger.do_http_request("GET", service, "f", "/")
        self.assertEqual(answer.status_code, 403)
        self.assertEqual(answer.headers["X-Fc-Error-Type"].lower(), "fccommonerror")
        self.assertEqual(answer.json()["ErrorCode"], "SignatureNotMatch")
        open_to_all = self.http(auth="anonymous")
        self.assertEqual(stranger.do_http_request("GET", open_to_all, "f", "/").status_code, 200)

    def test_methods_that_are_not_listed_are_refused(self):
        service = self.http(methods=("GET",))
        answer = self.fc.do_http_request("POST", service, "f", "/invoke", body=b"x")
        self.assertEqual(answer.status_code, 403)
        self.assertEqual(answer.headers["X-Fc-Error-Type"].lower(), "fccommonerror")
        self.assertTrue(answer.json()["ErrorMessage"])

    def test_without_a_trigger_there_is_nothing(self):
        service = self.service_with("rust-http")
        answer = self.fc.do_http_request("GET", service, "f", "/")
        self.assertEqual((answer.status_code, answer.json()["ErrorCode"]), (404, "TriggerNotFound"))
        self.assertEqual(self.fc.do_http_request("GET", service, "g", "/").json()["ErrorCode"], "FunctionNotFound")
        self.assertEqual(self.fc.do_http_request("GET", "py-no-such-service", "g", "/").json()["ErrorCode"], "ServiceNotFound")

    def test_a_crash_is_a_bad_gateway(self):
        for guest in ("bad/trap", "wat-echo"):
            with self.subTest(guest):
                service = self.http(guest)
                answer = self.fc.do_http_request("POST", service, "f", "/", body=b"x")
                self.assertEqual(answer.status_code, 502)
                self.assertEqual(answer.headers["X-Fc-Error-Type"], "UnhandledInvocationError")
                self.assertTrue(answer.json()["errorMessage"])

    def test_a_version_is_reached_by_its_trigger(self):
        service = self.service_with("rust-http")
        self.fc.publish_version(service)
        config = {"authType": "anonymous", "methods": ["GET"]}
        self.fc.create_trigger(service, "f", "h", "http", config, None, None, qualifier="1")
        self.assertEqual(self.fc.do_http_request("GET", f"{service}.1", "f", "/").status_code, 200)
        self.assertEqual(self.fc.do_http_request("GET", service, "f", "/").status_code, 404, "the newest has no trigger")

    def test_it_may_be_asynchronous(self):
        service = self.http()
        answer = self.fc.do_http_request("POST", service, "f", "/invoke", headers={"x-fc-invocation-type": "Async"}, body=b"x")
        self.assertEqual((answer.status_code, answer.content), (202, b""))
