"""Part of the stand-in: one API call."""

from .session import graphql

_LIST = (
    "query apiKeysList($name: String, $fingerprint: String, $status: APIKeyStatus) {"
    " me { apiKeys(name: $name, fingerprint: $fingerprint, status: $status)"
    " { id name fingerprint createdAt expiresAt lastUsedAt status userEmail } } }"
)


def list():
    me = graphql(_LIST, "apiKeysList", {"name": None, "fingerprint": None, "status": None})["me"]
    return me["apiKeys"] if me else []
