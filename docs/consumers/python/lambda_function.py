"""A Lambda function that gets the key from the AWS Parameters and Secrets extension, a layer that caches secrets for
all invocations of one execution environment."""

import json
import os
import urllib.parse
import urllib.request

import boto3
import quilt3
from quilt3.util import QuiltException

SECRET = os.environ["QUILT_SECRET"]
quilt3.config(os.environ["QUILT_CATALOG"])


def from_extension():
    """Returns the key from the cache of the extension: up to 300 seconds old (SECRETS_MANAGER_TTL)."""
    port = os.environ.get("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "2773")
    request = urllib.request.Request(
        f"http://localhost:{port}/secretsmanager/get?secretId={urllib.parse.quote(SECRET, safe='')}",
        headers={"X-Aws-Parameters-Secrets-Token": os.environ["AWS_SESSION_TOKEN"]},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return key_in(json.load(answer)["SecretString"])


def from_secrets_manager():
    """Returns the current key, without the cache."""
    return key_in(boto3.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"])


def key_in(value):
    return json.loads(value)["QUILT_API_KEY"].strip()


def handler(event, context):
    quilt3.login_with_api_key(from_extension())
    try:
        return work(event)
    except QuiltException as error:
        if not str(error).startswith("Authentication failed"):
            raise
        quilt3.login_with_api_key(from_secrets_manager())  # the cached key was revoked
        return work(event)


def work(event):
    return [key["name"] for key in quilt3.api_keys.list()]  # your work
