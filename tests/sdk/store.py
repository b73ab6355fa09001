"""An object store that speaks S3, on loopback: `store.py FOLDER GUESTS` fills one bucket, makes a key that may only read it, writes the
server's settings and secrets into FOLDER, and serves until it is ended. From then on it checks signatures and policies."""

import io
import json
import os
import signal
import sys
import zipfile

import boto3
import requests
from moto.server import ThreadedMotoServer

BUCKET, REGION = "sdk-releases", "eu-west-1"
POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/open/*"}]}


def zipped(name, content):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr(name, content)
    return memory.getvalue()


def main(folder, guests):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    known = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "any", "aws_secret_access_key": "any"}
    s3, iam = boto3.client("s3", **known), boto3.client("iam", **known)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for guest in ("wat-echo", "assemblyscript-upper"):
        with open(os.path.join(guests, guest, f"{guest}.wasm"), "rb") as file:
            package = zipped("main.wasm", file.read())
        for place in ("open", "closed"):
            s3.put_object(Bucket=BUCKET, Key=f"{place}/{guest} ä.zip", Body=package)
    s3.put_object(Bucket=BUCKET, Key="open/words.zip", Body=zipped("words.txt", b"words"))
    iam.create_user(UserName="hearth")
    iam.put_user_policy(UserName="hearth", PolicyName="read", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="hearth")["AccessKey"]
    requests.post(f"{url}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()

    settings = ["[object_store]", 'timeout = "10s"']
    for name, secret, at in (
        ("sdk-releases", key["SecretAccessKey"], url),
        ("sdk-renamed", key["SecretAccessKey"], f"{url}/{BUCKET}"),
        ("sdk-wrong-secret", "not-the-secret", f"{url}/{BUCKET}"),
        ("sdk-down", "not-the-secret", "http://127.0.0.1:1"),
    ):
        path = os.path.join(folder, f"{name}.secret")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secret + "\n")
        settings += ["[[object_store.buckets]]", f'name = "{name}"', f'url = "{at}"', f'region = "{REGION}"',
                     f'access_key = "{key["AccessKeyId"]}"', f'secret_file = "{path}"']
    # Written last and whole: whoever waits for it finds everything ready.
    with open(os.path.join(folder, "settings.new"), "w", encoding="utf-8") as file:
        file.write("\n".join(settings) + "\n")
    os.rename(os.path.join(folder, "settings.new"), os.path.join(folder, "settings.toml"))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


main(*sys.argv[1:])
