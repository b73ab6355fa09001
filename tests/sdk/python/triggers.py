"""Triggers: their records. What each source does is the matter of other tests."""

from fc import Case

TIMER = {"payload": "awesome-fc", "cronExpression": "0 5 * * * *", "enable": True}
HTTP = {"authType": "anonymous", "methods": ["GET", "POST"]}
# Type, configuration, source.
OTHERS = (
    ("oss", {"events": ["oss:ObjectCreated:PutObject"], "filter": {"key": {"prefix": "in/", "suffix": ".png"}}}, "acs:oss:r:1:bucket"),
    ("log", {"sourceConfig": {"logstore": "l"}, "jobConfig": {"maxRetryTime": 10, "triggerInterval": 60}, "functionParameter": {"a": "b"},
             "logConfig": {"project": "p", "logstore": "m"}, "enable": False}, "acs:log:r:1:project/p"),
    ("mns_topic", {"filterTag": "t", "notifyContentFormat": "STREAM", "notifyStrategy": "BACKOFF_RETRY"}, "acs:mns:r:1:/topics/t"),
    ("cdn_events", {"eventName": "LogFileCreated", "eventVersion": "1.0.0", "notes": "n", "filter": {"domain": ["a.example"]}},
     "acs:cdn:*:1"),
)


class Triggers(Case):
    def timer(self, service, name="t", **more):
        return self.fc.create_trigger(service, "f", name, "timer", TIMER, "", "", **more)

    def test_a_timer_has_the_documented_record(self):
        service = self.service_with()
        made = self.timer(service, description="every hour")
        record = self.told(made)
        self.tagged(made)
        self.assertEqual((record["triggerName"], record["triggerType"], record["description"]), ("t", "timer", "every hour"))
        self.assertEqual(record["triggerConfig"], TIMER)
        self.assertTrue(record["triggerId"])
        self.assertIn("qualifier", record)
        self.assert_moments(record)
        self.assertEqual(self.fc.get_trigger(service, "f", "t").data, record)

    def test_an_http_one_has_no_source(self):
        service = self.service_with()
        record = self.fc.create_trigger(service, "f", "h", "http", HTTP, "acs:oss:r:1:x", "role").data
        self.assertEqual((record["triggerType"], record["triggerConfig"]), ("http", HTTP))
        self.assertIsNone(record["sourceArn"])

    def test_every_source_keeps_its_configuration(self):
        for kind, config, source in OTHERS:
            with self.subTest(kind):
                service = self.service_with()
                self.fc.create_trigger(service, "f", "t", kind, config, source, "acs:ram::1:role/r")
                record = self.fc.get_trigger(service, "f", "t").data
                self.assertEqual((record["triggerType"], record["triggerConfig"]), (kind, config))
                self.assertEqual((record["sourceArn"], record["invocationRole"]), (source, "acs:ram::1:role/r"))

    def test_a_change_touches_what_it_names(self):
        service = self.service_with()
        made = self.timer(service, description="old")
        config = {"payload": "new", "cronExpression": "@every 5m", "enable": False}
        changed = self.fc.update_trigger(service, "f", "t", triggerConfig=config)
        self.assertNotEqual(self.tagged(changed), self.tagged(made))
        self.assertEqual((changed.data["triggerConfig"], changed.data["description"]), (config, "old"))
        self.fc.update_trigger(service, "f", "t", description="new")
        record = self.fc.get_trigger(service, "f", "t").data
        self.assertEqual((record["triggerConfig"], record["description"]), (config, "new"))
        self.assertEqual(record["triggerId"], made.data["triggerId"])

    def test_one_may_be_for_a_version_or_an_alias(self):
        service = self.service_with()
        self.fc.publish_version(service)
        self.fc.create_alias(service, "prod", "1")
        for number, qualifier in enumerate(("1", "prod", "LATEST")):
            record = self.timer(service, f"t{number}", qualifier=qualifier).data
            self.assertEqual(record["qualifier"], qualifier)
        self.refused(404, ("VersionNotFound", "AliasNotFound"), self.timer, service, "t9", qualifier="9")
        self.refused(404, "AliasNotFound", self.timer, service, "t9", qualifier="nobody")

    def test_a_name_is_taken_once(self):
        service = self.service_with()
        self.timer(service)
        self.refused(409, "TriggerAlreadyExists", self.timer, service)

    def test_one_http_trigger_is_the_most(self):
        service = self.service_with()
        create = self.fc.create_trigger
        create(service, "f", "h", "http", HTTP, None, None)
        self.refused((400, 409), ("InvalidArgument", "TriggerAlreadyExists"), create, service, "f", "i", "http", HTTP, None, None)

    def test_what_makes_no_trigger_is_refused(self):
        service = self.service_with()
        for number, (kind, config) in enumerate((("pigeon", {}), ("", TIMER), (None, TIMER), (7, TIMER), ("timer", "text"), ("timer", None),
                                                 ("timer", []), ("http", "text"))):
            with self.subTest(kind=kind, config=config):
                self.refused(400, "InvalidArgument", self.fc.create_trigger, service, "f", f"t{number}", kind, config, None, None)
        self.assertEqual(self.fc.list_triggers(service, "f").data["triggers"], [])

    def test_they_are_listed_in_order(self):
        service = self.service_with()
        for name in "cab":
            self.timer(service, name)
        listed = self.told(self.fc.list_triggers(service, "f"))
        self.assertEqual([one["triggerName"] for one in listed["triggers"]], ["a", "b", "c"])
        self.assertFalse(listed.get("nextToken"))
        self.assertEqual(self.fc.list_triggers(service, "f", prefix="b").data["triggers"][0]["triggerName"], "b")

    def test_a_removed_one_is_gone(self):
        service = self.service_with()
        self.timer(service)
        self.assertIsNone(self.fc.delete_trigger(service, "f", "t"))
        for call in (self.fc.get_trigger, self.fc.update_trigger, self.fc.delete_trigger):
            self.refused(404, "TriggerNotFound", call, service, "f", "t")

    def test_a_function_with_triggers_stays(self):
        service = self.service_with()
        self.timer(service)
        error = self.refused(409, "FunctionNotEmpty", self.fc.delete_function, service, "f")
        self.assertIn("f", error.message)
        self.fc.delete_trigger(service, "f", "t")
        self.fc.delete_function(service, "f")

    def test_the_function_must_be_there(self):
        service = self.service()
        self.refused(404, "FunctionNotFound", self.timer, service)
        self.refused(404, "FunctionNotFound", self.fc.list_triggers, service, "f")
        self.refused(404, "ServiceNotFound", self.timer, "py-no-such-service")
