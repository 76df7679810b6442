"""Two worlds that differ in what one role may not learn, and the same data without any proxy."""

import copy
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "twin"))

import patients  # noqa: E402
import worlds as twin_worlds  # noqa: E402
from worlds import DATABASE, Reply  # noqa: E402

PLAIN = "plain_db"  # as a hospital without the proxy stores it
SEED = 20250101


def target():
    """A patient of the doctor's hospital, with values worth stealing."""
    return {
        "_id": patients.ObjectId("0123456789abcdef01234567"),
        "personal_info": {"name": "Ada Durand", "age": 41, "gender": "Female", "blood_type": "A+",
                          "ssn": "285057800608436"},
        "medical_info": {"condition": "Asthma", "medication": "Aspirin", "test_results": "Normal",
                         "tests": [{"code": "scan", "value": 3}, {"code": "blood", "value": 8}]},
        "admission_info": {"date_admission": patients.day(random.Random(1), 2023),
                           "duration_days": 12, "admission_type": "Urgent", "room_number": 104},
        "administrative_info": {"doctor": "Dr. Who", "hospital": "H-NORD",
                                "insurance_provider": "Cigna", "billing_amount": 18420.5,
                                "items": [5, 6, 7]},
        "metadata": {"source": "csv", "migration_version": "1.0"},
        "notes": "HIV positive",
    }


def visit():
    return {"_id": -1, "patient": target()["_id"], "kind": "scan", "ward": "W1", "score": 15,
            "cost": 1234, "at": patients.day(random.Random(2), 2023), "nurse": "Paul",
            "badge": "B1", "tags": ["urgent", "night"], "secret": "HIV positive",
            "exam": {"result": "Normal", "value": 4, "items": [
                {"code": "scan", "qty": 1, "price": 55}, {"code": "blood", "qty": 2, "price": 7}]}}


class Arena:
    """Both worlds, as one user attacks them."""

    def __init__(self, worlds):
        self.worlds = worlds
        self.base = patients.base(random.Random(SEED), 24)
        self.base["patients"].insert(0, target())
        self.base["visits"].insert(0, visit())
        # Rows that a careless comparison lets in.
        for hospital in ("h-nord", "H-Nörd", "H-NORD "):
            stranger = copy.deepcopy(self.base["patients"][3])
            stranger["_id"] = patients.ObjectId()
            stranger["administrative_info"]["hospital"] = hospital
            stranger["personal_info"]["age"] = 111
            stranger["medical_info"]["tests"] = [{"code": "talk", "value": 111}]
            self.base["patients"].append(stranger)

        for ward in ("w1", "W9"):
            stranger = {**visit(), "_id": ward, "ward": ward, "kind": "talk"}
            stranger["exam"]["value"] = 1313
            self.base["visits"].append(stranger)

    def enter(self, user, draw=0):
        """Fills both worlds anew; they differ in what is hidden from the user."""
        first = self.base
        second = patients.twins(random.Random(SEED + 1 + draw), first, user)
        for world, documents in zip(self.worlds, (first, second)):
            world.fill(documents)
            for name, list_ in documents.items():
                plain = world.direct[PLAIN][name]
                plain.delete_many({})
                plain.insert_many(copy.deepcopy(list_))
        if user == "sealed":
            self.worlds[1].take_sealed(self.worlds[0], "patients", "personal_info.ssn")
        return self

    def ask(self, user, command, *sections):
        """The replies of both worlds."""
        return [world.ask(user, command, *sections) for world in self.worlds]

    def without_proxy(self, command, *sections):
        return self.ask(None, {**command, "$db": PLAIN} if isinstance(command, dict) else command,
                        *sections)

    def through(self, user, command, *sections):
        return self.ask(
            user, {**command, "$db": command.get("$db", DATABASE)}
            if isinstance(command, dict) else command, *sections)

    def must_agree(self, user, command, *sections):
        """What the user is told; it must be the same in both worlds."""
        a, b = self.through(user, command, *sections)
        assert a == b, f"{user} is told apart:\n  {command}\n  {a.shown()}\n  {b.shown()}"
        return a


@pytest.fixture(scope="session")
def worlds(tmp_path_factory):
    with twin_worlds.worlds(tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.fixture(scope="session")
def arena(worlds):
    return Arena(worlds)


__all__ = ["Arena", "Reply"]
