"""What a client of each user knows: namespaces, paths, and values to ask for."""

import random

import patients
from patients import GONE, get

DATABASE = "healthcare_db"
VIEW = "patients_anonymized_view"

# Kinds of values: n number, s text, d date, a list of scalars, l list of documents, i id,
# o document, x anything.
PATHS = {
    "patients": {
        "_id": "i", "personal_info.name": "s", "personal_info.age": "n",
        "personal_info.gender": "s", "personal_info.blood_type": "s", "personal_info.ssn": "s",
        "medical_info.condition": "s", "medical_info.medication": "s",
        "medical_info.test_results": "s", "medical_info.tests": "l",
        "medical_info.tests.code": "a", "medical_info.tests.value": "a",
        "admission_info.date_admission": "d", "admission_info.date_discharge": "d",
        "admission_info.duration_days": "n", "admission_info.admission_type": "s",
        "admission_info.room_number": "n", "administrative_info.doctor": "s",
        "administrative_info.hospital": "s", "administrative_info.insurance_provider": "s",
        "administrative_info.billing_amount": "n", "metadata.source": "s",
        "metadata.created_at": "d", "metadata.migration_version": "s", "notes": "x",
    },
    "visits": {
        "_id": "n", "patient": "i", "kind": "s", "ward": "s", "score": "n", "cost": "n",
        "at": "d", "nurse": "s", "badge": "s", "tags": "a", "exam.result": "s",
        "exam.value": "n", "exam.items": "l", "exam.items.code": "a", "exam.items.qty": "a",
        "exam.items.price": "a", "secret": "x",
    },
    VIEW: {
        "patient_id": "s", "age_range": "s", "gender": "s", "medical_condition": "s",
        "medication": "s", "admission_type": "s", "admission_year": "d", "duration_days": "n",
        "insurance_provider": "s", "billing_range": "s",
    },
}
MASKED_IN_VIEW = {"patient_id", "age_range", "admission_year", "duration_days", "billing_range"}
ANCESTORS = {
    "patients": ["personal_info", "medical_info", "admission_info", "administrative_info",
                 "metadata"],
    "visits": ["exam"],
    VIEW: [],
}
STRANGE_PATHS = ["extra", "__mw", "__mw.s", "__mw.o", "nothing.at.all", "personal_info.0",
                 "exam.0.x", "personal_info.0.ssn", "medical_info.tests.0.value",
                 "exam.items.1.price", "administrative_info.0.billing_amount", "2023",
                 "personal_info.ssn.x", "cost.0", "personal_info.names", "é", "a.b.c.d.e"]

# user: namespaces and how often each is asked for
NAMESPACES = {
    "doctor": {"patients": 9, "visits": 1},
    "clerk": {"patients": 9, "visits": 1},
    "analyst": {VIEW: 9, "patients": 1},
    "masked": {"patients": 5, "visits": 6},
    "researcher": {"patients": 4, "visits": 6},
    "sealed": {"patients": 9, VIEW: 1},
    "outsider": {"patients": 4, "visits": 4, VIEW: 2},
}
# How often each user asks.
SHARES = {"doctor": 4, "clerk": 3, "analyst": 3, "masked": 5, "researcher": 4, "sealed": 2,
          "outsider": 1}


def clear_paths(user, collection):
    """Paths that the user's grant shows as they are."""
    if collection == VIEW:
        return {p: k for p, k in PATHS[VIEW].items() if p not in MASKED_IN_VIEW}
    _, hidden = patients.HIDDEN.get(user, {}).get(collection, (None, {}))
    own = {"sealed": {"personal_info.name", "personal_info.ssn"},
           "masked": {"badge", "personal_info.name"}}.get(user, set())
    return {path: kind for path, kind in PATHS[collection].items()
            if not any(path == h or path.startswith(h + ".") or h.startswith(path + ".")
                       for h in {*hidden, *own})}


class Schema:
    """Paths of one collection for one user, in the mood of one command."""

    def __init__(self, rng, user, collection, literals):
        self.rng, self.user, self.collection, self.literals = rng, user, collection, literals
        self.clear = clear_paths(user, collection)
        # A command that stays within what is shown is the one that is answered; one strange
        # path in it is what a leak needs.
        self.wildness = rng.choices([0.0, 0.08, 0.3, 1.0], [60, 15, 15, 10])[0]

    def path(self, kinds=None):
        rng = self.rng
        if rng.random() < self.wildness:
            if rng.random() < 0.2:
                return rng.choice(STRANGE_PATHS + ANCESTORS[self.collection])
            paths = PATHS[self.collection]
        else:
            paths = self.clear
        fitting = [p for p, k in paths.items() if not kinds or k in kinds]
        if not fitting or rng.random() < 0.02:
            fitting = list(paths) or ["extra"]
        path = rng.choice(fitting)
        if rng.random() < 0.01:
            path += rng.choice([".0", ".x", ".0.x", ".$**"])
        return path

    def kind(self, path):
        return PATHS[self.collection].get(path, "x")

    def literal(self, path=None):
        """A value that a document of either world has there, or another."""
        rng = self.rng
        known = self.literals.get((self.collection, path))
        if known and rng.random() < 0.85:
            return rng.choice(known)
        return patients.strange(rng)

    def number(self):
        rng = self.rng
        return rng.choice([0, 1, 2, 5, -1, 10, 41, 100, 1000, 18420.5, rng.randint(-5, 60),
                           rng.randint(0, 60000), rng.random() * 2000])


def collect_literals(worlds_documents, shown):
    """(collection, path): values of both worlds, and what masks make of them."""
    found = {}
    for documents in worlds_documents:
        for collection, list_ in documents.items():
            for path in PATHS[collection]:
                for document in list_:
                    for value in values_at(document, path):
                        found.setdefault((collection, path), []).append(value)
    for collection, list_ in shown.items():
        for path in PATHS[collection]:
            for document in list_:
                for value in values_at(document, path):
                    found.setdefault((collection, path), []).append(value)
    rng = random.Random(0)
    return {key: rng.sample(values, min(40, len(values))) for key, values in found.items()}


def values_at(document, path):
    value = get(document, path)
    if value is not GONE:
        yield value
        return
    head, _, rest = path.rpartition(".")
    list_ = get(document, head) if head else GONE
    if isinstance(list_, list):
        for item in list_:
            if isinstance(item, dict) and rest in item:
                yield item[rest]
