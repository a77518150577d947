"""Whether aiohttp is as it must be, where the configuration needs it."""

from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from kzproxy.errors.configuration import ConfigurationError, Mistake


def check_parser() -> None:
    """Refuse to run on aiohttp's pure-Python parser, which nearly all its advisories are about.

    Raises:
        ConfigurationError: The C extension is missing or switched off.
    """
    if HttpRequestParser is HttpRequestParserPy:
        raise ConfigurationError(
            [
                Mistake(
                    source="aiohttp",
                    message="its C extension is missing or AIOHTTP_NO_EXTENSIONS is set;"
                    " install a wheel that has it and unset the variable",
                )
            ]
        )
