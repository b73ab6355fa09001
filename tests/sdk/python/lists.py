"""Lists, page by page: limit, nextToken, prefix, startKey, the same for everything that is listed."""

import fc2

from fc import Case, unique


class Pages(Case):
    def walk(self, listed, plural, name, limit, **query):
        """The names on all pages, and how many pages there were; each but the last is full."""
        names, pages, token = [], 0, None
        while True:
            data = self.told(listed(limit=limit, nextToken=token, **query))
            items = [one[name] for one in data[plural]]
            names += items
            pages += 1
            token = data.get("nextToken")
            if not token:
                return names, pages
            self.assertEqual(len(items), limit)

    def check(self, listed, plural, name, made, **query):
        """All ways to page through five, and no more than these."""
        first = sorted(made)
        for limit, pages in ((1, 5), (2, 3), (3, 2), (5, 1), (100, 1)):
            with self.subTest(plural=plural, limit=limit):
                self.assertEqual(self.walk(listed, plural, name, limit, **query), (first, pages))
        names = lambda **more: [one[name] for one in listed(**{**query, **more}).data[plural]]
        self.assertEqual(names(), first)
        self.assertEqual(names(startKey=first[2]), first[2:], "the start is part of the list")
        self.assertEqual(names(startKey=first[1] + "0", limit=2), first[2:4])
        self.assertEqual(names(prefix=first[3]), first[3:4])
        self.assertEqual(names(prefix="py-none-such"), [])
        token = listed(limit=2, **query).data["nextToken"]
        self.assertEqual(names(nextToken=token, startKey=first[0], limit=1), first[2:3], "a token is stronger than a start")
        for wrong in (101, -1, "many"):
            with self.subTest(plural=plural, limit=wrong):
                self.refused(400, "InvalidArgument", listed, limit=wrong, **query)
        for wrong in ("\u0000", "x" * 5000, "' OR 1=1 --", "../.."):
            with self.subTest(plural=plural, token=wrong[:20]):
                self.lives(listed, nextToken=wrong, **query)

    def lives(self, call, *arguments, **named):
        """A token that no list gave is refused or leads to a list; never more."""
        try:
            self.told(call(*arguments, **named))
        except fc2.FcError as error:
            self.assertEqual((error.status_code, error.err_code), (400, "InvalidArgument"))

    def test_services(self):
        prefix = unique("page")
        made = [f"{prefix}-{end}" for end in "bdace"]
        for name in made:
            self.fc.create_service(name)
        listed = lambda **query: self.fc.list_services(**{"prefix": prefix, **query})
        self.check(listed, "services", "serviceName", made)

    def test_functions(self):
        service, made = self.service(), list("bdace")
        for name in made:
            self.function(service, name)
        self.check(lambda **query: self.fc.list_functions(service, **query), "functions", "functionName", made)

    def test_triggers(self):
        service, made = self.service_with(), list("bdace")
        for name in made:
            self.fc.create_trigger(service, "f", name, "timer", {"cronExpression": "@every 5m", "enable": False, "payload": ""}, None, None)
        self.check(lambda **query: self.fc.list_triggers(service, "f", **query), "triggers", "triggerName", made)

    def test_aliases(self):
        service, made = self.service(), list("bdace")
        self.fc.publish_version(service)
        for name in made:
            self.fc.create_alias(service, name, "1")
        self.check(lambda **query: self.fc.list_aliases(service, **query), "aliases", "aliasName", made)

    def test_domains(self):
        prefix = unique("page")
        made = [f"{prefix}-{end}.example.com" for end in "bdace"]
        for name in made:
            self.fc.create_custom_domain(name)
        listed = lambda **query: self.fc.list_custom_domains(**{"prefix": prefix, **query})
        self.check(listed, "customDomains", "domainName", made)

    def test_versions(self):
        service = self.service()
        for number in range(5):
            self.fc.update_service(service, description=str(number))
            self.fc.publish_version(service)
        listed = lambda **query: self.fc.list_versions(service, **query)
        for limit, pages in ((1, 5), (2, 3), (5, 1)):
            self.assertEqual(self.walk(listed, "versions", "versionId", limit), (list("54321"), pages))
            self.assertEqual(self.walk(listed, "versions", "versionId", limit, direction="FORWARD"), (list("12345"), pages))

    def test_twenty_are_a_page(self):
        prefix = unique("page")
        for number in range(21):
            self.fc.create_service(f"{prefix}-{number:02}")
        page = self.fc.list_services(prefix=prefix).data
        self.assertEqual(len(page["services"]), 20)
        self.assertTrue(page["nextToken"])

    def test_what_changes_meanwhile_is_neither_doubled_nor_lost(self):
        prefix = unique("page")
        for end in "acegi":
            self.fc.create_service(f"{prefix}-{end}")
        page = self.fc.list_services(prefix=prefix, limit=2).data
        self.fc.delete_service(f"{prefix}-e")
        self.fc.create_service(f"{prefix}-b")
        self.fc.create_service(f"{prefix}-h")
        rest = self.fc.list_services(prefix=prefix, nextToken=page["nextToken"]).data
        names = [one["serviceName"][-1] for one in page["services"] + rest["services"]]
        self.assertEqual(names, list("acghi"))
