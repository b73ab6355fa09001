"""Code from objects of buckets that are behind an S3 endpoint: a real store, with a key that may read a part of one bucket."""

from fc import Case, crc64

import requests


class Objects(Case):
    def from_object(self, service, bucket, key, name="f"):
        return self.fc.create_function(
            service, name, "wasm", "handle", codeOSSBucket=bucket, codeOSSObject=key, memorySize=128, timeout=10)

    def test_a_function_is_made_of_an_object_and_changed_to_another(self):
        service = self.service()
        for name, bucket in (("f", "sdk-releases"), ("g", "sdk-renamed")):
            made = self.told(self.from_object(service, bucket, "open/wat-echo ä.zip", name))
            self.assertEqual(self.fc.invoke_function(service, name, b"hi").data, b"hi")
            changed = self.fc.update_function(
                service, name, codeOSSBucket=bucket, codeOSSObject="open/assemblyscript-upper ä.zip").data
            self.assertNotEqual(changed["codeChecksum"], made["codeChecksum"])
            self.assertEqual(self.fc.invoke_function(service, name, b"hi").data, b"HI")

    def test_the_code_can_be_fetched(self):
        service = self.service()
        record = self.from_object(service, "sdk-releases", "open/wat-echo ä.zip").data
        link = self.fc.get_function_code(service, "f").data
        content = requests.get(link["url"], timeout=10).content
        self.assertEqual((crc64(content), len(content)), (record["codeChecksum"], record["codeSize"]))

    def test_a_version_keeps_the_object_of_its_moment(self):
        service = self.service()
        self.from_object(service, "sdk-releases", "open/wat-echo ä.zip")
        version = self.fc.publish_version(service, "one").data["versionId"]
        self.fc.update_function(service, "f", codeOSSBucket="sdk-releases", codeOSSObject="open/assemblyscript-upper ä.zip")
        self.assertEqual(self.fc.invoke_function(service, "f", b"hi", qualifier=version).data, b"hi")

    def test_a_layer_is_published_from_an_object(self):
        code = {"ossBucketName": "sdk-releases", "ossObjectName": "open/words.zip"}
        made = self.request("POST", "/layers/sdk-objects/versions", {"code": code})
        self.assertEqual(made.status_code, 200, made.text)

    def test_what_is_not_there_is_the_callers_mistake(self):
        service = self.service()
        error = self.refused(400, "InvalidArgument", self.from_object, service, "sdk-releases", "open/none.zip")
        self.assertIn("sdk-releases/open/none.zip", error.message)
        self.refused(400, "InvalidArgument", self.from_object, service, "sdk-none", "f.zip")
        self.refused(400, "InvalidArgument", self.from_object, service, "sdk-releases", "../f.zip")

    def test_what_the_servers_key_may_not_read_is_denied(self):
        service = self.service()
        self.refused(403, "AccessDenied", self.from_object, service, "sdk-releases", "closed/wat-echo ä.zip")
        self.refused(403, "AccessDenied", self.from_object, service, "sdk-wrong-secret", "open/wat-echo ä.zip")

    def test_a_store_that_is_down_is_worth_another_try(self):
        self.refused(503, "ServiceUnavailable", self.from_object, self.service(), "sdk-down", "f.zip")
