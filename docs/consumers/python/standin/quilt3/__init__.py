"""A STAND-IN for quilt3, for the test of the example beside it, where quilt3 itself is not installed. It is not quilt3, and has nothing of its code.

It sends the requests that quilt3 8.0.0 was seen to send, and fails with the same type and words: login_with_api_key keeps the key, without asking the
registry; a call whose answer has status 401 raises QuiltException("Authentication failed. ...").
"""

from . import api_keys
from ._session import config, login_with_api_key

__all__ = ["api_keys", "config", "login_with_api_key"]
