"""PyJWT's signature algorithms, and nothing else of it.

``import jwt`` also loads PyJWT's client for key sets, which kzproxy does not use (see ``fetch``),
and with it urllib.request, http.client and email: 1.5 MiB in each worker. While jwt is imported
here, a module without anything in it has that client's name.
"""

import sys
from types import ModuleType

_CLIENT = "jwt.jwks_client"
_CLASS = "PyJWKClient"

_stand_in = _CLIENT not in sys.modules
if _stand_in:
    sys.modules[_CLIENT] = ModuleType(_CLIENT)
    setattr(sys.modules[_CLIENT], _CLASS, None)
try:
    from jwt.algorithms import Algorithm, get_default_algorithms
finally:
    if _stand_in:
        del sys.modules[_CLIENT]

__all__ = ["Algorithm", "get_default_algorithms"]
