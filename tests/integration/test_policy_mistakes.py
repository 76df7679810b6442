"""Every mistake that a policy can hold is named, at its place; and none is named that no case has.

The cases of one file stand in tests/policy/mistakes.txt; here are those of several files, of
limits, and of users.
"""

import concurrent.futures
import itertools
import re

import pytest

from harness import PROGRAM, ROOT, run

HEAD = "mongoward: 1\nclasses: {m: {}}\n"
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SOURCES = [*ROOT.glob("proxy/policy/load*.c"), ROOT / "proxy/util/yaml.c",
           *(ROOT / f"proxy/policy/{name}.c" for name in
             ("check_users", "compile", "exclusive", "folder", "hidden", "relation"))]
# Where in a call the text stands.
CALLS = {"complain": 3, "stop": 3, "refuse": 3}
# What only a file of many megabytes, or a broken disk, would bring about.
OUT_OF_REACH = {
    "the document is too large",
    "the protected rows are too many",
    "the view is nested too deeply for a pipeline",
    "is too large",
    "cannot be read",
    "cannot be read: %s",
    "this is not YAML",
    "a value is not valid UTF-8 text",
    "%zu of the files that were sealed are missing",
    "a sealed policy holds no symbolic link",
}


def many(form, n):
    return ", ".join(form % i for i in range(n))


def grant(rest):
    return HEAD + "roles: {r: {grants: [" + rest + "]}}\n"


class LINK(str):
    """A file that is a link there."""


DEEP = ".".join("a" * 60)
USERS = "users:\n  u: {roles: [%s], attributes: {%s}}\n"
GRANTS = """collections: {d.c: {fields: {a: {class: m}, b: {class: m}}}}
roles:
  r: {grants: [{namespace: d.c, do: [read], rows: {a: "${user.x}"}, see: {m: plaintext}}]}
  s: {grants: [{namespace: d.c, do: [read], see: {a: plaintext}}]}
exclusive: [[r, t], [t, s]]
"""

# (files, what is said of them)
CASES = [
    ({}, [": holds no *.yaml file (name a folder with policy files)"]),
    ({"p": "classes: {}\n"}, ["p:1:1: the version of the language is missing (begin the file with `mongoward: 1`)"]),
    ({"p": "mongoward: 2\n"}, ["p:1:12: unknown version of the language (this build reads version 1)"]),
    ({"p": ""}, ["p:1:1: a mapping is expected (write it as `key: value`)"]),
    ({"p": "%YAML 1.2\n---\nmongoward: 1\n"}, ["p:1:1: directives are not allowed (leave out the lines that begin with %)"]),
    ({"a": "mongoward: 1\n", "p": LINK("nothing")}, ["p: is a link to nothing"]),
    ({"a": "mongoward: 1\n", "p": LINK(".")}, ["p: a folder holds itself (take the link out)"]),
    ({"p": b"mongoward: 1\n# \xff\n"}, ["p:2:3: the file is not UTF-8 text (save the file as UTF-8)"]),
    ({"p": "mongoward: 1\n# \x01\n"}, ["p:2:3: a control character (write it as an escape in double quotes)"]),
    ({"a": HEAD, "b": HEAD}, ["b:2:11: the class 'm' stands twice (keep one of them)"]),
    ({"a": HEAD + "collections: {d.c: {}}\n", "b": "mongoward: 1\ncollections: {d.c: {}}\n"},
     ["b:2:15: the collection stands twice (keep one of them)"]),
    ({"a": HEAD + "relations: {t: {from: d.l, where: {u: 1}, gives: p}}\n",
      "b": "mongoward: 1\nrelations: {t: {from: d.l, where: {u: 1}, gives: p}}\n"},
     ["b:2:13: the relation stands twice (keep one of them)"]),
    ({"a": HEAD + "roles: {r: {}}\n", "b": "mongoward: 1\nroles: {r: {}}\n"},
     ["b:2:9: the role stands twice (keep one of them)"]),
    ({f"{i}": "mongoward: 1\n" for i in range(1001)}, [": over 1000 policy files"]),
    ({"p": "mongoward: 1\nclasses: {" + many("c%d: {}", 61) + "}\n"}, ["p:2:541: over 60 classes"]),
    ({"p": HEAD + "collections: {d.c: {fields: {" + many("f%d: {class: m}", 501) + "}}}\n"},
     ["p:3:29: over 500 fields"]),
    ({"p": HEAD + "collections: {" + many("d.c%d: {}", 1001) + "}\n"},
     ["p:1:1: over 1000 collections or 32767 fields"]),
    ({"p": HEAD + "roles: {" + many("r%d: {}", 1001) + "}\n"}, ["p:1:1: over 1000 roles"]),
    ({"p": grant(many("{namespace: d.c%d, do: [read]}", 201))}, ["p:3:21: over 200 grants"]),
    ({"p": HEAD + "relations: {" + many("r%d: {from: d.l, where: {u: 1}, gives: p}", 33) + "}\n"},
     ["p:1:1: over 32 relations"]),
    ({"p": HEAD + "collections: {d.c: {fields: {}, protected: ["
      + many("{where: {a: %d}, only: [r]}", 17) + "]}}\nroles: {r: {}}\n"},
     ["p:3:44: over 16 kinds of protected rows"]),
    ({"p": grant("{namespace: d.c, do: [read], see: {m: {mask: bands, edges: [" + many("%d", 101) + "]}}}")},
     ["p:3:81: 1 to 100 edges are expected"]),
    ({"p": HEAD + "exclusive: [" + "1," * 1000001 + "1]\n"}, ["p: the file holds too many values"]),
    ({"p": HEAD + "collections: {d.c: {fields: {" + DEEP + ": {class: m}}}}\nroles: {r: {grants: "
      "[{namespace: d.c, do: [read], see: {" + DEEP + ": {mask: constant, value: 1}}}]}}\n"},
     [f"p:4:22: what the grant sees of {of} is nested too deeply for a pipeline "
      "(mask or hide fields nearer to the top)" for of in ("d.c", "roles.r.grants[0]")]),
    ({"p": HEAD + GRANTS, "q": "mongoward: 1\nroles: {t: {}}\n",
      "users": USERS % ("zz, r", "")},
     ["users:2:3: user u has the role zz, which the policy does not have (take it away, or add it to the policy)",
      "users:2:3: user u lacks the attribute x, without which roles.r.grants[0] grants nothing "
      "(mongoward user add --attr …)"]),
    ({"p": HEAD + GRANTS, "q": "mongoward: 1\nroles: {t: {}}\n", "users": USERS % ("r, s", "x: y")},
     ["users:2:3: of roles.r.grants[0] and roles.s.grants[0], both of user u, none is the wider on d.c "
      "(commands of this user must name their role in comment.role)"]),
    ({"p": HEAD + GRANTS, "q": "mongoward: 1\nroles: {t: {}}\n", "users": USERS % ("s, t", "")},
     ["users:2:3: user u holds the roles s and t, which exclude each other (take one of the two away)"]),
]


def cases_of_text():
    blocks = (ROOT / "tests/policy/mistakes.txt").read_text().strip().split("\n\n")
    for block in blocks:
        lines = block.split("\n")
        said = ["p:" + line[3:] for line in lines if line.startswith("=> ")]
        text = "".join(line + "\n" for line in lines if not line.startswith(("=> ", "# ")))
        if said:
            yield {"p": text}, said


def all_cases():
    return [*cases_of_text(), *CASES]


def said_of(folder, files, number=itertools.count()):
    place = folder / str(next(number))
    (place / "policy").mkdir(parents=True)
    words = [PROGRAM, "policy", "check", place / "policy"]
    for name, text in files.items():
        if name == "users":
            (place / "users.yaml").write_text(text)
            words += ["--users", place / "users.yaml"]
            continue
        file = place / "policy" / f"{name}.yaml"
        if isinstance(text, LINK):
            file.symlink_to(text)
            continue
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(words, expect=None)
    assert done.returncode == 2, (files, done.returncode, done.stderr)
    return [re.sub(r"^[^:]*?(\w*)(\.yaml)?:", lambda m: (m[1] if m[2] else "") + ":", line)
            for line in done.stderr.splitlines() if ": warning: " not in line]


def test_cases(tmp_path):
    cases = all_cases()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda case: said_of(tmp_path, case[0]), cases))
    wrong = [(files, said, expected) for (files, expected), said in zip(cases, found)
             if said != expected]
    for files, said, expected in wrong:
        print("\n".join(str(t)[:400] for t in files.values()), "\n  said:    ", said, "\n  expected:", expected)
    assert not wrong and len(cases) > 150


def calls_in(text):
    """(function, arguments) of each call that names a mistake."""
    for match in re.finditer(r"\b(" + "|".join(CALLS) + r")\(", text):
        arguments, depth, i = [""], 1, match.end()
        while depth:
            string = STRING.match(text, i)
            if string:
                arguments[-1] += string[0]
                i = string.end()
                continue
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[i], 0)
            if depth == 1 and text[i] == ",":
                arguments.append("")
            else:
                arguments[-1] += text[i]
            i += 1
        yield match[1], arguments


def texts_in(argument):
    """Of `a ? "x" : "y"` both; neighbouring literals are one."""
    return ["".join(s[1:-1] for s in STRING.findall(part)).replace('\\"', '"')
            for part in re.split(r"[?:](?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", argument) if '"' in part]


def pattern_of(text):
    return re.compile(re.sub(r"%(?:\\\.\\\*)?(?:s|d|u|zu|lld)", ".*", re.escape(text)))


def test_no_mistake_lacks_a_case():
    said = [line for _, lines in all_cases() for line in lines]
    texts = {text for source in SOURCES for name, arguments in calls_in(source.read_text())
             if len(arguments) > CALLS[name] for text in texts_in(arguments[CALLS[name]])}
    texts -= {"%s"}
    assert len(texts) > 130
    # None is excused that is not there.
    assert not OUT_OF_REACH - texts
    lacking = [text for text in sorted(texts - OUT_OF_REACH)
               if not any(pattern_of(text).search(line) for line in said)]
    assert lacking == []


@pytest.mark.parametrize("network", ["10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/", "10.0.0.0/33", "::/129",
                                     "0" * 60 + "::1/128", "1" * 70, "10.0.0.0/8/8"])
def test_networks_that_are_none(tmp_path, network):
    said = said_of(tmp_path, {"p": HEAD + f'roles: {{r: {{networks: ["{network}"]}}}}\n'})
    assert said == ["p:3:24: a network is expected (10.0.0.0/16 or 2001:db8::/32)"]
