"""Tags of services: set, read, filtered by, taken away."""

from fc import Case, unique


class Tags(Case):
    def setUp(self):
        super().setUp()
        self.name = self.service()
        self.arn = f"services/{self.name}"

    def tags(self):
        return self.fc.get_resource_tags(self.arn).data["tags"]

    def test_they_are_set_and_added_to(self):
        self.told(self.fc.tag_resource(self.arn, {"a": "1", "b": "2"}))
        self.fc.tag_resource(self.arn, {"b": "3", "c": ""})
        read = self.told(self.fc.get_resource_tags(self.arn))
        self.assertEqual(read["tags"], {"a": "1", "b": "3", "c": ""})
        self.assertRegex(read["resourceArn"], rf"^acs:fc:[^:]*:[^:]*:services/{self.name}$")

    def test_the_whole_name_of_a_resource_works_too(self):
        self.fc.tag_resource(self.arn, {"a": "1"})
        whole = self.fc.get_resource_tags(self.arn).data["resourceArn"]
        self.assertEqual(self.fc.get_resource_tags(whole).data["tags"], {"a": "1"})
        self.fc.tag_resource(whole, {"b": "2"})
        self.assertEqual(self.tags(), {"a": "1", "b": "2"})

    def test_they_are_taken_away(self):
        self.fc.tag_resource(self.arn, {"a": "1", "b": "2", "c": "3", "d": "4"})
        self.told(self.fc.untag_resource(self.arn, ["a", "nobody"]))
        self.assertEqual(self.tags(), {"b": "2", "c": "3", "d": "4"})
        self.fc.untag_resource(self.arn, ["b"], True)
        self.assertEqual(self.tags(), {"c": "3", "d": "4"}, "all counts only without keys")
        self.fc.untag_resource(self.arn, [], True)
        self.assertEqual(self.tags(), {})

    def test_services_are_found_by_them(self):
        key = unique("key")
        other = self.service()
        self.fc.tag_resource(self.arn, {key: "1", "x": "1"})
        self.fc.tag_resource(f"services/{other}", {key: "2", "x": "1"})
        found = lambda tags: [one["serviceName"] for one in self.fc.list_services(tags=tags).data["services"]]
        self.assertEqual(found({key: "1"}), [self.name])
        self.assertEqual(found({key: "2", "x": "1"}), [other])
        self.assertEqual(found({key: "1", "x": "2"}), [])
        self.assertEqual(found({key: ""}), sorted([self.name, other]))

    def test_twenty_are_the_most(self):
        self.fc.tag_resource(self.arn, {f"k{number}": "v" for number in range(20)})
        self.refused(400, ("InvalidArgument", "LimitExceededError"), self.fc.tag_resource, self.arn, {"one-more": "v"})
        self.assertEqual(len(self.tags()), 20)

    def test_what_is_not_there_has_none(self):
        missing = "services/py-no-such-service"
        self.refused(404, "ServiceNotFound", self.fc.tag_resource, missing, {"a": "1"})
        self.refused(404, "ServiceNotFound", self.fc.get_resource_tags, missing)
        self.refused(404, "ServiceNotFound", self.fc.untag_resource, missing, ["a"])

    def test_what_makes_no_tag_is_refused(self):
        for arn in ("", "functions/f", "acs:oss:r:1:bucket", "services/", "services/a/b", None, 7):
            with self.subTest(arn=arn):
                self.refused(400, "InvalidArgument", self.fc.tag_resource, arn, {"a": "1"})
        for tags in ({"": "v"}, {"k" * 200: "v"}, {"k": "v" * 300}, {"k": 7}, "text", None):
            with self.subTest(tags=tags):
                self.refused(400, "InvalidArgument", self.fc.tag_resource, self.arn, tags)
        self.assertEqual(self.tags(), {})
