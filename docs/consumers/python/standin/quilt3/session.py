"""Part of the stand-in: the registry in use and the keys of the logins."""

import contextlib
import contextvars
import json
import os
import ssl
import urllib.error
import urllib.request

from .util import QuiltException

_keys = {}  # by registry; quilt3 8.0 has one key, for None
_configured = {"registry": None}
_used = contextvars.ContextVar("used", default=None)


def _open(request):
    """Trusts the same certificates as the package requests: REQUESTS_CA_BUNDLE instead of certifi."""
    handlers = [urllib.request.ProxyHandler({})]  # loopback only
    if os.environ.get("REQUESTS_CA_BUNDLE"):
        context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers).open(request)


def config(catalog_url):
    with _open(catalog_url.rstrip("/") + "/config.json") as answer:
        _configured["registry"] = json.load(answer)["registryUrl"].rstrip("/")


def get_registry_url():
    return _used.get() or _configured["registry"]


def _log_in(key, registry):
    if not key.startswith("qk_"):
        raise ValueError("API key must start with 'qk_' prefix")
    _keys[registry] = key


if os.environ.get("QUILT3_STANDIN") == "8.0":

    def login_with_api_key(key):
        _log_in(key, None)

    def _key():
        return _keys.get(None)

else:

    def login_with_api_key(key, registry_url=None):
        registry = registry_url or get_registry_url()
        if registry is None:
            raise QuiltException("no registry is configured")
        _log_in(key, registry)

    @contextlib.contextmanager
    def use_registry_url(url):
        token = _used.set(url)
        try:
            yield
        finally:
            _used.reset(token)

    def _key():
        return _keys.get(get_registry_url())


def graphql(query, operation_name, variables):
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "quilt-python/standin",
    }
    if _key() is not None:
        headers["Authorization"] = "Bearer " + _key()
    body = json.dumps({"query": query, "operationName": operation_name, "variables": variables}).encode()
    try:
        with _open(urllib.request.Request(get_registry_url() + "/graphql", body, headers)) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise QuiltException("Authentication failed. Check your credentials or API key.") from None
        raise QuiltException(f"Unexpected failure: error {error.code}") from None
