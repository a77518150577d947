import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.store.sealing import Sealer, Unsealable, read_keys

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(max_size=300), st.text(max_size=30))
def test_what_is_sealed_opens_in_its_place(plain: bytes, context: str):
    sealer = Sealer([KEY])
    assert sealer.open(sealer.seal(plain, context), context) == plain


def test_it_opens_nowhere_else():
    sealer = Sealer([KEY])
    with pytest.raises(Unsealable, match="belongs elsewhere"):
        sealer.open(sealer.seal(b"secret", "session:a"), "session:b")


def test_sealing_twice_is_never_the_same():
    sealer = Sealer([KEY])
    assert sealer.seal(b"secret", "here") != sealer.seal(b"secret", "here")


@given(st.data())
def test_any_change_is_noticed(data: st.DataObject):
    sealed = bytearray(Sealer([KEY]).seal(b"secret", "here"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unsealable):
        Sealer([KEY]).open(bytes(sealed), "here")


@given(st.integers(0, 37))
def test_what_was_cut_short_does_not_open(length: int):
    sealed = Sealer([KEY]).seal(b"", "here")
    with pytest.raises(Unsealable):
        Sealer([KEY]).open(sealed[:length], "here")


def test_a_new_key_seals_and_the_old_one_still_opens():
    old, both, new = Sealer([KEY]), Sealer([OTHER, KEY]), Sealer([OTHER])
    assert both.open(old.seal(b"secret", "here"), "here") == b"secret"
    assert new.open(both.seal(b"secret", "here"), "here") == b"secret"
    with pytest.raises(Unsealable, match="a key that kzproxy does not have"):
        new.open(old.seal(b"secret", "here"), "here")


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, b""]])
def test_keys_of_another_length_are_refused(keys: list[bytes]):
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(keys)


def test_keys_are_read_from_lines():
    text = (
        f"# the new one\n{base64.b64encode(KEY).decode()}\n\n {base64.b64encode(OTHER).decode()} \n"
    )
    assert read_keys(text) == (KEY, OTHER)


@pytest.mark.parametrize("line", ["hello", base64.b64encode(bytes(range(31))).decode(), "ä"])
def test_a_line_that_is_no_key_is_named_and_not_shown(line: str):
    with pytest.raises(ValueError, match="line 2 is not 32 bytes") as refused:
        read_keys(f"{base64.b64encode(KEY).decode()}\n{line}\n")
    assert line not in str(refused.value)


def test_no_key_is_no_list_of_keys():
    with pytest.raises(ValueError, match="there is no key"):
        read_keys("# nothing\n\n")
