"""Services: made, read, changed in part, removed."""

from fc import Case, unique

NETWORK = {"vpcId": "vpc-1", "vSwitchIds": ["vsw-1", "vsw-2"], "securityGroupId": "sg-1"}
FILES = {"userId": 1000, "groupId": 1000, "mountPoints": [{"serverAddr": "a.nas:/", "mountDir": "/mnt/a"}]}
TRACING = {"type": "Jaeger", "params": {"endpoint": "http://127.0.0.1/api/traces"}}


class Services(Case):
    def test_a_new_one_has_the_documented_record(self):
        name = unique("service")
        made = self.fc.create_service(name, description="what it is for")
        record = self.told(made)
        self.tagged(made)
        self.assertEqual((record["serviceName"], record["description"]), (name, "what it is for"))
        self.assertEqual(len(record["serviceId"]), 36)
        self.assertEqual(record["role"], "")
        self.assertEqual(record["internetAccess"], True)
        self.assertEqual((record["logConfig"]["project"], record["logConfig"]["logstore"]), ("", ""))
        self.assertEqual(record["logConfig"]["enableRequestMetrics"], False)
        self.assert_moments(record)

    def test_what_is_not_said_is_empty_and_not_null(self):
        record = self.fc.create_service(unique("service")).data
        self.assertEqual(record["description"], "")

    def test_settings_without_effect_come_back(self):
        log = {"project": "p", "logstore": "l", "enableRequestMetrics": True, "enableInstanceMetrics": True}
        name = unique("service")
        self.fc.create_service(
            name, logConfig=log, role="acs:ram::1:role/r", internetAccess=False, vpcConfig=NETWORK, nasConfig=FILES,
            tracingConfig=TRACING)
        record = self.fc.get_service(name).data
        self.assertEqual({key: record["logConfig"][key] for key in log}, log)
        self.assertEqual((record["role"], record["internetAccess"]), ("acs:ram::1:role/r", False))
        self.assertEqual((record["vpcConfig"], record["tracingConfig"]), (NETWORK, TRACING))
        self.assertEqual(record["nasConfig"]["mountPoints"][0]["mountDir"], "/mnt/a")

    def test_a_name_is_taken_once(self):
        name = self.service()
        error = self.refused(409, "ServiceAlreadyExists", self.fc.create_service, name)
        self.assertIn(f"service '{name}' already exists", error.message)

    def test_a_change_touches_what_it_names(self):
        name = self.service(description="old", role="r")
        before = self.fc.get_service(name)
        changed = self.fc.update_service(name, description="new")
        self.assertNotEqual(self.tagged(changed), self.tagged(before))
        record = self.fc.get_service(name).data
        self.assertEqual(record, changed.data)
        self.assertEqual((record["description"], record["role"]), ("new", "r"))
        for same in ("serviceId", "createdTime", "internetAccess"):
            self.assertEqual(record[same], before.data[same])

    def test_an_empty_tracing_configuration_resets_it(self):
        name = self.service(tracingConfig=TRACING)
        record = self.fc.update_service(name, tracingConfig={}).data
        self.assertEqual(record["tracingConfig"], {"type": None, "params": None})

    def test_the_newest_can_be_named(self):
        name = self.service(description="d")
        for qualifier in (None, "LATEST"):
            self.assertEqual(self.fc.get_service(name, qualifier=qualifier).data["description"], "d")

    def test_a_removed_one_is_gone(self):
        name = self.service()
        self.assertIsNone(self.fc.delete_service(name))
        error = self.refused(404, "ServiceNotFound", self.fc.get_service, name)
        self.assertIn(f"service '{name}' does not exist", error.message)
        self.refused(404, "ServiceNotFound", self.fc.update_service, name, description="x")
        self.refused(404, "ServiceNotFound", self.fc.delete_service, name)
        self.fc.create_service(name)

    def test_one_that_holds_functions_stays(self):
        name = self.service_with()
        self.refused(409, "ServiceNotEmpty", self.fc.delete_service, name)
        self.fc.delete_function(name, "f")
        self.fc.delete_service(name)

    def test_they_are_listed_in_order(self):
        prefix = unique("list")
        for end in "bca":
            self.fc.create_service(f"{prefix}-{end}")
        listed = self.fc.list_services(prefix=prefix)
        self.told(listed)
        self.assertEqual([one["serviceName"] for one in listed.data["services"]], [f"{prefix}-{end}" for end in "abc"])
        self.assertFalse(listed.data.get("nextToken"))
