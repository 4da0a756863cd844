"""The current Quilt API key of a Secrets Manager secret, for programs that use quilt3.

    key = RotatedKey("prod/pipeline", registry="https://registry.example.com")
    keys = key.call(quilt3.api_keys.list)

It fetches the key, logs quilt3 in with it, and keeps it for five minutes. If the registry answers "Authentication
failed", it fetches the key once more, so calls succeed after a key was revoked. If the registry refuses again, the
caller gets the exception.
"""

import contextlib
import inspect
import json
import threading
import time

import boto3
import quilt3
from quilt3.util import QuiltException

MAX_AGE = 300  # seconds; the secret's grace period must be longer


class RotatedKey:
    def __init__(self, secret_id, field="QUILT_API_KEY", registry=None, max_age=MAX_AGE, client=None):
        """field is the field of the secret's JSON that holds the key. If it is None, the whole value is the key.

        registry is the URL of the key's registry. If it is None, it is the one that quilt3 is configured for.
        """
        self._registry = registry and registry.rstrip("/")
        self._secret_id, self._field, self._max_age = secret_id, field, max_age
        self._client = client or boto3.client("secretsmanager")
        self._lock = threading.Lock()
        self._key, self._fetched = None, 0.0

    def call(self, function, *args, **kwargs):
        """Calls a function of quilt3 with the current key. If the registry refuses the key, it calls the function
        again with a newer one."""
        with at_registry(self._registry):
            key = self.log_in()
            try:
                return function(*args, **kwargs)
            except QuiltException as error:
                if not str(error).startswith("Authentication failed"):
                    raise
                if self.log_in(refused=key) == key:  # the current key itself is refused: nothing newer to try
                    raise
                return function(*args, **kwargs)

    def log_in(self, refused=None):
        """Logs quilt3 in with the key and returns the key. refused is a key that no longer works."""
        with self._lock:
            old = time.monotonic() - self._fetched > self._max_age
            if self._key is None or old or self._key == refused:
                key = self._fetch()
                if key != self._key:
                    log_in(key, self._registry)
                self._key, self._fetched = key, time.monotonic()
            return self._key

    def _fetch(self):
        value = self._client.get_secret_value(SecretId=self._secret_id)["SecretString"]
        key = value if self._field is None else json.loads(value)[self._field]
        return key.strip()  # quilt3 refuses a key with white space around it


def log_in(key, registry):
    """Logs quilt3 in. quilt3 8.1 has one login for each registry. Older versions have one login for the process, and
    send its key to the registry that quilt3 is configured for."""
    if "registry_url" in inspect.signature(quilt3.login_with_api_key).parameters:
        quilt3.login_with_api_key(key, registry_url=registry)
        return
    configured = quilt3.session.get_registry_url()
    if registry not in (None, configured):
        raise ValueError(f"quilt3 is configured for the registry {configured}, and the key belongs to {registry}")
    quilt3.login_with_api_key(key)


def at_registry(registry):
    """Sends the requests of quilt3 8.1 to the registry until the end of the with block."""
    if registry is None or not hasattr(quilt3.session, "use_registry_url"):
        return contextlib.nullcontext()
    return quilt3.session.use_registry_url(registry)
