"""The page's template, in two forms: with links if served, with everything inline in a file."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from permille.errors import UsageError

# As build.js names the parts: esbuild's [hash] is eight characters of base 32.
_SERVED = re.compile(r"(?:modules|part-[A-Z0-9]{8})\.js|explorer\.css")
"""What a browser may ask for: the script in parts, and the style."""


def asset(name: str) -> str:
    """A built file of the page (the output of ``scripts/build_explorer.py``): ``explorer.js`` is
    the whole script, ``modules.js`` the part of it that loads the others.

    Raises:
        UsageError: it was not built, as in an installation from a checkout without npm.
    """
    try:
        return (_built() / name).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            "the explorer's page is not in this installation: run `make static` in the checkout,"
            " then install it again"
        ) from error


@cache
def served_assets() -> frozenset[str]:
    """The names of the files that a browser may ask for."""
    built = _built()
    names = [file.name for file in built.iterdir()] if built.is_dir() else []
    return frozenset(name for name in names if _SERVED.fullmatch(name))


def _built() -> Traversable:
    return resources.files(__package__) / "_static"


@cache
def served() -> str:
    """The page that loads its script, style and figures from its own server. It has no figures, so
    that a browser has it before they are read, and loads the script of a view with the view."""
    files = asset("explorer.js") + asset("explorer.css")
    revision = hashlib.sha256(files.encode()).hexdigest()[:16]
    return str(_template().render(inline=False, revision=revision))


def self_contained(document: str) -> str:
    """The self-contained page; it makes no requests."""
    # In a text, esbuild escapes </script but not <!--, which the page's sources must not hold
    # (https://github.com/evanw/esbuild/issues/4494).
    script, style = asset("explorer.js"), asset("explorer.css")
    page = _template().render(
        inline=True,
        script=_raw(script),
        style=_raw(style),
        document=_raw(escape_json(document)),
        # Only what has these digests runs, so that the template must not put a space around it.
        # Without frame-ancestors, which has no effect in a meta element (CSP3, 3.3).
        policy=(
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}';"
            " img-src data: blob:; base-uri 'none'; form-action 'none'"
        ),
    )
    return str(page)


def escape_json(text: str) -> str:
    """JSON for a script element: no character in it can end the element."""
    # "<!--" changes how a script element ends, too
    # (https://html.spec.whatwg.org/multipage/scripting.html, restrictions for its contents).
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("permille.explorer")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(
        "page.html"
    )
