"""Provision configurations: how many instances are kept warm, and that they are."""

from fc import Case, eventually


class Provision(Case):
    def test_one_has_the_documented_record(self):
        service = self.service_with()
        record = self.told(self.fc.put_provision_config(service, "LATEST", "f", 2))
        self.assertEqual(record["target"], 2)
        self.assertRegex(record["resource"], rf"^[^#]+#{service}#LATEST#f$")
        self.assertIsInstance(record["current"], int)

    def test_the_target_is_reached_and_told(self):
        service = self.service_with()
        self.fc.put_provision_config(service, "LATEST", "f", 3)
        reached = lambda count: lambda: self.fc.get_provision_config(service, "LATEST", "f").data["current"] == count
        eventually("three are warm", reached(3))
        self.assertEqual(len(self.fc.list_instances(service, "LATEST", "f").data["instances"]), 3)
        self.fc.put_provision_config(service, "LATEST", "f", 1)
        eventually("one is left", reached(1))
        self.fc.put_provision_config(service, "LATEST", "f", 0)
        eventually("none is left", reached(0))

    def test_none_is_a_target_of_none(self):
        service = self.service_with()
        record = self.fc.get_provision_config(service, "LATEST", "f").data
        self.assertEqual((record["target"], record["current"]), (0, 0))

    def test_an_alias_has_its_own(self):
        service = self.service_with()
        self.fc.publish_version(service)
        self.fc.create_alias(service, "prod", "1")
        self.fc.put_provision_config(service, "prod", "f", 1)
        eventually("it is warm", lambda: self.fc.get_provision_config(service, "prod", "f").data["current"] == 1)
        self.assertEqual(self.fc.get_provision_config(service, "LATEST", "f").data["target"], 0)
        self.refused(400, "InvalidArgument", self.fc.put_provision_config, service, "1", "f", 1)

    def test_they_are_listed(self):
        service = self.service()
        for name in "ab":
            self.function(service, name)
            self.fc.put_provision_config(service, "LATEST", name, 1)
        whole = self.told(self.fc.list_provision_configs(service, "LATEST"))
        self.assertEqual([one["resource"].split("#")[1:] for one in whole["provisionConfigs"]],
                         [[service, "LATEST", "a"], [service, "LATEST", "b"]])
        self.assertFalse(whole.get("nextToken"))
        page = self.fc.list_provision_configs(service, None, limit=1).data
        self.assertTrue(page["nextToken"])
        rest = self.fc.list_provision_configs(service, None, limit=1, nextToken=page["nextToken"]).data
        self.assertEqual([one["resource"][-1] for one in page["provisionConfigs"] + rest["provisionConfigs"]], ["a", "b"])
        everywhere = self.fc.list_provision_configs(None, None, limit=100).data["provisionConfigs"]
        self.assertIn(service, [one["resource"].split("#")[1] for one in everywhere])

    def test_what_makes_no_target_is_refused(self):
        service = self.service_with()
        for target in (-1, 10001, "many", None, 1.5):
            with self.subTest(target=target):
                self.refused(400, "InvalidArgument", self.fc.put_provision_config, service, "LATEST", "f", target)

    def test_the_function_must_be_there(self):
        service = self.service_with()
        put = self.fc.put_provision_config
        self.refused(404, "ServiceNotFound", put, "py-no-such-service", "LATEST", "f", 1)
        self.refused(404, "FunctionNotFound", put, service, "LATEST", "g", 1)
        self.refused(404, "AliasNotFound", put, service, "prod", "f", 1)
