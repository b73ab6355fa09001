"""Every call with values that are missing, of the wrong type, too long or meant to do harm: refused in words, and nothing falls over."""

import json

import fc2

from fc import Case, kept, package, unique

LONG = "x" * 70000
NAMES = ("", "1digit", "a b", "a/b", "..", "../../etc/passwd", "%2e%2e%2f", "a\nb", "a\u0000b", "\u00e4", "\u202eabc", "x" * 129,
         LONG[:9000], "'; DROP TABLE services; --", "<script>", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "a.b")
VALUES = (7, -1, 1.5, True, [], {}, ["x"], {"a": "b"}, LONG)


class Hostile(Case):
    def survives(self, call, *arguments, **named):
        """The call is refused as the caller's mistake, or by the client itself before it is sent; the code of the error."""
        try:
            call(*arguments, **named)
        except fc2.FcError as error:
            self.assertIn(error.status_code, range(400, 500), error.message)
            self.assertNotEqual(error.status_code, 429, error.message)
            told = json.loads(error.message)
            self.assertTrue(told["ErrorCode"] and told["ErrorMessage"])
            self.assertLess(len(told["ErrorMessage"]), 2000, "an error does not repeat all it was told")
            return told["ErrorCode"]
        except (ValueError, TypeError, UnicodeError):
            return None
        return self.fail("it was accepted")

    def is_refused(self, call, *arguments, **named):
        """The same, and it is the values that are refused: a path that the server does not know would refuse anything."""
        self.assertNotEqual(self.survives(call, *arguments, **named), "PathNotSupported")

    def tearDown(self):
        self.assertTrue(client_lives(self.fc), "the server answers after all that")

    def test_names_of_services(self):
        for name in NAMES:
            with self.subTest(name[:40]):
                self.is_refused(self.fc.create_service, name)
        for name in NAMES[1:]:
            with self.subTest(name[:40]):
                self.survives(self.fc.update_service, name, description="x")
                self.survives(self.fc.delete_service, name)
                self.survives(self.fc.publish_version, name)
                self.survives(self.fc.create_alias, name, "a", "1")
                self.survives(self.fc.invoke_function, name, "f", b"x")
        for value in (None, *VALUES):
            with self.subTest(value=str(value)[:40]):
                self.survives(self.fc.create_service, value)

    def test_names_of_functions(self):
        service = self.service()
        path = kept(package("wat-echo"))
        for name in (*NAMES, "x" * 65):
            with self.subTest(name[:40]):
                self.survives(self.fc.create_function, service, name, "wasm", "h", codeZipFile=path)
                self.survives(self.fc.invoke_function, service, name or "no", b"x")
                self.survives(self.fc.delete_function, service, name or "no")
                self.survives(self.fc.update_function, service, name or "no", timeout=1)
                self.survives(self.fc.create_trigger, service, name or "no", "t", "timer", {}, None, None)
                self.survives(self.fc.put_provision_config, service, "LATEST", name or "no", 1)
                self.survives(self.fc.put_on_demand_config, service, "LATEST", name or "no", 1)

    def test_qualifiers(self):
        service = self.service_with()
        for name in NAMES[1:]:
            with self.subTest(name[:40]):
                self.survives(self.fc.invoke_function, service, "f", b"x", qualifier=name)
                self.survives(self.fc.get_service, service, qualifier=name)
                self.survives(self.fc.get_function, service, "f", qualifier=name)
                self.survives(self.fc.put_function_async_invoke_config, service, name, "f", {})
        for version in ("-1", "0", "01", "1e9", "99999999999999999999999999", "0x1"):
            with self.subTest(version):
                self.survives(self.fc.invoke_function, service, "f", b"x", qualifier=version)
                self.survives(self.fc.delete_version, service, version)
                self.survives(self.fc.create_alias, service, "prod", version)

    def test_settings_of_services(self):
        service = self.service()
        for field in ("description", "role", "logConfig", "vpcConfig", "nasConfig", "tracingConfig", "internetAccess"):
            for value in VALUES:
                kind = {"description": str, "role": str, "internetAccess": bool}.get(field, dict)
                if isinstance(value, kind) and value != LONG:
                    continue
                with self.subTest(field=field, value=str(value)[:40]):
                    self.is_refused(self.request, "PUT", f"/services/{service}", {field: value})
                    self.is_refused(self.request, "POST", "/services", {"serviceName": unique("bad"), field: value})

    def test_settings_of_functions(self):
        service = self.service_with()
        bad = {
            "memorySize": (0, 64, 100, -128, 32832, 1 << 31, 1 << 70, 128.5, "128", True, [], {}),
            "timeout": (0, -1, 86401, 1 << 40, 1.5, "60", False, [], {}),
            "initializationTimeout": (0, -1, 301, "3", [], {}),
            "instanceConcurrency": (0, -1, 201, 1.5, "1", [], {}),
            "environmentVariables": ("A=b", ["A"], {"A": 1}, {"A": None}, {"": "b"}, {"A": "x" * 5000}, {"A=B": "c"}, {"A\0": "b"}, 7),
            "runtime": ("", "wasm ", "cobol", 7, [], LONG),
            "handler": (7, [], {}, LONG),
            "description": (7, [], {}, LONG),
            "initializer": (7, [], {}, LONG),
            "code": ("x", 7, [], {"zipFile": 7}, {"zipFile": "***"}, {"zipFile": ""}, {"zipFile": "AAAA"}, {"ossBucketName": []},
                     {"ossBucketName": "../..", "ossObjectName": "../../etc/passwd"}),
            "layers": ("x", [7], ["no-arn"], {}),
            "instanceType": (7, [], {}),
        }
        for field, values in bad.items():
            for value in values:
                with self.subTest(field=field, value=str(value)[:40]):
                    self.is_refused(self.request, "PUT", f"/services/{service}/functions/f", {field: value})
        self.assertEqual(self.fc.invoke_function(service, "f", b"still").data, b"still")

    def test_what_is_required(self):
        service = self.service_with()
        body = {"functionName": "g", "runtime": "wasm", "handler": "h", "code": {"zipFile": "AAAA"}}
        for field in body:
            for missing in ({key: value for key, value in body.items() if key != field}, {**body, field: None}):
                with self.subTest(field=field, missing=missing):
                    self.is_refused(self.request, "POST", f"/services/{service}/functions", missing)
        for path in ("/services", f"/services/{service}/aliases", f"/services/{service}/functions/f/triggers", "/custom-domains", "/tag"):
            for empty in ({}, {"unknown": 1}):
                with self.subTest(path):
                    self.is_refused(self.request, "POST", path, empty)

    def test_packages(self):
        service = self.service()
        for what, content in (("cut off", package("rust-event")[:5000]), ("a tail", b"PK\x05\x06" + b"\0" * 18),
                              ("noise", bytes(range(256)) * 100), ("a header", b"PK\x03\x04" + b"\xff" * 100)):
            with self.subTest(what):
                self.is_refused(self.fc.create_function, service, "f", "wasm", "h", codeZipFile=kept(content))

    def test_headers(self):
        service = self.service_with()
        for headers in ({"x-fc-invocation-type": LONG[:5000]}, {"x-fc-log-type": "\u00ff"}, {"x-fc-invocation-type": "Sync, Async"}):
            with self.subTest(headers=str(headers)[:40]):
                self.is_refused(self.fc.invoke_function, service, "f", b"x", headers=headers)
        self.is_refused(self.fc.invoke_function, service, "f", b"x", headers={"x-big": "y" * 100000})
        for tag in ("\"" * 100, "W/\"x\"", "x" * 5000, "\u00ff", "0"):
            with self.subTest(tag=tag[:40]):
                self.is_refused(self.fc.update_service, service, description="x", headers={"If-Match": tag})

    def test_list_queries(self):
        service = self.service_with()
        for call in (self.fc.list_services, lambda **query: self.fc.list_functions(service, **query)):
            for limit in (-1, 101, 1 << 70, "x", "1 OR 1", 1.5):
                with self.subTest(limit=limit):
                    self.is_refused(call, limit=limit)
        answer = self.request("GET", "/services", params={"prefix": "\u0000' OR 1=1 --", "startKey": LONG[:2000]})
        self.assertEqual(answer.json()["services"], [])

    def test_triggers_domains_and_tags(self):
        service = self.service_with()
        for name in NAMES:
            with self.subTest(name[:40]):
                self.is_refused(self.fc.create_trigger, service, "f", name, "timer", {"cronExpression": "@every 5m"}, None, None)
                if name not in ("1digit", "a.b"):
                    self.is_refused(self.fc.create_custom_domain, name)
                self.is_refused(self.fc.tag_resource, f"services/{name}", {"a": "b"})
                self.is_refused(self.fc.create_alias, service, name, "1")
        for value in VALUES:
            with self.subTest(value=str(value)[:40]):
                if not isinstance(value, dict):
                    self.is_refused(self.fc.create_trigger, service, "f", "t", "timer", value, None, None)
                    self.is_refused(self.fc.put_function_async_invoke_config, service, "LATEST", "f", {"destinationConfig": value})
                    self.is_refused(self.fc.tag_resource, f"services/{service}", value)


def client_lives(client):
    """Whether the server still serves."""
    return "services" in client.list_services(limit=1).data
