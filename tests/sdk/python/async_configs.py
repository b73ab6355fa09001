"""Configurations of async invocations: retries, age, destinations; and that an event gets to its destination."""

import json

from fc import Case, eventually

HEADERS = {"x-fc-invocation-type": "Async"}


def arn(service, function="f"):
    return f"acs:fc:any:1:services/{service}/functions/{function}"


class AsyncConfigs(Case):
    def test_a_new_one_has_the_documented_record(self):
        service, other = self.service_with(), self.service_with()
        config = {"destinationConfig": {"onSuccess": {"destination": arn(other)}, "onFailure": {"destination": arn(other)}},
                  "maxAsyncEventAgeInSeconds": 100, "maxAsyncRetryAttempts": 1, "statefulInvocation": True}
        record = self.told(self.fc.put_function_async_invoke_config(service, "LATEST", "f", config))
        self.assertEqual({key: record[key] for key in config}, config)
        self.assertEqual((record["service"], record["function"], record["qualifier"]), (service, "f", "LATEST"))
        self.assert_moments(record)
        self.assertEqual(self.told(self.fc.get_function_async_invoke_config(service, "LATEST", "f")), record)

    def test_what_is_not_set_is_null(self):
        service = self.service_with()
        record = self.fc.put_function_async_invoke_config(service, "LATEST", "f", {"maxAsyncRetryAttempts": 0}).data
        self.assertEqual(record["maxAsyncRetryAttempts"], 0)
        self.assertIsNone(record["maxAsyncEventAgeInSeconds"])

    def test_a_second_one_replaces_the_first(self):
        service = self.service_with()
        put = self.fc.put_function_async_invoke_config
        put(service, "LATEST", "f", {"maxAsyncRetryAttempts": 1, "maxAsyncEventAgeInSeconds": 100})
        record = put(service, "LATEST", "f", {"maxAsyncEventAgeInSeconds": 200}).data
        self.assertEqual((record["maxAsyncRetryAttempts"], record["maxAsyncEventAgeInSeconds"]), (None, 200))

    def test_keys_come_in_any_case(self):
        service, other = self.service_with(), self.service_with()
        config = {"DestinationConfig": {"OnSuccess": {"Destination": arn(other)}}, "MaxAsyncRetryAttempts": 2}
        record = self.fc.put_function_async_invoke_config(service, "LATEST", "f", config).data
        self.assertEqual(record["maxAsyncRetryAttempts"], 2)
        self.assertEqual(record["destinationConfig"]["onSuccess"]["destination"], arn(other))

    def test_each_qualifier_has_its_own(self):
        service = self.service_with()
        self.fc.publish_version(service)
        self.fc.create_alias(service, "prod", "1")
        put = self.fc.put_function_async_invoke_config
        for retries, qualifier in enumerate(("LATEST", "prod", "1")):
            put(service, qualifier, "f", {"maxAsyncRetryAttempts": retries})
        for retries, qualifier in enumerate(("LATEST", "prod", "1")):
            record = self.fc.get_function_async_invoke_config(service, qualifier, "f").data
            self.assertEqual((record["qualifier"], record["maxAsyncRetryAttempts"]), (qualifier, retries))
        listed = self.told(self.fc.list_function_async_invoke_configs(service, "f"))
        self.assertEqual({one["qualifier"] for one in listed["configs"]}, {"LATEST", "prod", "1"})
        self.assertEqual(listed["nextToken"], "")
        page = self.fc.list_function_async_invoke_configs(service, "f", limit=2).data
        rest = self.fc.list_function_async_invoke_configs(service, "f", limit=2, nextToken=page["nextToken"]).data
        self.assertEqual({one["qualifier"] for one in page["configs"] + rest["configs"]}, {"LATEST", "prod", "1"})

    def test_none_are_listed_with_an_empty_token(self):
        service = self.service_with()
        listed = self.fc.list_function_async_invoke_configs(service, "f").data
        self.assertFalse(listed["configs"])
        self.assertEqual(listed["nextToken"], "")

    def test_a_removed_one_is_gone(self):
        service = self.service_with()
        self.fc.put_function_async_invoke_config(service, "LATEST", "f", {"maxAsyncRetryAttempts": 1})
        self.assertIsNone(self.fc.delete_function_async_invoke_config(service, "LATEST", "f"))
        self.refused(404, "AsyncConfigNotExists", self.fc.get_function_async_invoke_config, service, "LATEST", "f")
        self.refused(404, "AsyncConfigNotExists", self.fc.delete_function_async_invoke_config, service, "LATEST", "f")

    def test_values_out_of_bounds_are_refused(self):
        service = self.service_with()
        for config in ({"maxAsyncRetryAttempts": 9}, {"maxAsyncRetryAttempts": -1}, {"maxAsyncRetryAttempts": "three"},
                       {"maxAsyncEventAgeInSeconds": 0}, {"maxAsyncEventAgeInSeconds": 604801}, {"destinationConfig": "there"},
                       {"destinationConfig": {"onSuccess": {"destination": "somewhere"}}},
                       {"destinationConfig": {"onFailure": {"destination": arn(service)}}}, [], "text"):
            with self.subTest(config=config):
                self.refused(400, "InvalidArgument", self.fc.put_function_async_invoke_config, service, "LATEST", "f", config)

    def test_the_function_must_be_there(self):
        service = self.service()
        put = self.fc.put_function_async_invoke_config
        self.refused(404, "FunctionNotFound", put, service, "LATEST", "f", {})
        self.refused(404, "ServiceNotFound", put, "py-no-such-service", "LATEST", "f", {})
        self.refused(404, "FunctionNotFound", self.fc.list_function_async_invoke_configs, service, "f")


class Destinations(Case):
    def delivered(self, guest, event, on):
        """Invokes a guest whose outcome goes to another function; the document that one got."""
        service, other = self.service_with(guest), self.service_with("wat-echo")
        put = self.fc.put_function_async_invoke_config
        put(other, "LATEST", "f", {"statefulInvocation": True})
        put(service, "LATEST", "f", {"destinationConfig": {on: {"destination": arn(other)}}, "maxAsyncRetryAttempts": 0})
        accepted = self.fc.invoke_function(service, "f", event, headers=HEADERS)
        path = f"/services/{other}/functions/f/stateful-async-invocations"
        records = eventually("a delivery", lambda: self.request("GET", path, params={"includePayload": "true"}).json()["invocations"])
        return accepted.headers["X-Fc-Request-Id"], self.document(records)

    def document(self, records):
        self.assertEqual(len(records), 1)
        return json.loads(records[0]["invocationPayload"])

    def test_success_is_told(self):
        request, document = self.delivered("wat-echo", b"hi", "onSuccess")
        self.assertEqual(document["requestContext"]["requestId"], request)
        self.assertEqual(document["requestContext"]["condition"], "")
        self.assertEqual((document["requestPayload"], document["responsePayload"]), ("hi", "hi"))
        self.assertEqual(document["responseContext"]["statusCode"], 200)
        self.assertIsInstance(document["timestamp"], int)

    def test_failure_is_told(self):
        request, document = self.delivered("bad/trap", b"hi", "onFailure")
        self.assertEqual(document["requestContext"]["requestId"], request)
        self.assertEqual(document["requestContext"]["condition"], "UnhandledInvocationError")
        self.assertEqual(document["requestContext"]["approximateInvokeCount"], 1)
        self.assertEqual(document["requestPayload"], "hi")
