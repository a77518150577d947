"""What is left out of PyJWT is left out for kzproxy alone."""

import subprocess
import sys

import pytest

CLIENT = "import jwt.jwks_client; print(jwt.jwks_client.PyJWKClient.__name__)"
OURS = "import kzproxy.authentication.signature_algorithms as ours;"


def said_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_client_for_key_sets_is_not_loaded() -> None:
    assert said_by(f"{OURS} import sys; print('jwt.jwks_client' in sys.modules)") == "False"


@pytest.mark.parametrize("program", [f"{OURS} {CLIENT}", f"{CLIENT}; {OURS}"])
def test_whoever_asks_for_it_gets_it(program: str) -> None:
    assert said_by(program) == "PyJWKClient"


def test_the_algorithms_are_those_of_pyjwt() -> None:
    program = "import jwt; print(ours.get_default_algorithms is "
    assert said_by(f"{OURS} {program} jwt.algorithms.get_default_algorithms)") == "True"
