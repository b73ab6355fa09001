"""Errors: a code for programs, a message for people, an id for both; for wrong turns too."""

import json

import fc2
import requests

from fc import URL, Case


class Errors(Case):
    def test_what_the_sdk_raises(self):
        error = self.refused(404, "ServiceNotFound", self.fc.get_service, "py-no-such-service")
        self.assertEqual(json.loads(error.message), {
            "ErrorCode": "ServiceNotFound", "ErrorMessage": "service 'py-no-such-service' does not exist", "RequestId": error.request_id})

    def test_every_refusal_has_an_id_of_its_own(self):
        ids = {self.refused(404, "ServiceNotFound", self.fc.get_service, "py-no-such-service").request_id for _ in range(5)}
        self.assertEqual(len(ids), 5)

    def test_wrong_turns_are_told_like_everything_else(self):
        for method, path in (("GET", "/nothing"), ("PATCH", "/services"), ("POST", "/services/s/functions/f"), ("DELETE", "/services"),
                             ("GET", "/services/s/functions/f/instances/i/x/y/z"), ("GET", "/services//functions")):
            with self.subTest(f"{method} {path}"):
                codes = ("PathNotSupported", "ServiceNotFound", "InvalidArgument")
                error = self.refused((400, 404, 405), codes, self.request, method, path)
                self.assertTrue(json.loads(error.message)["ErrorMessage"])

    def test_bodies_that_are_no_objects_are_refused(self):
        service = self.service_with()
        for body in (None, [], "text", 7, [{}], {"code": "x", "functionName": []}):
            with self.subTest(body=body):
                self.refused(400, "InvalidArgument", self.request, "POST", f"/services/{service}/functions", body)
        for content in (b"", b"{", b"\xff\xfe", b"[" * 100000, b'{"description":' + b'{"a":' * 5000, b'{"a":1}{"b":2}'):
            with self.subTest(content=content[:20]):
                path = f"/2016-08-15/services/{service}"
                headers = self.fc._build_common_headers("PUT", path)
                self.refused(400, "InvalidArgument", self.fc._do_request, "PUT", path, headers, body=content)

    def test_any_json_type_of_a_body_will_do(self):
        service = self.service()
        headers = {"content-type": "application/json; charset=utf-8"}
        self.assertEqual(self.fc.update_service(service, description="d", headers=headers).data["description"], "d")

    def test_an_error_of_a_server_that_is_gone_is_the_clients(self):
        nobody = fc2.Client(endpoint="http://127.0.0.1:1", accessKeyID="a", accessKeySecret="b", Timeout=1)
        self.assertRaises(requests.exceptions.ConnectionError, nobody._do_request, "POST", "/2016-08-15/services", {})

    def test_answers_outside_the_api_have_ids_too(self):
        answer = requests.get(f"{URL}/", timeout=10)
        self.assertGreaterEqual(answer.status_code, 400)
        self.assertTrue(answer.headers["X-Fc-Request-Id"])
        self.assertTrue(answer.json()["ErrorCode"])
