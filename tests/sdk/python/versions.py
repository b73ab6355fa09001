"""Versions: a service as it was at one moment, whatever happens to the newest."""

from fc import Case, crc64, kept, package


class Versions(Case):
    def published(self, service, description=None):
        return self.fc.publish_version(service, description=description).data["versionId"]

    def changed(self, service, description):
        """Publishing needs something to publish."""
        self.fc.update_service(service, description=description)

    def test_a_published_one_has_the_documented_record(self):
        service = self.service_with()
        published = self.fc.publish_version(service, description="first")
        record = self.told(published)
        self.tagged(published)
        self.assertEqual((record["versionId"], record["description"]), ("1", "first"))
        self.assert_moments(record)
        self.assertEqual(self.fc.list_versions(service).data["versions"], [record])

    def test_no_description_is_an_empty_one(self):
        service = self.service_with()
        self.assertEqual(self.fc.publish_version(service).data["description"], "")

    def test_it_keeps_code_and_settings_of_its_moment(self):
        service = self.service_with("wat-echo", timeout=9, environmentVariables={"A": "1"})
        first = self.published(service)
        self.fc.update_function(
            service, "f", codeZipFile=kept(package("assemblyscript-upper")), timeout=8, environmentVariables={"A": "2"})
        second = self.published(service)
        self.fc.update_function(service, "f", timeout=7)
        for qualifier, answer, timeout, value, guest in (
                (first, b"hi", 9, "1", "wat-echo"), (second, b"HI", 8, "2", "assemblyscript-upper"),
                ("LATEST", b"HI", 7, "2", "assemblyscript-upper")):
            with self.subTest(qualifier):
                got = self.fc.invoke_function(service, "f", b"hi", qualifier=qualifier)
                self.assertEqual(got.data, answer)
                self.assertEqual(got.headers["X-Fc-Invocation-Service-Version"], qualifier)
                record = self.fc.get_function(service, "f", qualifier=qualifier).data
                self.assertEqual((record["timeout"], record["environmentVariables"]), (timeout, {"A": value}))
                self.assertEqual(record["codeChecksum"], crc64(package(guest)))
                self.assertEqual(self.fc.get_function_code(service, "f", qualifier=qualifier).data["checksum"], record["codeChecksum"])

    def test_it_keeps_functions_that_are_removed_and_has_none_that_came_later(self):
        service = self.service_with()
        version = self.published(service)
        self.fc.delete_function(service, "f")
        self.function(service, "g")
        self.assertEqual(self.fc.invoke_function(service, "f", b"hi", qualifier=version).data, b"hi")
        self.refused(404, "FunctionNotFound", self.fc.invoke_function, service, "g", qualifier=version)
        names = lambda qualifier: [one["functionName"] for one in self.fc.list_functions(service, qualifier=qualifier).data["functions"]]
        self.assertEqual((names(version), names(None)), (["f"], ["g"]))

    def test_the_service_of_a_version_is_described_by_the_version(self):
        service = self.service(description="the service", role="r1")
        version = self.published(service, "the version")
        self.fc.update_service(service, role="r2")
        old = self.fc.get_service(service, qualifier=version).data
        self.assertEqual((old["description"], old["role"]), ("the version", "r1"))
        self.assertEqual(self.fc.get_service(service).data["description"], "the service")

    def test_nothing_new_is_not_published(self):
        service = self.service_with()
        self.published(service)
        self.refused((400, 409), "VersionPublishError", self.fc.publish_version, service)
        self.changed(service, "something new")
        self.assertEqual(self.published(service), "2")

    def test_ids_rise_and_are_never_used_again(self):
        service = self.service()
        for wanted in "123":
            self.changed(service, f"for {wanted}")
            self.assertEqual(self.published(service), wanted)
        self.fc.delete_version(service, "3")
        self.changed(service, "for 4")
        self.assertEqual(self.published(service), "4")

    def test_they_are_listed_newest_first_or_the_other_way(self):
        service = self.service()
        for number in range(5):
            self.changed(service, f"for {number}")
            self.published(service)
        ids = lambda **query: [one["versionId"] for one in self.fc.list_versions(service, **query).data["versions"]]
        self.assertEqual(ids(), list("54321"))
        self.assertEqual(ids(direction="FORWARD"), list("12345"))
        self.assertEqual(ids(direction="FORWARD", startKey="3"), list("345"))
        self.assertEqual(ids(direction="BACKWARD", startKey="3"), list("321"))
        self.assertEqual(self.fc.list_versions(service).data["direction"], "BACKWARD")
        self.refused(400, "InvalidArgument", self.fc.list_versions, service, direction="SIDEWAYS")

    def test_a_removed_one_is_gone(self):
        service = self.service_with()
        version = self.published(service)
        self.assertIsNone(self.fc.delete_version(service, version))
        self.assertEqual(self.fc.list_versions(service).data["versions"], [])
        for call in (self.fc.get_service, ):
            self.refused(404, "VersionNotFound", call, service, qualifier=version)
        for call in (self.fc.get_function, self.fc.get_function_code, self.fc.invoke_function):
            self.refused(404, "VersionNotFound", call, service, "f", qualifier=version)
        error = self.refused(404, "VersionNotFound", self.fc.delete_version, service, version)
        self.assertIn(f"version '{version}' of service '{service}' does not exist", error.message)

    def test_a_service_with_versions_stays(self):
        service = self.service()
        self.published(service)
        self.refused(409, "ServiceNotEmpty", self.fc.delete_service, service)
        self.fc.delete_version(service, "1")
        self.fc.delete_service(service)

    def test_a_version_cannot_be_changed(self):
        service = self.service_with()
        version = self.published(service)
        for body, path in (({"description": "x"}, f"/services/{service}.{version}"),
                           ({"timeout": 5}, f"/services/{service}.{version}/functions/f")):
            self.refused((400, 403, 404, 405), ("InvalidArgument", "PathNotSupported", "ServiceNotFound"), self.request, "PUT", path, body)

    def test_a_service_must_be_there(self):
        self.refused(404, "ServiceNotFound", self.fc.publish_version, "py-no-such-service")
        self.refused(404, "ServiceNotFound", self.fc.list_versions, "py-no-such-service")
        self.refused(404, "ServiceNotFound", self.fc.delete_version, "py-no-such-service", "1")
