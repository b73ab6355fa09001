"""On-demand configurations: how many instances there may be at most, and that there are no more."""

import threading

import fc2

from fc import Case


class OnDemand(Case):
    def test_one_has_the_documented_record(self):
        service = self.service_with()
        put = self.fc.put_on_demand_config(service, "LATEST", "f", 10)
        record = self.told(put)
        self.tagged(put)
        self.assertEqual(record, {"resource": f"services/{service}.LATEST/functions/f", "maximumInstanceCount": 10})
        self.assertEqual(self.fc.get_on_demand_config(service, "LATEST", "f").data, record)
        self.assertEqual(self.fc.put_on_demand_config(service, "LATEST", "f", 20).data["maximumInstanceCount"], 20)

    def test_an_alias_has_its_own(self):
        service = self.service_with()
        self.fc.publish_version(service)
        self.fc.create_alias(service, "prod", "1")
        record = self.fc.put_on_demand_config(service, "prod", "f", 3).data
        self.assertEqual(record["resource"], f"services/{service}.prod/functions/f")
        self.refused(404, "OnDemandConfigNotFound", self.fc.get_on_demand_config, service, "LATEST", "f")

    def test_they_are_listed(self):
        services = sorted(self.service_with() for _ in range(3))
        for service in services:
            self.fc.put_on_demand_config(service, "LATEST", "f", 1)
        listed = self.told(self.fc.list_on_demand_config(prefix=f"services/{services[0]}"))
        resources = [one["resource"] for one in self.everything()]
        for service in services:
            self.assertIn(f"services/{service}.LATEST/functions/f", resources)
        self.assertIn(f"services/{services[0]}.LATEST/functions/f", [one["resource"] for one in listed["configs"]])

    def everything(self):
        found, token = [], None
        while True:
            page = self.fc.list_on_demand_config(limit=2, nextToken=token).data
            found += page.get("configs") or []
            token = page.get("nextToken")
            if not token:
                return found

    def test_a_removed_one_is_gone(self):
        service = self.service_with()
        self.fc.put_on_demand_config(service, "LATEST", "f", 1)
        removed = self.fc.delete_on_demand_config(service, "LATEST", "f")
        self.assertIsNone(removed.data)
        self.refused(404, "OnDemandConfigNotFound", self.fc.get_on_demand_config, service, "LATEST", "f")
        self.refused(404, "OnDemandConfigNotFound", self.fc.delete_on_demand_config, service, "LATEST", "f")

    def test_more_at_once_than_allowed_are_refused(self):
        service = self.service_with("bad/sleeper", timeout=3)
        self.fc.put_on_demand_config(service, "LATEST", "f", 1)
        ends = []

        def call():
            try:
                self.fc.invoke_function(service, "f", b"x")
            except fc2.FcError as error:
                ends.append((error.status_code, error.err_code))

        calls = [threading.Thread(target=call) for _ in range(6)]
        for one in calls:
            one.start()
        for one in calls:
            one.join()
        self.assertIn((200, ""), ends, "one ran, and timed out as it should")
        self.assertIn((429, "ResourceExhausted"), ends)
        self.assertLessEqual(set(ends), {(200, ""), (429, "ResourceExhausted")})
        self.fc.delete_on_demand_config(service, "LATEST", "f")

    def test_what_makes_no_limit_is_refused(self):
        service = self.service_with()
        for limit in (-1, "many", None, 1.5, [], 1 << 40):
            with self.subTest(limit=limit):
                self.refused(400, "InvalidArgument", self.fc.put_on_demand_config, service, "LATEST", "f", limit)
        self.refused(404, "OnDemandConfigNotFound", self.fc.get_on_demand_config, service, "LATEST", "f")

    def test_the_function_must_be_there(self):
        service = self.service_with()
        put = self.fc.put_on_demand_config
        self.refused(404, "ServiceNotFound", put, "py-no-such-service", "LATEST", "f", 1)
        self.refused(404, "FunctionNotFound", put, service, "LATEST", "g", 1)
        self.refused(404, "AliasNotFound", put, service, "prod", "f", 1)
