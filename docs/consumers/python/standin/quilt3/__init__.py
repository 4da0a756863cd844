"""A STAND-IN for quilt3, for the tests of the examples beside it, on machines without quilt3. It is not quilt3, and has
none of its code.

It sends the requests that quilt3 8.0.0 sends, and fails with the same exception and message: login_with_api_key
keeps the key and sends no request; a call whose answer has status 401 raises QuiltException("Authentication failed.
..."). It has the logins of quilt3 8.1, one for each registry. With QUILT3_STANDIN=8.0 in the environment, it has the
login of quilt3 7.2 to 8.0, one for the process.
"""

from . import api_keys, session
from .session import config, login_with_api_key

__all__ = ["api_keys", "config", "login_with_api_key", "session"]
