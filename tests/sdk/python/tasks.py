"""Stateful async invocations, which the SDK can start and has no methods to look at: read, listed, stopped through its own signing."""

from fc import Case, eventually, kept, package, unique

ENDED = {"Succeeded", "Failed", "Stopped", "Expired", "Invalid"}


class Tasks(Case):
    def start(self, service, event=b"hi", task=None, qualifier=None):
        headers = {"x-fc-invocation-type": "Async", "x-fc-stateful-async-invocation-enable": "true"}
        if task:
            headers["x-fc-stateful-async-invocation-id"] = task
        return self.fc.invoke_function(service, "f", event, headers=headers, qualifier=qualifier)

    def path(self, service, task=None):
        return f"/services/{service}/functions/f/stateful-async-invocations" + (f"/{task}" if task else "")

    def record(self, service, task):
        return self.request("GET", self.path(service, task)).json()

    def listed(self, service, **query):
        return self.request("GET", self.path(service), params=query).json()

    def ended(self, service, task):
        def look():
            record = self.record(service, task)
            return record if record["status"] in ENDED else None
        return eventually(f"the end of {task}", look)

    def test_one_has_the_documented_record(self):
        service, task = self.service_with(), unique("task")
        accepted = self.start(service, task=task)
        self.assertEqual(accepted.data, b"")
        self.assertEqual(accepted.headers["X-Fc-Stateful-Async-Invocation-Id"], task)
        record = self.ended(service, task)
        self.assertEqual(record["status"], "Succeeded")
        self.assertEqual((record["serviceName"], record["functionName"], record["invocationId"]), (service, "f", task))
        self.assertEqual(record["requestId"], accepted.headers["X-Fc-Request-Id"])
        self.assertEqual((record["qualifier"], record["alreadyRetriedTimes"]), ("LATEST", 0))
        self.assertLessEqual(record["startedTime"], record["endTime"])
        self.assertTrue(record["events"])

    def test_without_a_name_it_has_the_id_of_its_request(self):
        service = self.service_with()
        accepted = self.start(service)
        request = accepted.headers["X-Fc-Request-Id"]
        self.assertEqual(accepted.headers["X-Fc-Stateful-Async-Invocation-Id"], request)
        self.assertEqual(self.ended(service, request)["invocationId"], request)

    def test_a_function_may_keep_all_of_them(self):
        service = self.service_with()
        self.fc.put_function_async_invoke_config(service, "LATEST", "f", {"statefulInvocation": True})
        accepted = self.fc.invoke_function(service, "f", b"hi", headers={"x-fc-invocation-type": "Async"})
        self.assertEqual(self.ended(service, accepted.headers["X-Fc-Request-Id"])["status"], "Succeeded")

    def test_it_runs_what_its_qualifier_names(self):
        service, task = self.service_with("wat-echo"), unique("task")
        self.fc.publish_version(service)
        self.fc.create_alias(service, "prod", "1")
        self.fc.update_function(service, "f", codeZipFile=kept(package("assemblyscript-upper")))
        self.start(service, task=task, qualifier="prod")
        path = f"/services/{service}.prod/functions/f/stateful-async-invocations/{task}"
        look = lambda: self.request("GET", path, params={"includePayload": "true"}).json()
        record = eventually("its end", lambda: (look()["status"] in ENDED) and look())
        self.assertEqual((record["qualifier"], record["returnPayload"]), ("prod", "hi"))

    def test_an_id_is_accepted_once(self):
        service, task = self.service_with(), unique("task")
        self.start(service, b"first", task=task)
        self.refused(409, "StatefulAsyncInvocationAlreadyExists", self.start, service, b"second", task=task)
        self.ended(service, task)
        self.refused(409, "StatefulAsyncInvocationAlreadyExists", self.start, service, b"third", task=task)
        self.assertEqual(len(self.listed(service)["invocations"]), 1)

    def test_a_failure_is_kept_with_its_reason(self):
        service, task = self.service_with("bad/trap"), unique("task")
        self.fc.put_function_async_invoke_config(service, "LATEST", "f", {"maxAsyncRetryAttempts": 1})
        self.start(service, task=task)
        record = self.ended(service, task)
        self.assertEqual((record["status"], record["alreadyRetriedTimes"]), ("Failed", 1))
        self.assertTrue(record["invocationErrorMessage"])

    def test_a_running_one_is_stopped(self):
        service, task = self.service_with("bad/infinite-loop", timeout=60), unique("task")
        self.start(service, task=task)
        eventually("it runs", lambda: self.record(service, task)["status"] == "Running")
        self.assertEqual(self.request("PUT", self.path(service, task), {}).status_code, 200)
        self.assertEqual(self.ended(service, task)["status"], "Stopped")
        self.refused(400, "InvalidArgument", self.request, "PUT", self.path(service, task), {})

    def test_they_are_listed_and_filtered(self):
        service, prefix = self.service_with(), unique("task")
        tasks = [f"{prefix}-{number}" for number in range(3)]
        for task in tasks:
            self.start(service, task=task)
            self.ended(service, task)
        ids = lambda **query: [one["invocationId"] for one in self.listed(service, **query)["invocations"] or []]
        self.assertEqual(ids(sortOrderByTime="asc"), tasks)
        self.assertEqual(ids(sortOrderByTime="desc"), tasks[::-1])
        self.assertEqual(ids(status="Failed"), [])
        self.assertEqual(sorted(ids(status="Succeeded")), tasks)
        self.assertEqual(ids(invocationIdPrefix=tasks[1]), [tasks[1]])
        started = self.record(service, tasks[2])["startedTime"]
        self.assertIn(tasks[2], ids(startedTimeBegin=started))
        self.assertNotIn(tasks[0], ids(startedTimeBegin=started + 60000))
        page = self.listed(service, limit=2, sortOrderByTime="asc")
        rest = self.listed(service, limit=2, sortOrderByTime="asc", nextToken=page["nextToken"])
        self.assertEqual([one["invocationId"] for one in page["invocations"] + rest["invocations"]], tasks)
        self.assertFalse(rest.get("nextToken"))

    def test_payloads_are_told_to_who_asks(self):
        service, task = self.service_with(), unique("task")
        self.start(service, b"the event", task=task)
        self.ended(service, task)
        self.assertFalse(self.listed(service)["invocations"][0].get("invocationPayload"))
        record = self.listed(service, includePayload="true")["invocations"][0]
        self.assertEqual((record["invocationPayload"], record["returnPayload"]), ("the event", "the event"))

    def test_what_is_not_there_is_not_found(self):
        service = self.service_with()
        self.refused(404, "StatefulAsyncInvocationNotFound", self.record, service, "nobody")
        self.refused(404, "StatefulAsyncInvocationNotFound", self.request, "PUT", self.path(service, "nobody"), {})
        self.refused(404, "FunctionNotFound", self.request, "GET", self.path(service).replace("/functions/f/", "/functions/g/"))

    def test_ids_and_filters_that_are_none_are_refused(self):
        service = self.service_with()
        for task in ("1-starts-with-a-digit", "a b", "x" * 129, "a/b"):
            with self.subTest(task):
                self.refused(400, "InvalidArgument", self.start, service, task=task)
        for query in ({"limit": 101}, {"status": "Happy"}, {"sortOrderByTime": "up"}, {"startedTimeBegin": "soon"}):
            with self.subTest(query=query):
                self.refused(400, "InvalidArgument", self.listed, service, **query)

    def test_functions_with_tasks_are_listed(self):
        service = self.service_with()
        self.start(service, task=unique("task"))
        found = self.request("GET", "/stateful-async-invocation-functions", params={"limit": 100}).json()["data"]
        self.assertIn((service, "f"), [(one["serviceName"], one["functionName"]) for one in found])
