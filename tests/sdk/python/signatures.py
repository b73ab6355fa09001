"""Signed requests: who signs as documented is let in, and nobody else. Needs a server that checks."""

import email.utils
import time
import unittest

import requests

from fc import ACCOUNT, KEY_ID, SECRET, SIGNED, URL, Case, client


def moment(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@unittest.skipUnless(SIGNED, "this server checks no signatures")
class Signatures(Case):
    def test_a_wrong_secret_does_not_match(self):
        error = self.refused(403, "SignatureNotMatch", client(accessKeySecret="wrong").list_services)
        self.assertIn("does not match the signature you provided", error.message)
        self.assertNotIn(SECRET, error.message)

    def test_a_key_nobody_has(self):
        error = self.refused(403, "InvalidAccessKeyID", client(accessKeyID="nobody").list_services)
        self.assertIn("invalid access key ID 'nobody'", error.message)

    def test_clocks_may_be_fifteen_minutes_apart(self):
        for seconds in (-14 * 60, 14 * 60):
            self.told(self.fc.list_services(headers={"date": moment(seconds)}))
        for seconds in (-16 * 60, 16 * 60, -86400 * 365):
            self.refused(403, "RequestTimeTooSkewed", self.fc.list_services, headers={"date": moment(seconds)})

    def test_a_date_that_is_none(self):
        for date in ("", "yesterday", "0"):
            with self.subTest(date):
                self.refused((400, 403), ("MissingRequiredHeader", "InvalidArgument", "RequestTimeTooSkewed", "AccessDenied"),
                             self.fc.list_services, headers={"date": date})

    def test_the_other_date_counts_too(self):
        self.told(self.fc.list_services(headers={"x-fc-date": moment(0)}))
        self.refused(403, "RequestTimeTooSkewed", self.fc.list_services, headers={"x-fc-date": moment(-3600)})

    def raw(self, method, path, headers):
        return requests.request(method, f"{URL}{path}", headers=headers, timeout=10)

    def test_what_is_not_signed_is_not_served(self):
        path = "/2016-08-15/services"
        for authorization in (None, "", "FC", "FC :", f"FC {KEY_ID}", f"FC {KEY_ID}:", f"FC {KEY_ID}:!!!", "Basic YTpi",
                              "FC " + "x" * 5000):
            with self.subTest(authorization=authorization and authorization[:30]):
                headers = self.fc._build_common_headers("GET", path)
                headers.pop("authorization")
                if authorization is not None:
                    headers["authorization"] = authorization
                answer = self.raw("GET", path, headers)
                self.assertIn(answer.status_code, (400, 403), answer.text)
                self.assertIn(answer.json()["ErrorCode"], (
                    "MissingRequiredHeader", "AccessDenied", "SignatureNotMatch", "InvalidAccessKeyID", "InvalidArgument"))

    def test_a_signature_is_for_one_request(self):
        path = "/2016-08-15/services"
        headers = self.fc._build_common_headers("GET", path)
        self.assertEqual(self.raw("GET", path, headers).status_code, 200)
        for method, other, change in (("GET", path + "/x", {}), ("DELETE", path, {}), ("GET", path, {"content-type": "text/plain"}),
                                      ("GET", path, {"content-md5": "x"}), ("GET", path, {"x-fc-trace-id": "x"}),
                                      ("GET", path, {"date": moment(1)})):
            with self.subTest(method=method, path=other, change=change):
                answer = self.raw(method, other, {**headers, **change})
                self.assertEqual((answer.status_code, answer.json()["ErrorCode"]), (403, "SignatureNotMatch"))

    def test_names_that_need_escapes_are_signed_either_way(self):
        self.refused((400, 404), ("ServiceNotFound", "InvalidArgument"), self.fc.get_service, "py%20no")
        self.refused((400, 404), ("ServiceNotFound", "InvalidArgument"), self.fc.get_service, "\u00e4")

    def test_nothing_happens_without_a_signature(self):
        name = self.service()
        stranger = client(accessKeySecret="wrong")
        for call in (lambda: stranger.delete_service(name), lambda: stranger.update_service(name, description="taken"),
                     lambda: stranger.invoke_function(name, "f", b"x"), lambda: stranger.create_service(name + "x")):
            self.refused(403, "SignatureNotMatch", call)
        self.assertEqual(self.fc.get_service(name).data["description"], "")
        self.refused(404, "ServiceNotFound", self.fc.get_service, name + "x")

    def test_a_token_nobody_gave(self):
        self.refused(403, ("InvalidSecurityToken", "AccessDenied", "SignatureNotMatch"), client(securityToken="made-up").list_services)

    def test_another_account_is_kept_out(self):
        self.told(self.fc.list_services(headers={"x-fc-account-id": ACCOUNT}))
        self.refused(403, ("CrossAccountAccessDenied", "AccessDenied"), self.fc.list_services, headers={"x-fc-account-id": "999"})
