"""Of the stand-in: where the registry is, and which key is logged in."""

import json
import urllib.error
import urllib.request

from .util import QuiltException

_state = {"registry": None, "key": None}
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback only


def config(catalog_url):
    with _opener.open(catalog_url.rstrip("/") + "/config.json") as answer:
        _state["registry"] = json.load(answer)["registryUrl"].rstrip("/")


def login_with_api_key(key):
    if not key.startswith("qk_"):
        raise ValueError("API key must start with 'qk_' prefix")
    _state["key"] = key


def graphql(query, operation_name, variables):
    request = urllib.request.Request(
        _state["registry"] + "/graphql",
        json.dumps({"query": query, "operationName": operation_name, "variables": variables}).encode(),
        {"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer " + _state["key"], "User-Agent": "quilt-python/standin"},
    )
    try:
        with _opener.open(request) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise QuiltException("Authentication failed. Check your credentials or API key.") from None
        raise QuiltException(f"Unexpected failure: error {error.code}") from None
