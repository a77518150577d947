"""Read the forms of an HTML page, as far as pressing a button needs it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

Attribute = tuple[str, str | None]


@dataclass(slots=True, kw_only=True)
class Form:
    """A form of a page.

    Attributes:
        action: Where it goes; empty for the page's own address.
        fields: What it sends besides the button.
        buttons: Name and value of each submit button.
    """

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


def forms(page: str) -> list[Form]:
    """Return the forms of ``page`` that are sent by POST, in their order."""
    reader = _FormReader()
    reader.feed(page)
    reader.close()
    return reader.forms


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self._inside: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[Attribute]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._begin(values)
        elif self._inside is not None and values.get("name"):
            self._add(self._inside, tag, values)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = None

    def _begin(self, values: dict[str, str]) -> None:
        if values.get("method", "get").lower() != "post":
            return
        self._inside = Form(action=values.get("action", ""))
        self.forms.append(self._inside)

    def _add(self, form: Form, tag: str, values: dict[str, str]) -> None:
        kind = values.get("type", "text" if tag == "input" else "submit")
        if tag in {"input", "button"} and kind == "submit":
            form.buttons.append((values["name"], values.get("value", "")))
        elif tag == "input" and (kind != "checkbox" or "checked" in values):
            form.fields[values["name"]] = values.get("value", "")
