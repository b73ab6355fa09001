"""Instances: listed while they are there. A shell in one is not to be had."""

from fc import Case


class Instances(Case):
    def test_one_that_served_is_listed(self):
        service = self.service_with()
        served = self.fc.invoke_function(service, "f", b"hi").headers["X-Fc-Instance-Id"]
        listed = self.told(self.fc.list_instances(service, "LATEST", "f"))
        self.assertIn(served, [one["instanceId"] for one in listed["instances"]])
        self.assertEqual({one["versionId"] for one in listed["instances"]}, {"LATEST"})
        self.assertEqual(self.fc.list_instances(service, "LATEST", "f", {"instanceIds": ["c-nobody"]}).data["instances"], [])
        self.assertLessEqual(len(self.fc.list_instances(service, "LATEST", "f", {"limit": 1}).data["instances"]), 1)

    def test_nobody_called_none_there(self):
        service = self.service_with()
        self.assertEqual(self.fc.list_instances(service, "LATEST", "f").data["instances"], [])

    def test_the_function_must_be_there(self):
        service = self.service()
        self.refused(404, "FunctionNotFound", self.fc.list_instances, service, "LATEST", "f")

    def test_a_shell_is_refused_in_words(self):
        service = self.service_with()
        served = self.fc.invoke_function(service, "f", b"hi").headers["X-Fc-Instance-Id"]
        errors, opened = [], []
        session = self.fc.instance_exec(service, "LATEST", "f", served, params={"command": ["ls"], "stdout": "true"}, hooks={
            "on_error": lambda _, error: errors.append(error), "on_open": lambda _: opened.append(True)})
        session.start()
        self.assertEqual(opened, [])
        self.assertTrue(errors)
        self.assertIn(errors[0].status_code, (400, 403, 404))
