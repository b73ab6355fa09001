"""ETags: what carries one takes If-Match, and a writer who has not seen the latest is told so."""

import threading

import fc2

from fc import Case

WRONG = {"If-Match": "0123456789abcdef0123456789abcdef"}


class Etags(Case):
    def check(self, read, change, remove=None):
        """A resource with a tag: read gives it, change and remove ask for it. `change` takes a number and headers."""
        first = self.tagged(read())
        self.assertEqual(self.tagged(read()), first, "reading changes nothing")
        self.refused(412, "PreconditionFailed", change, 1, headers=WRONG)
        self.assertEqual(self.tagged(read()), first, "what was refused changed nothing")
        second = self.tagged(change(2, headers={"If-Match": first}))
        self.assertNotEqual(second, first)
        self.assertEqual(self.tagged(read()), second)
        self.refused(412, "PreconditionFailed", change, 3, headers={"If-Match": first})
        third = self.tagged(change(4, headers={"if-match": f'"{second}"'}))
        fourth = self.tagged(change(5, headers={}))
        self.assertEqual(len({first, second, third, fourth}), 4)
        if remove:
            self.refused(412, "PreconditionFailed", remove, headers={"If-Match": first})
            self.assertEqual(self.tagged(read()), fourth)
            remove(headers={"If-Match": fourth})

    def test_of_services(self):
        name = self.service()
        self.check(lambda: self.fc.get_service(name),
                   lambda number, headers: self.fc.update_service(name, description=f"d{number}", headers=headers),
                   lambda headers: self.fc.delete_service(name, headers=headers))
        self.refused(404, "ServiceNotFound", self.fc.get_service, name)

    def test_of_functions(self):
        name = self.service_with()
        self.check(lambda: self.fc.get_function(name, "f"),
                   lambda number, headers: self.fc.update_function(name, "f", description=f"d{number}", headers=headers),
                   lambda headers: self.fc.delete_function(name, "f", headers=headers))
        self.refused(404, "FunctionNotFound", self.fc.get_function, name, "f")

    def test_of_triggers(self):
        name = self.service_with()
        config = {"cronExpression": "@every 5m", "enable": False, "payload": ""}
        self.fc.create_trigger(name, "f", "t", "timer", config, None, None)
        self.check(lambda: self.fc.get_trigger(name, "f", "t"),
                   lambda number, headers: self.fc.update_trigger(name, "f", "t", description=f"d{number}", headers=headers),
                   lambda headers: self.fc.delete_trigger(name, "f", "t", headers=headers))

    def test_of_aliases(self):
        name = self.service()
        self.fc.publish_version(name)
        self.fc.create_alias(name, "prod", "1")
        self.check(lambda: self.fc.get_alias(name, "prod"),
                   lambda number, headers: self.fc.update_alias(name, "prod", "1", description=f"d{number}", headers=headers),
                   lambda headers: self.fc.delete_alias(name, "prod", headers=headers))

    def test_of_on_demand_configurations(self):
        name = self.service_with()
        self.fc.put_on_demand_config(name, "LATEST", "f", 10)
        self.check(lambda: self.fc.get_on_demand_config(name, "LATEST", "f"),
                   lambda number, headers: self.fc.put_on_demand_config(name, "LATEST", "f", number, headers=headers),
                   lambda headers: self.fc.delete_on_demand_config(name, "LATEST", "f", headers=headers))

    def test_of_what_is_published(self):
        name = self.service_with()
        self.refused(412, "PreconditionFailed", self.fc.publish_version, name, headers=WRONG)
        self.assertEqual(self.fc.list_versions(name).data["versions"], [])
        tag = self.tagged(self.fc.get_service(name))
        self.tagged(self.fc.publish_version(name, headers={"If-Match": tag}))

    def test_who_has_the_latest_is_not_sent_it_again(self):
        name = self.service_with()
        for path in (f"/services/{name}", f"/services/{name}/functions/f"):
            whole = self.request("GET", path)
            same = self.request("GET", path, headers={"If-None-Match": whole.headers["ETag"]})
            self.assertEqual((same.status_code, same.content, same.headers["ETag"]), (304, b"", whole.headers["ETag"]))
            other = self.request("GET", path, headers={"If-None-Match": "0123456789abcdef0123456789abcdef"})
            self.assertEqual((other.status_code, other.json()), (200, whole.json()))

    def test_of_two_writers_one_wins(self):
        name = self.service()
        tag = self.tagged(self.fc.get_service(name))
        barrier, ends = threading.Barrier(8), []

        def write(number):
            barrier.wait()
            try:
                self.fc.update_service(name, description=f"writer {number}", headers={"If-Match": tag})
                ends.append(number)
            except fc2.FcError as error:
                ends.append((error.status_code, error.err_code))

        writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        winners = [end for end in ends if isinstance(end, int)]
        self.assertEqual(len(winners), 1, ends)
        self.assertEqual(set(ends) - set(winners), {(412, "PreconditionFailed")})
        self.assertEqual(self.fc.get_service(name).data["description"], f"writer {winners[0]}")
