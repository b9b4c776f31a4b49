"""`/docs`: the service's description as a page for people, without scripts and without anything from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    "Cache-Control": "no-cache",
}
_METHODS = ("get", "post", "put", "patch", "delete")
_NAMES = {"keys": "Keys", "problems": "Problems", "fields": "Objects"}
_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {}"),
    ("maxItems", "at most {}"),
    ("minProperties", "at least {}"),
    ("maxProperties", "at most {}"),
)
_KINDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}
_STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --muted: #555; --page: #fff; --line: #ddd; --soft: #f1f5f9; --link: #00578a;
  --get: #00578a; --post: #00654b; --put: #7a4d00; --patch: #6a3d9a; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --muted: #aaa; --page: #16181c; --line: #33363c; --soft: #22262d; --link: #7cc4f0;
  --get: #7cc4f0; --post: #5fd3ab; --put: #f0b849; --patch: #c9a6f0; --delete: #ff8a80; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); } h3, h4 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
h2, h3 { scroll-margin-top: 1rem; } a { color: var(--link); } nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; }
details.operation { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; } details.operation[open] { padding-bottom: .6rem; }
details.operation > summary { padding: .5rem .8rem; cursor: pointer; border-radius: .4rem; overflow-wrap: anywhere; }
details.operation > :not(summary) { margin-left: .9rem; margin-right: .9rem; } summary:focus-visible, a:focus-visible, pre:focus-visible, .wide:focus-visible
  { outline: 3px solid var(--link); outline-offset: 2px; } summary h3 { display: inline; font-weight: 400; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 700; } .get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); }
.patch { color: var(--patch); } .delete { color: var(--delete); } .path { font-weight: 600; } .muted { color: var(--muted); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; } caption { text-align: left; color: var(--muted); }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); }
.wide + .wide { margin-top: 1rem; } td:last-child { min-width: 14rem; } th[scope=row] { font-weight: 600; overflow-wrap: anywhere; min-width: 6rem; } td.type { min-width: 8rem; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; border-radius: .3rem; } code { font-size: .9em; }
@media (max-width: 40rem) { .summary, tr, th, td { display: block; } body { margin: 1rem auto; } thead { position: absolute; left: -99rem; }
  tr { border-bottom: 1px solid var(--line); padding: .3rem 0; } th, td { border: 0; padding: 0; } td.type { color: var(--muted); } }
@media print { details.operation { break-inside: avoid; } }
"""


class _Operation(NamedTuple):
    method: str
    path: str
    said: Mapping[str, Any]


def reference_page(document: Mapping[str, Any]) -> str:
    """A page of HTML that says what an OpenAPI document says."""
    info = document["info"]
    everywhere = _everywhere(document)
    operations: dict[str, list[_Operation]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                said = methods[method]
                operations.setdefault(said["tags"][0], []).append(_Operation(method, path, said))
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    scheme = document["components"]["securitySchemes"]["key"]
    sections = [
        f'<h2 id="about-{_attribute(tag)}">{escape(tag.capitalize())}</h2>\n'
        + "\n".join(_operation(one, everywhere) for one in found)
        for tag, found in operations.items()
    ]
    links = "".join(
        f'<li><a href="#{_attribute(name)}">{escape(text)}</a></li>'
        for name, text in [*((f"about-{tag}", tag.capitalize()) for tag in operations), *_NAMES.items()]
    )
    objects = "\n".join(_schema(name, schema) for name, schema in sorted(schemas.items()) if name != "Problem")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(info["title"])} {escape(info["version"])}: HTTP</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(info["title"])} <small class="muted">{escape(info["version"])}</small></h1>
<p>{escape(info.get("summary", ""))}. For programs: <a href="openapi.json">openapi.json</a>.</p>
{_text(info.get("description", ""))}
<nav aria-label="On this page"><ul>{links}</ul></nav>
</header>
<main>
{"".join(sections)}
<h2 id="keys">Keys</h2>
{_text(scheme["description"])}
<pre tabindex="0">curl -H 'authorization: Bearer irgan_…' …</pre>
<h2 id="problems">Problems</h2>
{_text("Every status from 400 on comes with `application/problem+json`. Besides those of each operation there are, everywhere:")}
{_responses(everywhere)}
{_fields(schemas["Problem"], "What a problem says")}
{_examples(schemas["Problem"].get("examples", ()))}
<h2 id="fields">Objects</h2>
{objects}
</main>
</body>
</html>
"""


def _everywhere(document: Mapping[str, Any]) -> dict[str, Any]:
    """What can be answered to whatever is asked."""
    all_responses = [said["responses"] for methods in document["paths"].values() for said in methods.values()]
    return {
        status: told for status, told in all_responses[0].items() if all(other.get(status) == told for other in all_responses)
    }


def _operation(one: _Operation, everywhere: Mapping[str, Any]) -> str:
    method, path, said = one
    identifier = _attribute(said["operationId"])
    body = said.get("requestBody", {}).get("content", {}).get("application/json")
    parts = [
        f'<details class="operation" id="{identifier}"><summary><h3><code class="method {method}">{method.upper()}</code>'
        f'<code class="path">{escape(path)}</code> <span class="summary">{escape(said["summary"])}</span></h3></summary>',
        _text(said["description"]),
        _parameters(said.get("parameters", ())),
    ]
    if body is not None:
        parts.append(f"<p>Body: {_type(body['schema'])}</p>")
    parts += [_calls(one, body or {})]
    parts += [
        _responses({status: told for status, told in said["responses"].items() if status not in everywhere}),
        "</details>",
    ]
    return "\n".join(filter(None, parts))


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (f"<code>{escape(one['name'])}</code>", f"{one['in']}, {_type(one['schema'])}", _described(one, one["schema"]))
        for one in parameters
    ]
    return _table("Parameters", ("Name", "Where and what", "Meaning"), rows) if rows else ""


def _responses(responses: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for status, response in responses.items():
        kinds = (
            escape(kind) + (f": {_type(media['schema'])}" if "schema" in media else "")
            for kind, media in response.get("content", {}).items()
        )
        is_problem = status >= "4"
        rows.append((status, "problem" if is_problem else "<br>".join(kinds), _inline(response["description"])))
    return _table("Answers", ("Status", "What", "When"), rows)


def _calls(one: _Operation, body: Mapping[str, Any]) -> str:
    """The examples, each as a call."""
    path = one.path
    for parameter in one.said.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["schema"]["examples"][0])
    usual = "post" if body else "get"
    call = f"curl {'' if one.method == usual else f'-X {one.method.upper()} '}localhost:8000{path}"
    shown = []
    for example in body.get("examples", {}).values():
        content = json.dumps(example["value"], ensure_ascii=False).replace("'", "'\\''")
        told = escape(f"{call} -H 'content-type: application/json' -d '\n  {content}'")
        shown.append(f'<p>{_inline(example["summary"])}:</p><pre tabindex="0">{told}</pre>')
    return "\n".join(shown) or f'<pre tabindex="0">{escape(call)}</pre>'


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    head = f'<h3 id="schema-{_attribute(name)}">{escape(_title(name))}</h3>'
    fields = _fields(schema, f"Fields of {_title(name)}") if schema.get("properties") else ""
    return "\n".join(filter(None, (head, _text(schema.get("description", "")), fields, _examples(schema.get("examples", ())))))


def _fields(schema: Mapping[str, Any], caption: str) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{escape(name)}</code>{'' if name in required else ' <span class=muted>(optional)</span>'}",
            _type(field),
            _described(field, field),
        )
        for name, field in schema["properties"].items()
    ]
    return _table(caption, ("Field", "What", "Meaning"), rows)


def _examples(examples: Iterable[Any]) -> str:
    return "".join(
        f'<pre tabindex="0">{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>' for example in examples
    )


def _table(caption: str, head: tuple[str, ...], rows: Iterable[tuple[str, str, str]]) -> str:
    heads = "".join(f'<th scope="col">{one}</th>' for one in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th><td class="type">{second}</td><td>{third}</td></tr>' for first, second, third in rows
    )
    caption = escape(caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    """What a value is, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{_attribute(name)}">{escape(_title(name))}</a>'
    for word in ("anyOf", "oneOf"):
        if word in schema and "properties" not in schema:
            return " or ".join(dict.fromkeys(map(_type, schema[word])))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", [schema.get("const")]))
    limits = [text.format(f"{schema[word]:,}") for word, text in _LIMITS if word in schema]
    return f"{_kind(schema)}{', ' if limits else ''}{', '.join(limits)}"


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "time"
    kinds: list[str] = kind if isinstance(kind, list) else [kind]
    return " or ".join(_KINDS.get(one, one) for one in kinds)


def _described(said: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    parts = [_inline(said.get("description", ""))]
    if "default" in schema and schema["default"] is not None:
        parts.append(f"By default <code>{escape(json.dumps(schema['default'], ensure_ascii=False))}</code>.")
    return " ".join(filter(None, parts))


def _title(name: str) -> str:
    return name.removesuffix("-Input").removesuffix("-Output") + (" (answered)" if name.endswith("-Output") else "")


def _attribute(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def _text(text: str) -> str:
    """Paragraphs."""
    return "\n".join(f"<p>{_inline(part)}</p>" for part in text.strip().split("\n\n") if part.strip())


def _inline(text: str) -> str:
    return "".join(_marked(text))


def _marked(text: str) -> Iterator[str]:
    """Text, what stands between backticks as code."""
    for place, part in enumerate(text.split("`")):
        yield f"<code>{escape(part)}</code>" if place % 2 else escape(part)
