"""Reading YAML with its places."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.config.document import Mistakes, Node, read_document, read_documents
from kzproxy.errors.configuration import ConfigurationError
from tests.config.documents import lines, write


@pytest.fixture
def mistakes():
    return Mistakes()


@pytest.fixture
def read(tmp_path, mistakes):
    """Read one document from text."""

    def read_text(text: str) -> Node:
        return read_document(write(tmp_path, text), mistakes)

    return read_text


def test_a_document_is_read_as_it_is_written(read, mistakes):
    fields = read(
        """
        name: "07:00"
        count: 12
        on-or-off: true
        words: [a, "", c]
        inner: {kind: x}
        pairs: {b: 1, a: 2}
        """
    ).mapping(required=("name", "count", "on-or-off", "words", "inner", "pairs"))

    assert fields["name"].string() == "07:00"
    assert fields["count"].integer(0, 99) == 12
    assert fields["on-or-off"].boolean() is True
    assert fields["words"].strings(may_be_empty=True) == ("a", "", "c")
    assert fields["inner"].mapping(optional=("kind",))["kind"].choice(["x", "y"]) == "x"
    assert [(k.string(), v.integer(0, 9)) for k, v in fields["pairs"].entries()] == [
        ("b", 1),
        ("a", 2),
    ]
    assert fields["pairs"].is_mapping()
    assert fields["words"].is_sequence()
    assert fields["name"].is_text()
    assert lines(mistakes) == []
    mistakes.raise_if_any()


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(read, mistakes):
    fields = read(
        """
        lst: []
        name: 12
        list: []
        flag: yes
        count: "3"
        choice: colour
        name: again
        """
    ).mapping(required=("name", "list", "missing"), optional=("flag", "count", "choice"))
    fields["choice"].choice(["color", "size"])
    fields["count"].integer(1, 5)
    fields["flag"].boolean()
    fields["list"].strings()
    fields["name"].string()
    fields["missing"].strings()

    allowed = "name, list, missing, flag, count, choice"
    assert lines(mistakes) == [
        "file.yaml:1:1: missing must be set here",
        f"file.yaml:1:1: unknown field lst; did you mean list?; allowed here: {allowed}",
        'file.yaml:2:7: YAML reads 12 as a number; write "12" in quotes',
        "file.yaml:3:7: the list must not be empty; leave the field out or name something",
        "file.yaml:4:7: must be true or false, not a boolean",
        "file.yaml:5:8: must be a whole number from 1 to 5, not a string",
        'file.yaml:6:9: "colour" is not one of color, size; did you mean color?',
        "file.yaml:7:1: name is written twice; keep one",
    ]
    with pytest.raises(ConfigurationError) as raised:
        mistakes.raise_if_any()
    assert raised.value.mistakes == mistakes.found


@pytest.mark.parametrize("word", ["no", "on", "True", "20:00", "1.5", "2026-01-14", "0x1f", ".inf"])
def test_a_word_that_yaml_takes_for_something_else_is_no_string(read, mistakes, word):
    assert read(f"a: {word}").mapping(required=("a",))["a"].string() == ""
    assert lines(mistakes)[0].endswith(f'write "{word}" in quotes')


@pytest.mark.parametrize("text", ["null", "~", "", "[x]", "{x: y}"])
def test_what_is_no_text_is_no_string(read, mistakes, text):
    assert read(f"a: {text}\nb: c").mapping(required=("a", "b"))["a"].string() == ""
    assert "must be a string, not" in lines(mistakes)[0]


@pytest.mark.parametrize("text", ["0x10", "010", "1_000", "1:30", "1.0", '"1"', "+1", "1" * 5000])
def test_only_a_plain_decimal_is_a_number(read, mistakes, text):
    assert read(f"a: {text}").mapping(required=("a",))["a"].integer(0, 2000) == 0
    assert len(mistakes) == 1


@pytest.mark.parametrize(
    ("text", "is_right"), [("1", True), ("5", True), ("0", False), ("6", False)]
)
def test_the_bounds_of_a_number_are_part_of_it(read, mistakes, text, is_right):
    read(f"a: {text}").mapping(required=("a",))["a"].integer(1, 5)

    assert (lines(mistakes) == []) is is_right


@pytest.mark.parametrize("text", ["yes", "True", "on", '"true"', "1"])
def test_only_true_and_false_are_booleans(read, mistakes, text):
    assert read(f"a: {text}").mapping(required=("a",))["a"].boolean() is False
    assert "must be true or false" in lines(mistakes)[0]


def test_an_empty_string_is_a_mistake_unless_it_may_be_one(read, mistakes):
    node = read('a: ""').mapping(required=("a",))["a"]

    assert node.string(may_be_empty=True) == ""
    assert len(mistakes) == 0
    assert node.string() == ""
    assert lines(mistakes) == ["file.yaml:1:4: must not be empty"]


def test_a_missing_value_answers_emptily_and_is_one_mistake(read, mistakes):
    node = read("b: c").mapping(required=("a",), optional=("b",))["a"]

    assert node.mapping(required=("x",))["x"].string() == ""
    assert (node.string(), node.strings(), node.sequence(), node.entries()) == ("", (), [], [])
    assert (node.integer(3, 4), node.boolean(), node.choice(["a"]), node.raw()) == (
        3,
        False,
        "",
        None,
    )
    assert node.is_null()
    assert [node.is_mapping(), node.is_sequence(), node.is_text()] == [False] * 3
    node.mistake("is not said, because its absence has been")
    assert lines(mistakes) == ["file.yaml:1:1: a must be set here"]


def test_a_document_of_the_wrong_kind_is_one_mistake(read, mistakes):
    fields = read("- a").mapping(required=("a",), optional=("b",))

    assert fields["a"].string() == ""
    assert lines(mistakes) == ["file.yaml:1:1: must be a mapping with a, b, not a list"]


def test_a_mistake_that_is_found_twice_is_reported_once(read, mistakes):
    node = read("a: 1").mapping(required=("a",))["a"]
    node.string()
    node.string()

    assert len(mistakes) == 1


def test_keys_are_strings_too(read, mistakes):
    read("{1: a, [x]: b, yes: c, d: e}").entries()

    assert [line.partition(": ")[2] for line in lines(mistakes)] == [
        'YAML reads 1 as a number; write "1" in quotes',
        "must be a string, not a list",
        'YAML reads yes as a boolean; write "yes" in quotes',
    ]


def test_what_another_program_defines_is_read_as_json_would_be(read, mistakes):
    node = read(
        """
        a: [1, 1.5, true, null, text, 2026-01-14, {b: "x"}]
        """
    )

    assert node.raw() == {"a": [1, 1.5, True, None, "text", "2026-01-14", {"b": "x"}]}
    assert lines(mistakes) == []


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: 1, b: 2}",
        "a: !!python/object/apply:os.system [echo]",
        "a: !!python/name:os.system x",
        "a: !mine x",
        "a: !!binary eA==",
        "a: " + "9" * 6000,
        "a: !!int x",
        "a: !!bool v1",
        "a: !!int ''",
        "a: !!float ''",
        "a: 1" + ":30" * 200 + ".0",
    ],
)
def test_a_raw_value_still_refuses_what_means_something_else(read, mistakes, text):
    node = read(text)
    node.raw()

    assert len(mistakes) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"---\n---\n", "the file is empty"),
        (b"a: b: c\n", "1:5: is not YAML: mapping values are not allowed here"),
        (b"a: [\n", "is not YAML: expected the node content, but found '<stream end>'"),
        (b"x\n\xff\n", "2: is not UTF-8 text"),
        (b"a: b\nx: \x01\n", "2: is not YAML: special characters are not allowed"),
        (b"a: &x [*x]\n", "1:8: is not YAML: aliases are not read; write the value out"),
        (b"[" * 3000, "is nested too deeply"),
        (b"a: b\n---\nc: d\n", "one document only"),
        (b"a" * (4 * 1024 * 1024 + 1), "is larger than 4194304 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path, mistakes, data, message):
    path = tmp_path / "file.yaml"
    path.write_bytes(data)

    read_document(path, mistakes)

    assert len(mistakes) == 1
    assert lines(mistakes)[0].startswith("file.yaml:")
    assert message in lines(mistakes)[0]


@pytest.mark.parametrize("name", ["missing.yaml", ".", "nul\0.yaml"])
def test_a_path_that_cannot_be_opened_is_a_mistake(tmp_path, mistakes, name):
    read_document(tmp_path / name, mistakes)

    assert "cannot be read: " in lines(mistakes)[0]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path, mistakes):
    path = tmp_path / "file.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b\n")

    assert read_document(path, mistakes).raw() == {"a": "b"}


def test_a_file_may_hold_several_documents_and_empty_ones_do_not_count(tmp_path, mistakes):
    path = write(tmp_path, "---\n---\na: 1\n---\nb: 2\n---\n")

    assert [node.raw() for node in read_documents(path, mistakes)] == [{"a": 1}, {"b": 2}]
    assert lines(mistakes) == []


def test_half_a_character_is_a_mistake(read, mistakes):
    fields = read('{a: "\\ud83d\\ude00", b: ["\\ud800"]}').mapping(required=("a", "b"))

    assert fields["a"].string() == ""
    assert fields["b"].raw() == [""]
    assert len(mistakes) == 2


# JSON writes the characters after U+FFFF as two escapes, which are refused.
characters = st.characters(codec="utf-8", max_codepoint=0xFFFF)
texts = st.text(characters, min_size=1)
# A key in YAML has at most 1024 characters, escapes counted as written.
keys = st.text(characters, min_size=1, max_size=100)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


@given(value=st.dictionaries(keys, json_values, min_size=1))
def test_json_is_read_as_what_it_is(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "file.json"
    path.write_text(json.dumps(value))
    mistakes = Mistakes()

    assert read_document(path, mistakes).raw() == value
    assert mistakes.found == ()


@given(text=st.text(max_size=200) | st.text("a:-[]{},&*!|>'\"%@# \n", max_size=60))
def test_any_text_is_read_or_a_mistake(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "file.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    mistakes = Mistakes()

    for node in read_documents(path, mistakes):
        node.raw()
        node.mapping(required=("a",), optional=("b",))["a"].strings()
        node.entries()

    assert all(str(path) in str(mistake) for mistake in mistakes.found)
