"""Every public method of the client has come back with an answer in one of the tests before, or stands here with the reason why not."""

import os
import unittest

import fc2

# Method, and why no test can see it succeed.
WITHOUT = {
    "websocket": "makes the socket that `instance_exec` uses, and is called by it",
}


class Methods(unittest.TestCase):
    def test_each_was_called_with_success(self):
        with open(os.environ["SDK_TESTS_CALLED"], encoding="utf-8") as file:
            called = set(file.read().split())
        public = {name for name in dir(fc2.Client) if not name.startswith("_") and callable(getattr(fc2.Client, name))}
        self.assertGreaterEqual(len(public), 50)
        self.assertEqual(sorted(public - called - set(WITHOUT)), [], "no test saw these succeed")
        self.assertEqual(sorted(set(WITHOUT) & called), [], "these have no need to be excused")
        self.assertEqual(sorted(set(WITHOUT) - public), [], "these are no methods")
