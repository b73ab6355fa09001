"""What belongs to the account."""

from fc import Case


class Account(Case):
    def test_settings_name_a_zone(self):
        settings = self.told(self.fc.get_account_settings())
        self.assertTrue(settings["availableAZs"])
        self.assertTrue(all(isinstance(zone, str) and zone for zone in settings["availableAZs"]))

    def test_nothing_is_reserved(self):
        self.assertEqual(self.told(self.fc.list_reserved_capacities())["reservedCapacities"], [])
        self.assertEqual(self.fc.list_reserved_capacities(limit=1, nextToken=None).data["reservedCapacities"], [])
