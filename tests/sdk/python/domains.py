"""Custom domains: their records."""

import os
from pathlib import Path

from fc import ACCOUNT, SIGNED, Case, unique

ROUTES = {"routes": [
    {"path": "/a/*", "serviceName": "s", "functionName": "f", "qualifier": "LATEST", "methods": ["GET"]},
    {"path": "/b", "serviceName": "s", "functionName": "g"},
]}
CERTIFICATE = {"certName": "c", "certificate": Path(os.environ["SDK_TESTS_CERTIFICATE"]).read_text(),
               "privateKey": Path(os.environ["SDK_TESTS_CERTIFICATE_KEY"]).read_text()}


def named():
    return unique("domain") + ".example.com"


class Domains(Case):
    def test_a_new_one_has_the_documented_record(self):
        name = named()
        record = self.told(self.fc.create_custom_domain(name, routeConfig=ROUTES))
        self.assertEqual((record["domainName"], record["protocol"], record["apiVersion"]), (name, "HTTP", "2016-08-15"))
        self.assertTrue(record["accountId"])
        if SIGNED:
            self.assertEqual(record["accountId"], ACCOUNT)
        self.assert_moments(record)
        for got, sent in zip(record["routeConfig"]["routes"], ROUTES["routes"], strict=True):
            self.assertEqual({key: got[key] for key in sent}, sent)
        self.assertEqual(self.fc.get_custom_domain(name).data, record)

    def test_a_name_is_taken_once(self):
        name = named()
        self.fc.create_custom_domain(name)
        self.refused((400, 409), "DomainNameAlreadyExists", self.fc.create_custom_domain, name)

    def test_a_change_touches_what_it_names(self):
        name = named()
        self.fc.create_custom_domain(name, protocol="HTTP", routeConfig=ROUTES)
        routes = {"routes": [{"path": "/*", "serviceName": "t", "functionName": "h"}]}
        changed = self.told(self.fc.update_custom_domain(name, routeConfig=routes))
        self.assertEqual((changed["protocol"], changed["routeConfig"]["routes"][0]["serviceName"]), ("HTTP", "t"))
        self.assertEqual(len(changed["routeConfig"]["routes"]), 1)
        changed = self.fc.update_custom_domain(name, protocol="HTTP,HTTPS", certConfig=CERTIFICATE).data
        self.assertEqual((changed["protocol"], changed["routeConfig"]["routes"][0]["serviceName"]), ("HTTP,HTTPS", "t"))

    def test_a_private_key_is_never_told(self):
        name = named()
        made = self.fc.create_custom_domain(name, protocol="HTTP,HTTPS", certConfig=CERTIFICATE).data
        for record in (made, self.fc.get_custom_domain(name).data, *self.fc.list_custom_domains(prefix=name).data["customDomains"]):
            self.assertEqual(record["certConfig"]["certName"], "c")
            self.assertIsNone(record["certConfig"].get("privateKey"))
            self.assertNotIn("PRIVATE KEY", str(record))

    def test_they_are_listed_by_prefix(self):
        prefix = unique("domain")
        for end in "ba":
            self.fc.create_custom_domain(f"{prefix}{end}.example.com")
        listed = self.told(self.fc.list_custom_domains(prefix=prefix))
        self.assertEqual([one["domainName"] for one in listed["customDomains"]], [f"{prefix}{end}.example.com" for end in "ab"])

    def test_a_removed_one_is_gone(self):
        name = named()
        self.fc.create_custom_domain(name)
        self.assertIsNone(self.fc.delete_custom_domain(name))
        error = self.refused(404, "DomainNameNotFound", self.fc.get_custom_domain, name)
        self.assertIn(f"domain name '{name}' does not exist", error.message)
        self.refused(404, "DomainNameNotFound", self.fc.update_custom_domain, name, protocol="HTTP")
        self.refused(404, "DomainNameNotFound", self.fc.delete_custom_domain, name)

    def test_what_makes_no_domain_is_refused(self):
        create = self.fc.create_custom_domain
        for name in ("", "no spaces.example", "a/b", "-a.example", "x" * 300, "\u00e4.example", None, 7):
            with self.subTest(name):
                self.refused(400, "InvalidArgument", create, name)
        self.refused(400, "InvalidArgument", create, named(), protocol="GOPHER")
        self.refused(400, "InvalidArgument", create, named(), routeConfig="everywhere")
        self.refused(400, "InvalidArgument", create, named(), routeConfig={"routes": "all"})
