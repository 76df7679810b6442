"""`policy schema`: takes what the loader takes, and refuses unknown keys, types and words.

The schema is judged by the `jsonschema` package, the loader by `policy check`, and both over
the shipped policies, those of docs and tests, the tables of the unit tests, and over changes
of a policy that has every key of the language.
"""

import collections
import concurrent.futures
import copy
import itertools
import json
import os
import re

import jsonschema
import pytest
import yaml

from harness import PROGRAM, ROOT, run
from policy_yaml import parse

EVERY_KEY = ROOT / "tests/integration/policies/every_key/policy.yaml"
UNIT_TESTS = ["test_policy_rows", "test_lint"]

# What the loader says of a single value; the rest takes the whole policy to judge.
OF_ONE_VALUE = re.compile(
    r": (unknown |a mapping is expected|a list is expected|a text is expected|true or false is"
    r"|a whole number from|a number (over 0 )?is expected|year, month or day|one character is"
    r"|a single value is|the algorithm is missing|this scope is not supported"
    r"|'[^']*' is not supported (by this version|in rows)|the action '[^']*' is not supported"
    r"|'[^']*' means nothing|the mask \w+ needs|a mask is expected|an encrypted field needs a type"
    r"|(protected rows|a relation|a grant|a test) needs?|the field has no|a test has exactly one form"
    r"|no limit is named|at least two roles|'[^']*' is not a (namespace|field path)"
    r"|'[^']*' is a system database|__mw is reserved|over \d+ (lines|paths|kinds|relations))")
WRONG = [{"zz": {"zz": [1]}}, [["zz"], {"zz": 1}], None]


@pytest.fixture(scope="module")
def schema():
    return json.loads(run([PROGRAM, "policy", "schema"]))


@pytest.fixture(scope="module")
def fits(schema):
    return jsonschema.Draft202012Validator(schema).is_valid


def check(folder, text, number=itertools.count()):
    """What the loader says of a policy of one file; nothing when it takes it."""
    path = folder / f"policy-{next(number)}"
    path.mkdir()
    (path / "p.yaml").write_text(text)
    done = run([PROGRAM, "policy", "check", path], expect=None)
    assert done.returncode in (0, 2), done.stderr
    return "" if done.returncode == 0 else done.stderr


def check_all(folder, texts):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda text: check(folder, text), texts))


def defs_in(schema, value, node=None, path=()):
    """(name of the definition, path, its part of the schema) of each mapping with keys of its own."""
    node = schema if node is None else node
    while True:
        branch = "then" if node.get("if", {}).get("type") == kind_of(value) else "else"
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            node = schema["$defs"][name]
            if isinstance(value, dict) and "properties" in node:
                yield name, path, node
        elif branch in node and "properties" not in node:
            node = node[branch]
        else:
            break
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from defs_in(schema, item, node.get("items", {}), (*path, i))
    if isinstance(value, dict):
        for key, item in value.items():
            inner = node.get("properties", {}).get(key)
            patterns = node.get("patternProperties", {}).items()
            inner = inner or next((s for p, s in patterns if re.search(p, key)), None)
            inner = inner or node.get("additionalProperties") or {}
            yield from defs_in(schema, item, inner, (*path, key))


def kind_of(value):
    return {dict: "object", list: "array", float: "number", int: "number"}.get(type(value), "other")


def changed(policy, path, key, value):
    """A copy with `key` of the mapping at `path` set, or taken away (...)."""
    policy = copy.deepcopy(policy)
    at = policy
    for step in path:
        at = at[step]
    if value is ...:
        del at[key]
    else:
        at[key] = value
    return policy


def test_is_a_schema_with_descriptions(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert json.loads(run([PROGRAM, "policy", "schema", "--json"])) == schema
    assert run([PROGRAM, "policy", "schema", "--json"]).count("\n") == 1
    for name, definition in schema["$defs"].items():
        if name in ("filter", "operators"):
            continue
        assert definition["additionalProperties"] is False and definition["description"]
        for key, value in definition["properties"].items():
            assert value.get("description"), f"{name}.{key}"


def test_every_key_is_in_the_example(schema):
    """Which the loader takes: so that it takes every key of the schema."""
    seen = collections.defaultdict(set)
    policy = parse(EVERY_KEY.read_text())
    for name, path, _ in defs_in(schema, policy):
        at = policy
        for step in path:
            at = at[step]
        seen[name] |= set(at)
    for name, definition in schema["$defs"].items():
        assert set(definition["properties"]) - seen[name] == set(), name
    assert "passed" in run([PROGRAM, "policy", "test", EVERY_KEY.parent])


def test_keys_are_those_that_the_loader_knows(schema, fits, tmp_path):
    """The loader names what it knows when it meets what it does not."""
    policy = parse(EVERY_KEY.read_text())
    cases = {name: (path, node) for name, path, node in defs_in(schema, policy)
             if name not in ("filter", "operators")}
    policies = [changed(policy, path, "zz", 1) for path, _ in cases.values()]
    said = check_all(tmp_path, [json.dumps(p) for p in policies])
    for (name, (_, node)), wrong, text in zip(cases.items(), policies, said):
        known = re.search(r"unknown key 'zz'; known here: (.*)", text)
        assert known, f"{name}: {text}"
        assert sorted(known[1].split()) == sorted(node["properties"]), name
        assert not fits(wrong), name


def test_changes_are_judged_alike(schema, fits, tmp_path):
    """Each key of the example once with values of other types, wrong words, and left out."""
    policy = parse(EVERY_KEY.read_text())
    cases, done = [], set()
    for name, path, node in defs_in(schema, policy):
        at = policy
        for step in path:
            at = at[step]
        for key in at:
            inner = node["properties"].get(key)
            if inner is None or (name, key) in done:
                continue
            done.add((name, key))
            cases += [(f"{name}.{key} = {w}", changed(policy, path, key, w)) for w in WRONG]
            cases.append((f"{name} without {key}", changed(policy, path, key, ...)))
            if "enum" in inner:
                cases.append((f"{name}.{key}: word", changed(policy, path, key, "nonsense")))
            if "enum" in inner.get("items", {}):
                cases.append((f"{name}.{key}: word", changed(policy, path, key, ["nonsense"])))
    said = check_all(tmp_path, [json.dumps(c) for _, c in cases])
    refused = collections.Counter()
    for (what, case), text in zip(cases, said):
        if not text:
            assert fits(case), f"{what}: the loader takes it"
            continue
        refused[what.split(" = ")[0]] += " = " in what
        if OF_ONE_VALUE.search(text):
            assert not fits(case), f"{what}: the loader says {text}"
    # A type that neither refuses would be no test of the key.
    for name, key in done:
        free = name == "operators" and key == "$exists"
        assert free or refused[f"{name}.{key}"], f"{name}.{key}"
    assert len(cases) > 300


def texts_of_the_tree():
    files = [*ROOT.glob("policies/**/*.yaml"), *ROOT.glob("tests/**/*.yaml"),
             *ROOT.glob("tests/fuzz/corpus/policy/*")]
    texts = [f.read_text(errors="replace") for f in files if f.is_file()]
    texts += re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/policy.md").read_text(), re.M | re.S)
    return [text for text in texts if "mongoward: 1" in text]


def texts_of_unit_tests(folder):
    for name in UNIT_TESTS:
        program = PROGRAM.parent / "tests/unit" / name
        assert program.exists(), f"{program} is not built: make check TESTS="
        run([program], env={**os.environ, "MONGOWARD_POLICIES": str(folder), "srcdir": str(ROOT)})
    return [f.read_text() for f in folder.iterdir()]


def test_policies_are_judged_alike(fits, tmp_path):
    unit = tmp_path / "unit"
    unit.mkdir()
    texts = texts_of_the_tree() + texts_of_unit_tests(unit)
    accepted = refused = 0
    for text, said in zip(texts, check_all(tmp_path, texts)):
        try:
            policy = parse(text)
        except (yaml.YAMLError, AttributeError):
            assert said
            continue
        if not said:
            accepted += 1
            assert fits(policy), text
        elif OF_ONE_VALUE.search(said):
            refused += 1
            assert not fits(policy), f"{said}\n{text}"
    assert accepted > 60 and refused > 25


@pytest.mark.parametrize("file", sorted((ROOT / "policies/hospital").glob("*.yaml")), ids=lambda f: f.name)
def test_each_file_of_the_hospital(fits, file):
    assert fits(parse(file.read_text()))


def test_usage():
    run([PROGRAM, "policy", "schema", "here"], expect=2)
    assert "policy schema" in run([PROGRAM, "policy", "schema", "--help"])
