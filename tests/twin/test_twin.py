"""The twin-world test would find what it looks for: where there is something, it does."""

import io
import re

import pytest

from twin import BLOCK, WRITES, Twin, twin_worlds


def ran(twin, blocks, users):
    """Runs the first blocks of some users; what differs."""
    found = [b for b in range(200) if twin.user_of(b) in users][:blocks]
    twin.run(n for b in found for n in range(b * BLOCK, (b + 1) * BLOCK))
    return twin.differences


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    with twin_worlds.worlds(tmp_path_factory.mktemp("worlds")) as made:
        yield made


def test_worlds_agree(worlds):
    twin = Twin(worlds, 1)
    differences = ran(twin, 2, {"masked", "doctor"})
    assert twin.total == 2 * BLOCK
    assert not differences, str(differences[0])
    report = io.StringIO()
    twin.out = report
    twin.report()
    assert re.search(r"^all +500 ", report.getvalue(), re.MULTILINE)
    assert twin.counts["all"].answered > 50 and twin.counts["all"].refused > 50


def test_the_bare_databases_differ(worlds):
    """Without the proxy every kind of question tells the worlds apart."""
    twin = Twin(worlds, 2, without_proxy=True)
    differences = ran(twin, 8, {"masked", "doctor", "researcher", "clerk"})
    told = set()
    for d in differences:
        name = next(iter(d.command))
        told.add(name)
        if name == "aggregate":
            told |= {next(iter(stage)) for stage in d.command["pipeline"]}
    wanted = {"find", "count", "distinct", "aggregate", "update", "findAndModify", "delete",
              "$match", "$project", "$group", "$sort", "$unwind", "$addFields", "$set",
              "$replaceRoot", "$replaceWith", "$sortByCount", "$bucket", "$bucketAuto", "$facet",
              "$lookup", "$unionWith", "$redact", "$setWindowFields", "$count"}
    assert not wanted - told, wanted - told
    assert len(differences) > twin.total / 3


@pytest.mark.parametrize("user, old, new", [
    ("doctor", 'rows: {administrative_info.hospital: "${user.hospital}"}', ""),
    ("doctor", "personal_info.ssn: {mask: partial, keep_last: 4}",
     "personal_info.ssn: {mask: partial, keep_last: 5}"),
    ("clerk", "see: {identity: plaintext, billing: plaintext, technical: plaintext}",
     "see: {identity: plaintext, billing: plaintext, technical: plaintext, staff: plaintext}"),
    ("masked", "cost:  {mask: round, to: 100}", "cost:  {mask: round, to: 50}"),
    ("masked", "nurse: {mask: partial, keep_first: 1}", "nurse: {mask: partial, keep_first: 2}"),
    ("masked", "exam.items.price: {mask: constant, value: 0}", "exam.items.price: plaintext"),
    ("masked", 'rows: {ward: "${user.ward}"}', ""),
    ("researcher", "see: {medical: plaintext, demographic: plaintext, technical: plaintext}",
     "see: {medical: plaintext, demographic: plaintext, technical: plaintext, staff: plaintext}"),
    ("analyst", "mask: truncate, to: year", "mask: truncate, to: month"),
    ("analyst", "mask: bands, edges: [18, 30, 50, 65], labels: [0-17, 18-29, 30-49, 50-64, 65+]",
     "mask: bands, edges: [18, 30, 40, 65], labels: [0-17, 18-29, 30-49, 50-64, 65+]"),
    ("analyst", "scope: view", "scope: view}\n      name: {of: administrative_info.doctor"),
], ids=lambda v: re.sub(r"\W+", "-", v)[:40])
def test_one_grant_widened_in_one_world(worlds, user, old, new):
    proxy = worlds[1].proxy
    files = {file: file.read_text() for file in (proxy.folder / "policies/hospital").glob("*.yaml")}
    assert any(old in text for text in files.values())
    try:
        for file, text in files.items():
            file.write_text(text.replace(old, new, 1))
        assert proxy.reload()
        differences = ran(Twin(worlds, 3), 1, {user})
    finally:
        for file, text in files.items():
            file.write_text(text)
        assert proxy.reload()
    begun = [d for d in differences if "to begin with" in d.what]
    assert begun and len(differences) > len(begun)


def test_a_number_gives_its_command_again(worlds):
    """The same seed and number: the same user, documents and command, alone or among others."""
    from commands import make
    first = Twin(worlds, 4)
    first.enter(3)
    user, stored = first.user, first.stored
    commands = [make(4, n, user, first.literals) for n in range(3 * BLOCK, 3 * BLOCK + 50)]
    again = Twin(worlds, 4)
    again.enter(7)
    again.enter(3)
    assert again.user == user
    assert commands == [make(4, n, user, again.literals)
                        for n in range(3 * BLOCK, 3 * BLOCK + 50)]
    for a, b in zip(stored, again.stored):
        for name in a:
            assert [d["_id"] for d in a[name]] == [d["_id"] for d in b[name]]
    assert any(kind in WRITES for kind, _ in commands)
