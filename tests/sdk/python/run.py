"""Runs the tests of one noun and prints a line a test; the details go to standard error."""

import importlib
import os
import sys
import unittest


class Lines(unittest.TestResult):
    """Prints what came of each test."""

    def say(self, word, test, why=""):
        name = test.id().split(".", 1)[1]
        # Names of hostile tests hold what terminals and line-based programs do not like.
        line = f"   {word:4} {name[:120]}{': ' if why else ''}{why}"
        print(line.encode("unicode_escape").decode(), flush=True)

    def fault(self, test, error):
        kind, value, _ = error
        reason = f"{value.status_code} {value.message}" if kind.__name__ == "FcError" else value
        self.say("FAIL", test, f"{kind.__name__} {' '.join(str(reason).split())[:250]}")
        details = f"== {test.id()}\n{self._exc_info_to_string(error, test)}"
        print("".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in details), file=sys.stderr)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("skip", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fault(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.fault(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.fault(subtest, err)


def main(noun):
    suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(noun))
    wanted = os.environ.get("SDK_TESTS_FILTER", "")
    chosen = unittest.TestSuite(test for group in suite for test in group if wanted in test.id())
    result = Lines()
    chosen.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
