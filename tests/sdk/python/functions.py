"""Functions: made from a zip or a folder, read, changed in part, their code fetched, removed."""

import base64
import os
import tempfile

import requests

from fc import Case, crc64, kept, package, wasm, zipped


class Functions(Case):
    def test_a_new_one_has_the_documented_record(self):
        service, content = self.service(), package("wat-echo")
        made = self.fc.create_function(
            service, "f", "wasm", "handle", codeZipFile=kept(content), description="d", environmentVariables={"A": "b"})
        record = self.told(made)
        self.tagged(made)
        self.assertEqual((record["functionName"], record["description"]), ("f", "d"))
        self.assertEqual((record["runtime"], record["handler"]), ("wasm", "handle"))
        self.assertEqual((record["memorySize"], record["timeout"]), (256, 60), "what the SDK sends")
        self.assertEqual(record["initializationTimeout"], 30)
        self.assertEqual((record["instanceConcurrency"], record["instanceType"]), (1, "e1"))
        self.assertEqual(record["environmentVariables"], {"A": "b"})
        self.assertEqual((record["codeSize"], record["codeChecksum"]), (len(content), crc64(content)))
        self.assertEqual(len(record["functionId"]), 36)
        self.assert_moments(record)
        self.assertEqual(self.fc.get_function(service, "f").data, record)

    def test_the_service_has_its_own_defaults(self):
        service = self.service()
        body = {"functionName": "f", "runtime": "wasm", "handler": "h", "code": {"zipFile": encoded("wat-echo")}}
        record = self.request("POST", f"/services/{service}/functions", body).json()
        self.assertEqual((record["timeout"], record["initializationTimeout"], record["description"]), (3, 3, ""))
        self.assertEqual(record["environmentVariables"], {})

    def test_a_folder_is_code_too(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "main.wasm"), "wb") as file:
                file.write(wasm("wat-echo"))
            service = self.service()
            self.fc.create_function(service, "f", "wasm", "handle", codeDir=folder)
            self.assertEqual(self.fc.invoke_function(service, "f", b"hi").data, b"hi")
            self.fc.update_function(service, "f", codeDir=folder)

    def test_a_name_is_taken_once(self):
        service = self.service_with()
        error = self.refused(409, "FunctionAlreadyExists", self.function, service)
        self.assertIn(f"function 'f' already exists in service '{service}'", error.message)

    def test_a_change_touches_what_it_names(self):
        service = self.service_with(environmentVariables={"A": "b"})
        before = self.fc.get_function(service, "f")
        changed = self.fc.update_function(service, "f", timeout=7, description="new")
        self.assertNotEqual(self.tagged(changed), self.tagged(before))
        record = self.fc.get_function(service, "f").data
        self.assertEqual((record["timeout"], record["description"]), (7, "new"))
        for same in ("memorySize", "environmentVariables", "codeChecksum", "runtime", "functionId", "createdTime"):
            self.assertEqual(record[same], before.data[same], same)

    def test_every_setting_can_be_changed(self):
        service = self.service_with()
        wanted = {"initializer": "init", "initializationTimeout": 5, "handler": "other", "memorySize": 192,
                  "runtime": "custom", "instanceType": "c1", "caPort": 9001}
        self.fc.update_function(service, "f", **wanted)
        record = self.fc.get_function(service, "f").data
        self.assertEqual({key: record[key] for key in wanted}, wanted)

    def test_the_environment_is_replaced_as_a_whole(self):
        service = self.service_with(environmentVariables={"A": "1", "B": "2"})
        update = self.fc.update_function
        self.assertEqual(update(service, "f", environmentVariables={"C": "3"}).data["environmentVariables"], {"C": "3"})
        self.assertEqual(update(service, "f", environmentVariables={}).data["environmentVariables"], {})

    def test_new_code_is_what_runs(self):
        service = self.service_with("wat-echo")
        before = self.fc.get_function(service, "f").data["codeChecksum"]
        content = package("assemblyscript-upper")
        changed = self.fc.update_function(service, "f", codeZipFile=kept(content)).data
        self.assertEqual(changed["codeChecksum"], crc64(content))
        self.assertNotEqual(changed["codeChecksum"], before)
        self.assertEqual(self.fc.invoke_function(service, "f", b"hi").data, b"HI")

    def test_code_can_be_fetched_without_a_key(self):
        service = self.service_with()
        content = package("c-echo")
        self.fc.update_function(service, "f", codeZipFile=kept(content))
        link = self.told(self.fc.get_function_code(service, "f"))
        self.assertEqual(link["checksum"], crc64(content))
        fetched = requests.get(link["url"], timeout=10)
        self.assertEqual((fetched.status_code, fetched.content), (200, content))
        self.assertGreaterEqual(requests.get(link["url"] + "0", timeout=10).status_code, 400)
        self.refused(404, "FunctionNotFound", self.fc.get_function_code, service, "g")

    def test_a_checksum_that_does_not_fit_is_refused(self):
        service, content = self.service(), package("wat-echo")
        wrong = {"X-Fc-Code-Checksum": "1"}
        self.refused(400, "InvalidArgument", self.function, service, headers=wrong)
        self.function(service, headers={"X-Fc-Code-Checksum": crc64(content)})

    def test_what_is_no_webassembly_is_refused_by_name(self):
        service = self.service()
        for what, content in (("no zip", b"not a zip"), ("empty", zipped()), ("no wasm", zipped(**{"a.py": b"x = 1"})),
                              ("broken wasm", zipped(**{"main.wasm": b"\0asm junk"})), ("no kind", package("bad/no-kind"))):
            with self.subTest(what):
                self.refused(400, "InvalidArgument", self.fc.create_function, service, "f", "wasm", "handle",
                             codeZipFile=kept(content))
        self.refused(404, "FunctionNotFound", self.fc.get_function, service, "f")

    def test_an_image_is_not_code(self):
        image = {"image": "registry.example/app:1", "command": "[\"/app\"]", "args": "[]"}
        service = self.service()
        self.refused(400, "InvalidArgument", self.fc.create_function, service, "f", "custom-container", "h",
                     customContainerConfig=image)

    def test_an_object_that_is_not_there_is_refused(self):
        service = self.service()
        self.refused((400, 404), "InvalidArgument", self.fc.create_function, service, "f", "wasm", "handle",
                     codeOSSBucket="no-bucket", codeOSSObject="no/object.zip")

    def test_a_runtime_nobody_has_is_refused(self):
        service = self.service()
        error = self.refused(400, "InvalidArgument", self.fc.create_function, service, "f", "cobol85", "h",
                             codeZipFile=kept(package("wat-echo")))
        self.assertIn("Runtime is set to an invalid value", error.message)

    def test_a_removed_one_is_gone(self):
        service = self.service_with()
        self.assertIsNone(self.fc.delete_function(service, "f"))
        for call in (self.fc.get_function, self.fc.delete_function, self.fc.update_function, self.fc.invoke_function):
            error = self.refused(404, "FunctionNotFound", call, service, "f")
            self.assertIn(f"function 'f' does not exist in service '{service}'", error.message)

    def test_a_function_needs_its_service(self):
        self.refused(404, "ServiceNotFound", self.function, "py-no-such-service")
        self.refused(404, "ServiceNotFound", self.fc.list_functions, "py-no-such-service")

    def test_they_are_listed_in_order(self):
        service = self.service()
        for name in ("c", "a", "b"):
            self.function(service, name)
        listed = self.told(self.fc.list_functions(service))
        self.assertEqual([one["functionName"] for one in listed["functions"]], ["a", "b", "c"])
        self.assertEqual(listed["functions"][0], self.fc.get_function(service, "a").data)
        self.assertFalse(listed.get("nextToken"))


def encoded(guest):
    return base64.b64encode(package(guest)).decode()
