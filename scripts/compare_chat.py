#!/usr/bin/env python3
"""Compares chat templates rendered by weft with what Transformers' apply_chat_template makes of them.

    python3 scripts/compare_chat.py build/bin/weft_render_chat expressions
    python3 scripts/compare_chat.py build/bin/weft_render_chat templates DIRECTORY

`expressions`: every filter, test and method of Jinja, applied to values of every kind. `templates`:
every file of DIRECTORY (*.jinja, *.jinja2) with conversations of every kind. Needs the package
`transformers`. Prints counts, and each difference with --show N (the first N).
"""

import argparse
import collections
import copy
import datetime
import itertools
import json
import logging
import pathlib
import subprocess

from transformers.utils.chat_template_utils import render_jinja_template

logging.disable(logging.CRITICAL)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
DATE = datetime.date.today().isoformat()

# --- both sides ----------------------------------------------------------------------------------


def reference(template, messages, tools=None, variables=None):
    """The text; None and the reason if it is refused."""
    names = {**TOKENS, **(variables or {})}
    try:
        text, _ = render_jinja_template(
            [copy.deepcopy(messages)], tools=tools, chat_template=template,
            add_generation_prompt=True, **names)
        return text[0], ""
    except Exception as error:  # of many classes: the template's own refusals and Python's
        return None, f"{type(error).__name__}: {error}"


class Weft:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, template, messages, tools=None, variables=None):
        given = {"template": template, "messages": messages, "tools": tools, "today": DATE,
                 "variables": variables or {}, "tokens": TOKENS}
        self.process.stdin.write(json.dumps(given).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer.get("text"), answer.get("error", ""), answer.get("lost", [])


# --- expressions ---------------------------------------------------------------------------------

VALUES = {
    "none": None, "true": True, "false": False, "zero": 0, "seven": 7, "minus": -3, "real": 2.5,
    "whole": 4.0, "empty": "", "text": "Hello World, hello", "number": "42", "fraction": " 4.5 ",
    "lines": "a\n b\n\nc\n", "html": "<b>&\"'</b>", "greek": "Ἀρχή ΣΟΦΊΑ ß", "word": "abc",
    "nothing_in": [], "list": [3, 1, 2], "words": ["b", "A", "c", "a"], "mixed": [1, "a", None],
    "nested": [[1, 2], [3]], "dict": {"b": 1, "a": "x"}, "void": {},
    "people": [{"n": "Bo", "a": 3}, {"n": "al", "a": 1}, {"a": 2}],
}
MADE = {
    "missing": "missing", "tuple": "(1, 'b')", "keys": "{1: 'one', 2.5: 'x', none: 'n', 'k': [1]}",
    "view": "dict.items()", "range": "range(4)", "safe": "('<i>' | safe)",
    "generator": "(list | map('string'))", "space": "namespace(a=1)", "function": "range",
    "undefined_member": "dict.nope", "method": "text.upper",
}
FILTERS = {
    "abs": [""], "attr": ["('a')", "('items')"], "batch": ["(2) | list", "(2, 'x') | list"],
    "capitalize": [""], "center": ["(20)", ""], "count": [""], "d": ["", "('x')", "('x', true)"],
    "default": ["", "('x')", "('x', true)", "(boolean=true)"], "dictsort": ["", "(true)", "(by='value')", "(reverse=true)"],
    "e": [""], "escape": [""], "filesizeformat": [""], "first": [""], "float": ["", "(1.5)"],
    "forceescape": [""], "format": ["", "('a')", "(1, 2)"], "groupby": ["('a')"],
    "indent": ["", "(2)", "(2, true)", "(2, true, true)", "('>')"], "int": ["", "(9)"],
    "items": ["", " | list"], "join": ["", "(',')", "('-', 'n')", "(', ', attribute='a')"], "last": [""],
    "length": [""], "list": [""], "lower": [""], "map": ["('upper') | list", "(attribute='n') | list",
    "(attribute='n', default='?') | list", "('nonsense') | list", "('length') | list", ""],
    "max": ["", "(attribute='a')"], "min": ["", "(true)"], "pprint": [""], "reject": [" | list", "('string') | list"],
    "rejectattr": ["('n') | list", "('a', 'equalto', 1) | list"], "replace": ["('l', 'L')", "('', '.')", "('l', 'L', 1)"],
    "reverse": ["", " | list"], "round": ["", "(1)", "(0, 'ceil')", "(1, 'floor')"], "safe": ["", " ~ '<'", " + '<'"],
    "select": [" | list", "('number') | list", "('odd') | list", "('nonsense') | list"],
    "selectattr": ["('n') | list", "('n', 'defined') | list", "('a', 'gt', 1) | list"], "slice": ["(2) | list", "(3, 0) | list"],
    "sort": ["", "(true)", "(case_sensitive=true)", "(attribute='a')"], "string": ["", " ~ '<'"], "striptags": [""],
    "sum": ["", "(attribute='a')", "(start=10)"], "title": [""],
    "tojson": ["", "(indent=2)", "(ensure_ascii=true)", "(sort_keys=true)", "(separators=(',', ':'))"],
    "trim": ["", "('Hd')"], "truncate": ["", "(8)", "(8, true, '~', 0)"], "unique": [" | list", "(true) | list"], "upper": [""],
    "urlencode": [""], "urlize": [""], "wordcount": [""], "wordwrap": ["(5)"], "xmlattr": [""],
}
TESTS = ["boolean", "callable", "defined", "divisibleby(3)", "divisibleby(0)", "eq(7)", "equalto('abc')", "escaped",
         "even", "false", "filter", "float", "ge(2)", "gt('b')", "in([7, 'abc', none])", "in('abcd')", "in(dict)", "integer",
         "iterable", "le(7)", "lower", "lt(3)", "mapping", "ne(none)", "none", "number", "odd", "sameas(true)",
         "sameas(none)", "sequence", "string", "test", "true", "undefined", "upper"]
METHODS = ["capitalize()", "center(9, '*')", "count('l')", "endswith('o')", "find('l')", "format(1)", "index('l')", "isalnum()",
           "isalpha()", "isdigit()", "islower()", "isspace()", "isupper()", "items()", "join(['x', 'y'])", "keys()", "values()",
           "ljust(8)", "lower()", "lstrip()", "partition('l')", "replace('l', 'L')", "rfind('l')", "rjust(8)", "rpartition('l')",
           "rsplit()", "rsplit('l', 1)", "rsplit(none, 1)", "rstrip()", "split()", "split('l', 1)", "splitlines()", "startswith('H')",
           "strip('Hd')", "swapcase()", "title()", "upper()", "zfill(9)", "get('a')", "get('z', 5)", "get(1)", "append(1)", "pop()",
           "update({})", "copy()", "removeprefix('H')", "removesuffix('o')", "nonsense()"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
ACCESSES = ["[0]", "[-1]", "[99]", "['a']", "[none]", "[1.0]", "[true]", ".a", ".b.c", "[1:]", "[:-1]", "[::-1]", "[::2]",
            "[none:1]", "[5:1]", "[0][0]", "[dict]", "[list]"]
SHAPES = ["{{ X }}", "{{ [X] }}", "{{ X is defined }}", "{{ 'y' if X else 'n' }}", "{{ not X }}", "{{ -X }}", "{{ +X }}",
          "{% for i in X %}{{ i }},{{ loop.index }}{{ loop.last }};{% else %}none{% endfor %}",
          "{% for a, b in X %}{{ a }}={{ b }};{% endfor %}", "{% set y = X %}{{ y }}{{ y }}", "{{ {X: 1} }}", "{{ {'k': X} }}",
          "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(X) }}", "{% set y %}{{ X }}{% endset %}{{ y | length }}",
          "{% if X %}{{ X | nonsense }}{% endif %}", "{{ X | nonsense if false else 1 }}", "{{ X is nonsense if false else 1 }}",
          "{{ namespace(a=X).a }}", "{{ dict(k=X) }}", "{{ '%s|%r' % (X, X) }}", "{{ '%d' % X }}", "{{ '{} {!r}'.format(X, X) }}",
          "{{ '{:>8}'.format(X) }}", "{{ 'a' ~ X ~ 1 }}", "{{ X() }}", "{{ [X, X] | unique | list }}", "{{ [X, 1] | sort }}",
          "{{ (X,) }}", "{{ X in X }}", "{{ X == X }}"]


def expressions():
    made = {**{name: name for name in VALUES}, **MADE}
    for name, value in made.items():
        for filter_name, uses in FILTERS.items():
            for use in uses:
                yield f"{{{{ {value} | {filter_name}{use} }}}}"
        for test in TESTS:
            yield f"{{{{ {value} is {test} }}}}"
        for method in METHODS:
            yield f"{{{{ {value}.{method} }}}}"
        for access in ACCESSES:
            yield f"{{{{ {value}{access} }}}}"
        for shape in SHAPES:
            yield shape.replace("X", value)
    for (_, a), (_, b) in itertools.product(made.items(), made.items()):
        for operator in OPERATORS:
            yield f"{{{{ {a} {operator} {b} }}}}"


def compare_expressions(weft, show):
    variables = {name: value for name, value in VALUES.items()
                 if name not in ("none", "true", "false")}
    messages = [{"role": "user", "content": "Hi"}]
    counts, reasons = collections.Counter(), collections.Counter()
    for template in expressions():
        expected, why = reference(template, messages, None, variables)
        got, error, _ = weft.render(template, messages, None, variables)
        if expected is not None and " at 0x" in expected:
            kind = "prints an address"
        elif expected == got:
            kind = "equal" if got is not None else "refused by both"
        elif got is None:
            kind = "refused by weft alone"
            reasons[error.split(": ", 1)[-1][:60]] += 1
        else:
            kind = "refused by the reference alone" if expected is None else "different"
        counts[kind] += 1
        if kind in ("different", "refused by the reference alone", "refused by weft alone") and show > 0:
            show -= 1
            print(f"{kind}: {template}\n  reference {expected!r} {why}\n  weft      {got!r} {error}")
    print(dict(counts))
    for reason, count in reasons.most_common(25):
        print(f"{count:6} {reason}")


# --- templates -----------------------------------------------------------------------------------

TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string", "description": "where"}},
                       "required": ["place"]}}}


def text_parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


def called(arguments, content=""):
    call = {"id": "call12345", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return {"role": "assistant", "content": content, "tool_calls": [call]}


def conversations():
    """(name, messages, tools): contents as text, arguments as objects."""
    user = {"role": "user", "content": "How do I cook rice?"}
    bot = {"role": "assistant", "content": "With water."}
    system = {"role": "system", "content": "Be brief."}
    result = {"role": "tool", "tool_call_id": "call12345", "name": "weather", "content": "21"}
    call = called({"place": "Bern", "days": 2})
    yield "user", [user], None
    yield "system", [system, user], None
    yield "turns", [system, user, bot, user], None
    yield "open", [user, bot], None
    yield "tools", [system, user], [TOOL]
    yield "call", [user, call], [TOOL]
    yield "result", [user, call, result], [TOOL]
    yield "after", [user, call, result, bot, user], [TOOL]
    yield "reasoning", [user, {**bot, "reasoning_content": "Rice needs water."}, user], None
    yield "spaces", [{"role": "user", "content": "  a\n\nb  "}], None


def in_parts(messages):
    return [{**m, "content": text_parts(m["content"])} if m["content"] else m for m in messages]


def arguments_as_text(messages):
    messages = copy.deepcopy(messages)
    for call in (c for m in messages for c in m.get("tool_calls", [])):
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return messages


def compare_templates(weft, directory, show):
    files = sorted(p for p in pathlib.Path(directory).rglob("*") if p.suffix in (".jinja", ".jinja2"))
    sources = {}
    for path in files:
        sources.setdefault(path.read_text(encoding="utf-8", errors="replace"), path.name)
    print(f"{len(files)} files, {len(sources)} different templates")
    counts = collections.defaultdict(collections.Counter)
    reasons = collections.Counter()
    for source, name in sources.items():
        for kind, messages, tools in conversations():
            expected = {"as given": reference(source, messages, tools)[0],
                        "parts": reference(source, in_parts(messages), tools)[0],
                        "arguments as text": reference(source, arguments_as_text(messages), tools)[0]}
            forms = {"text and objects": messages, "content in parts": in_parts(messages)}
            if arguments_as_text(messages) != messages:
                forms["arguments as text"] = arguments_as_text(messages)
            for form, given in forms.items():
                got, error, lost = weft.render(source, given, tools)
                wanted = {text for text in expected.values() if text is not None}
                if got is None:
                    verdict = "refused by both" if not wanted else "refused by weft alone"
                elif lost:
                    verdict = "something is left out: an error row"
                elif got == expected["as given"]:
                    verdict = "equal"
                elif got in wanted:
                    verdict = "equal to the reference in another form"
                else:
                    verdict = "different" if wanted else "refused by the reference alone"
                counts[form][verdict] += 1
                if verdict == "refused by weft alone":
                    reasons[error[:110]] += 1
                if verdict in ("different", "refused by weft alone", "refused by the reference alone") and show > 0:
                    show -= 1
                    print(f"{verdict}: {name}, {kind}, {form}\n  reference {expected}\n  weft {got!r} {error}")
    for form, found in counts.items():
        print(form, dict(found))
    for reason, count in reasons.most_common(25):
        print(f"{count:6} {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="weft_render_chat of a build")
    parser.add_argument("what", choices=["expressions", "templates"])
    parser.add_argument("directory", nargs="?", type=pathlib.Path)
    parser.add_argument("--show", type=int, default=0, help="print that many differences")
    options = parser.parse_args()
    weft = Weft(options.program)
    if options.what == "expressions":
        compare_expressions(weft, options.show)
    elif options.directory is None:
        parser.error("templates: a directory is missing")
    else:
        compare_templates(weft, options.directory, options.show)


if __name__ == "__main__":
    main()
