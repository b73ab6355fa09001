"""What each source of events takes in the configuration of a trigger: a time that never comes is refused when it is said."""

from fc import Case

REFUSED = {
    "timer": ({}, {"cronExpression": "now and then"}, {"cronExpression": ""}, {"cronExpression": 7}, {"cronExpression": "@every soon"},
              {"cronExpression": "@every 0m"}, {"cronExpression": "61 * * * * *"}, {"cronExpression": "0 0 0 31 2"},
              {"cronExpression": "CRON_TZ=Mars/Olympus 0 0 4 * * *"}, {"cronExpression": "@every 5m", "enable": "yes"}),
    "http": ({}, {"authType": "trust", "methods": ["GET"]}, {"authType": "anonymous", "methods": ["FETCH"]},
             {"authType": "anonymous", "methods": "GET"}, {"authType": "anonymous", "methods": []}),
}
TAKEN = ("@every 5m", "@every 1h30m", "0 5 * * * *", "0 0 4 * * MON-FRI", "CRON_TZ=Asia/Shanghai 0 0 4 * * *", "TZ=UTC 0 */10 * * * *")


class Sources(Case):
    def test_configurations_that_never_fire_are_refused(self):
        service = self.service_with()
        for kind, configs in REFUSED.items():
            for number, config in enumerate(configs):
                with self.subTest(kind=kind, config=config):
                    self.refused(400, "InvalidArgument", self.fc.create_trigger, service, "f", f"{kind}{number}", kind, config, None, None)
        self.assertEqual(self.fc.list_triggers(service, "f").data["triggers"], [])

    def test_every_form_of_a_time_is_taken(self):
        service = self.service_with()
        for number, expression in enumerate(TAKEN):
            config = {"cronExpression": expression, "enable": False, "payload": "p"}
            record = self.fc.create_trigger(service, "f", f"t{number}", "timer", config, None, None).data
            self.assertEqual(record["triggerConfig"], config)

    def test_a_change_is_checked_as_well(self):
        service = self.service_with()
        config = {"cronExpression": "@every 5m", "enable": False, "payload": ""}
        self.fc.create_trigger(service, "f", "t", "timer", config, None, None)
        self.refused(400, "InvalidArgument", self.fc.update_trigger, service, "f", "t", triggerConfig={"cronExpression": "soon"})
        self.assertEqual(self.fc.get_trigger(service, "f", "t").data["triggerConfig"], config)
