"""Hooks of an instance: the initializer runs once before the first event, under its own timeout, and shows in the log."""

import base64

from fc import Case


class Initializer(Case):
    def tails(self, service, count):
        """The logs of that many calls, one after the other."""
        path = f"/services/{service}/functions/f/invocations"
        for _ in range(count):
            answer = self.request("POST", path, headers={"x-fc-log-type": "Tail"})
            yield base64.b64decode(answer.headers["X-Fc-Log-Result"]).decode()

    def test_it_runs_once_and_is_in_the_log(self):
        service = self.service_with("bad/returned-error", initializer="initialize")
        first, second = self.tails(service, 2)
        self.assertIn("FC Initialize Start RequestId: ", first)
        self.assertIn("FC Initialize End RequestId: ", first)
        self.assertLess(first.index("FC Initialize Start"), first.index("initialize\n"))
        self.assertLess(first.index("FC Initialize End"), first.index("FC Invoke Start"))
        self.assertNotIn("FC Initialize", second)

    def test_one_that_fails_fails_the_event(self):
        service = self.service_with("bad/returned-error", initializer="initialize", environmentVariables={"FAIL_IN": "initialize"})
        document = self.faulted("NoDatabase", self.fc.invoke_function, service, "f", b"x")
        self.assertEqual(document["errorMessage"], "the database is not there")
