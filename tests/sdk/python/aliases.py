"""Aliases: names for versions, with the share of requests that an alias gives to others measured."""

from collections import Counter

from fc import Case, kept, package


class Aliases(Case):
    def versions(self):
        """Makes a service with version 1, which echoes, and version 2, which answers in capitals."""
        service = self.service_with("wat-echo")
        self.fc.publish_version(service)
        self.fc.update_function(service, "f", codeZipFile=kept(package("assemblyscript-upper")))
        self.fc.publish_version(service)
        return service

    def test_a_new_one_has_the_documented_record(self):
        service = self.versions()
        made = self.fc.create_alias(service, "prod", "1", description="d", additionalVersionWeight={"2": 0.25})
        record = self.told(made)
        self.tagged(made)
        self.assertEqual((record["aliasName"], record["versionId"], record["description"]), ("prod", "1", "d"))
        self.assertEqual(record["additionalVersionWeight"], {"2": 0.25})
        self.assert_moments(record)
        self.assertEqual(self.fc.get_alias(service, "prod").data, record)

    def test_calls_go_where_it_points(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1")
        invoke = lambda: self.fc.invoke_function(service, "f", b"hi", qualifier="prod")
        first = invoke()
        self.assertEqual((first.data, first.headers["X-Fc-Invocation-Service-Version"]), (b"hi", "1"))
        self.fc.update_alias(service, "prod", "2")
        second = invoke()
        self.assertEqual((second.data, second.headers["X-Fc-Invocation-Service-Version"]), (b"HI", "2"))

    def test_what_is_read_through_it_is_the_version(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1")
        for read in (self.fc.get_function, self.fc.get_function_code):
            self.assertEqual(self.fc.get_function(service, "f", qualifier="prod").data["codeChecksum"],
                             self.fc.get_function(service, "f", qualifier="1").data["codeChecksum"])
            self.told(read(service, "f", qualifier="prod"))
        self.assertEqual(len(self.fc.list_functions(service, qualifier="prod").data["functions"]), 1)
        self.assertEqual(self.fc.get_service(service, qualifier="prod").data["serviceName"].split(".")[0], service)

    def shares(self, service, calls):
        """How many of that many calls each version got, and that each answered as itself."""
        seen = Counter()
        for _ in range(calls):
            answer = self.fc.invoke_function(service, "f", b"hi", qualifier="prod")
            version = answer.headers["X-Fc-Invocation-Service-Version"]
            self.assertEqual(answer.data, {"1": b"hi", "2": b"HI"}[version])
            seen[version] += 1
        return seen

    def test_a_weight_is_the_share_of_requests(self):
        # 400 calls with a share of 0.3 give 120 with a deviation of 9: five of them either way are one failure in two million.
        service = self.versions()
        self.fc.create_alias(service, "prod", "1", additionalVersionWeight={"2": 0.3})
        self.assertAlmostEqual(self.shares(service, 400)["2"], 120, delta=46)

    def test_weights_of_nothing_and_of_all(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1", additionalVersionWeight={"2": 1.0})
        self.assertEqual(self.shares(service, 30), {"2": 30})
        self.fc.update_alias(service, "prod", "1", additionalVersionWeight={"2": 0.0})
        self.assertEqual(self.shares(service, 30), {"1": 30})
        self.fc.update_alias(service, "prod", "1", additionalVersionWeight={"1": 1.0})
        self.assertEqual(self.shares(service, 30), {"1": 30})
        self.fc.update_alias(service, "prod", "2", additionalVersionWeight={})
        self.assertEqual(self.shares(service, 30), {"2": 30})

    def test_a_change_touches_what_it_names(self):
        service = self.versions()
        made = self.fc.create_alias(service, "prod", "1", description="old", additionalVersionWeight={"2": 0.5})
        changed = self.fc.update_alias(service, "prod", None, description="new")
        self.assertNotEqual(self.tagged(changed), self.tagged(made))
        self.assertEqual((changed.data["versionId"], changed.data["description"]), ("1", "new"))
        self.assertEqual(changed.data["additionalVersionWeight"], {"2": 0.5})
        self.assertEqual(self.fc.get_alias(service, "prod").data, changed.data)

    def test_a_name_is_taken_once_and_some_never(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1")
        self.refused(409, "AliasAlreadyExists", self.fc.create_alias, service, "prod", "2")
        for name in ("LATEST", "1", "a.b", "", "a b", "x" * 129):
            with self.subTest(name):
                self.refused(400, "InvalidArgument", self.fc.create_alias, service, name, "1")

    def test_it_needs_versions_that_are_there(self):
        service = self.versions()
        error = self.refused(404, "VersionNotFound", self.fc.create_alias, service, "prod", "7")
        self.assertIn(f"version '7' of service '{service}' does not exist", error.message)
        self.refused(404, "VersionNotFound", self.fc.create_alias, service, "prod", "1", additionalVersionWeight={"9": 0.5})
        self.fc.create_alias(service, "prod", "1")
        self.refused(404, "VersionNotFound", self.fc.update_alias, service, "prod", "7")
        self.assertEqual(self.fc.get_alias(service, "prod").data["versionId"], "1")

    def test_weights_that_are_none_are_refused(self):
        service = self.versions()
        for weights in ({"2": 1.5}, {"2": -0.1}, {"2": "half"}, {"1": 0.7, "2": 0.7}, [], "all"):
            with self.subTest(weights=weights):
                self.refused(400, "InvalidArgument", self.fc.create_alias, service, "prod", "1", additionalVersionWeight=weights)
        self.refused(404, "AliasNotFound", self.fc.get_alias, service, "prod")

    def test_they_are_listed_in_order(self):
        service = self.versions()
        for name in "cab":
            self.fc.create_alias(service, name, "1")
        listed = self.told(self.fc.list_aliases(service))
        self.assertEqual([one["aliasName"] for one in listed["aliases"]], ["a", "b", "c"])
        self.assertFalse(listed.get("nextToken"))
        self.assertEqual([one["aliasName"] for one in self.fc.list_aliases(service, prefix="b").data["aliases"]], ["b"])

    def test_a_removed_one_is_gone(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1")
        self.assertIsNone(self.fc.delete_alias(service, "prod"))
        error = self.refused(404, "AliasNotFound", self.fc.get_alias, service, "prod")
        self.assertIn(f"alias 'prod' of service '{service}' does not exist", error.message)
        self.refused(404, "AliasNotFound", self.fc.update_alias, service, "prod", "1")
        self.refused(404, "AliasNotFound", self.fc.delete_alias, service, "prod")
        self.refused(404, "AliasNotFound", self.fc.invoke_function, service, "f", qualifier="prod")

    def test_a_version_may_go_before_the_alias_that_names_it(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1")
        self.fc.delete_version(service, "1")
        self.refused(404, "VersionNotFound", self.fc.invoke_function, service, "f", qualifier="prod")
        self.fc.delete_alias(service, "prod")

    def test_a_service_with_aliases_stays(self):
        service = self.versions()
        self.fc.create_alias(service, "prod", "1")
        for version in "12":
            self.fc.delete_version(service, version)
        self.fc.delete_function(service, "f")
        self.refused(409, "ServiceNotEmpty", self.fc.delete_service, service)
        self.fc.delete_alias(service, "prod")
        self.fc.delete_service(service)
