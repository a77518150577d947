"""The one page that kzproxy shows in the user's browser. It holds no code and no token."""

import html

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.6 system-ui, sans-serif; color: #1b2733; background: #f4f6f8;
  display: grid; place-items: center; min-height: 100vh; margin: 0; }}
main {{ background: #fff; border-top: .35rem solid {colour}; border-radius: .4rem;
  padding: 1.5rem 2.5rem; max-width: 34rem; box-shadow: 0 1px 6px #0002; }}
h1 {{ font-size: 1.4rem; margin: .3rem 0; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e3e8ed; background: #10161c; }}
  main {{ background: #1b242d; }} }}
</style>
</head>
<body><main role="status"><h1>{title}</h1><p>{text}</p></main></body>
</html>
"""


def success_page() -> str:
    """Return the page for a sign-in that is complete."""
    text = "kubectl has what it needs. You can close this tab."
    return _PAGE.format(title="You are signed in", text=text, colour="#1a7f4b")


def failure_page(reason: str) -> str:
    """Return the page for a sign-in that failed; ``reason`` is shown as text."""
    text = f"{html.escape(reason[:1].upper() + reason[1:])}. You can close this tab."
    return _PAGE.format(title="Signing in did not work", text=text, colour="#b3261e")
