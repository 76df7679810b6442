"""The operations through PyMongo.  What every program here does and reads: ../README.md."""
import json
import os
import sys

import pymongo
from bson import json_util
from pymongo import DeleteOne, InsertOne, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

URI = os.environ["DRIVERS_URI"]
DATABASE, COLLECTION = os.environ["DRIVERS_NAMESPACE"].split(".", 1)
MONGOS = os.environ["DRIVERS_EXPECT"] == "mongos"
REFUSED = os.environ.get("DRIVERS_REFUSED")
FOREIGN = ("hosts", "passives", "arbiters", "me", "primary", "setName")


class Recorder(pymongo.monitoring.CommandListener, pymongo.monitoring.TopologyListener):
	def __init__(self):
		self.get_mores = 0
		self.addresses = set()

	def started(self, event):
		self.get_mores += event.command_name == "getMore"

	def succeeded(self, event):
		pass

	def failed(self, event):
		pass

	def opened(self, event):
		pass

	def closed(self, event):
		pass

	def description_changed(self, event):
		self.addresses.update(event.new_description.server_descriptions())


def same(got, want):
	if got != want:
		raise AssertionError(f"got {got!r}, not {want!r}")


def check_hello(client, recorder):
	hello = client.admin.command("hello")
	same(hello["isWritablePrimary"], True)
	same(hello.get("msg"), "isdbgrid" if MONGOS else None)
	if MONGOS:
		same([name for name in FOREIGN if name in hello], [])
	same(client.admin.command("ping")["ok"], 1.0)
	same(isinstance(client.admin.command("buildInfo")["version"], str), True)


def check_topology(client, recorder):
	same(client.topology_description.topology_type_name,
	     "Sharded" if MONGOS else "ReplicaSetWithPrimary")


def check_crud(client, recorder):
	coll = client[DATABASE][COLLECTION]
	coll.delete_many({})
	same(coll.insert_one({"_id": 1000, "n": -1, "group": "x"}).inserted_id, 1000)
	many = [{"_id": n, "n": n, "group": f"g{n % 5}"} for n in range(250)]
	same(coll.insert_many(many).inserted_ids, list(range(250)))
	found = coll.find({"n": {"$gte": 100}}, {"_id": 0, "n": 1}).sort("n", -1).limit(3)
	same(list(found), [{"n": 249}, {"n": 248}, {"n": 247}])
	result = coll.update_one({"_id": 1000}, {"$set": {"text": "set"}})
	same((result.matched_count, result.modified_count), (1, 1))
	after = coll.find_one_and_update({"_id": 1000}, {"$inc": {"n": 2}},
	                                 return_document=ReturnDocument.AFTER)
	same(after, {"_id": 1000, "n": 1, "group": "x", "text": "set"})
	same(coll.replace_one({"_id": 1000}, {"n": 7, "group": "y"}).modified_count, 1)
	same(coll.find_one({"_id": 1000}), {"_id": 1000, "n": 7, "group": "y"})
	same(coll.count_documents({"group": "g1"}), 50)
	same(sorted(coll.distinct("group")), ["g0", "g1", "g2", "g3", "g4", "y"])
	same(coll.delete_one({"_id": 1000}).deleted_count, 1)
	same(coll.count_documents({}), 250)


def check_aggregate(client, recorder):
	groups = client[DATABASE][COLLECTION].aggregate([
		{"$match": {"n": {"$gte": 0}}},
		{"$group": {"_id": "$group", "sum": {"$sum": "$n"}, "count": {"$sum": 1}}},
		{"$sort": {"_id": 1}},
	])
	same(list(groups), [{"_id": f"g{k}", "sum": 6125 + 50 * k, "count": 50} for k in range(5)])


def check_cursor(client, recorder):
	before = recorder.get_mores
	cursor = client[DATABASE][COLLECTION].find({}).sort("n", 1).batch_size(100)
	same([doc["n"] for doc in cursor], list(range(250)))
	same(recorder.get_mores - before, 2)


def check_transaction(client, recorder):
	coll = client[DATABASE][COLLECTION]
	with client.start_session() as session:
		session.start_transaction()
		coll.insert_one({"_id": 2000, "n": 1}, session=session)
		same(coll.find_one({"_id": 2000}, session=session), {"_id": 2000, "n": 1})
		same(coll.find_one({"_id": 2000}), None)
		session.commit_transaction()
		same(coll.find_one({"_id": 2000}), {"_id": 2000, "n": 1})
		session.start_transaction()
		coll.insert_one({"_id": 2001, "n": 1}, session=session)
		session.abort_transaction()
		same(coll.find_one({"_id": 2001}), None)

		def body(session):
			coll.insert_one({"_id": 2002, "n": 1}, session=session)
			coll.update_one({"_id": 2000}, {"$set": {"n": 2}}, session=session)

		session.with_transaction(body)
	same(coll.count_documents({"_id": {"$in": [2000, 2001, 2002]}}), 2)
	same(coll.find_one({"_id": 2000}), {"_id": 2000, "n": 2})


def check_bulk(client, recorder):
	writes = [InsertOne({"_id": 3000, "n": 1}), InsertOne({"_id": 3000, "n": 2}),
	          UpdateOne({"_id": 0}, {"$set": {"text": "bulk"}}), DeleteOne({"_id": 2002})]
	try:
		client[DATABASE][COLLECTION].bulk_write(writes, ordered=False)
	except BulkWriteError as error:
		details = error.details
	else:
		raise AssertionError("the second insert of the same _id was accepted")
	same([(e["index"], e["code"]) for e in details["writeErrors"]], [(1, 11000)])
	same([details[key] for key in ("nInserted", "nModified", "nRemoved")], [1, 1, 1])


def check_duplicate(client, recorder):
	try:
		client[DATABASE][COLLECTION].insert_one({"_id": 0})
	except DuplicateKeyError as error:
		same(error.code, 11000)
	else:
		raise AssertionError("a second document of the same _id was accepted")


def check_refused(client, recorder):
	refused = json.loads(REFUSED)
	command = json_util.loads(json.dumps(refused["command"]))
	try:
		client[refused["db"]].command(command)
	except OperationFailure as error:
		same((error.code, error.details["codeName"]), (13, "Unauthorized"))
	else:
		raise AssertionError("the command was accepted")


def check_addresses(client, recorder):
	seeds = {(host, port) for host, port in pymongo.uri_parser.parse_uri(URI)["nodelist"]}
	known = recorder.addresses | set(client.topology_description.server_descriptions())
	same(known, seeds)


def main():
	recorder = Recorder()
	client = pymongo.MongoClient(URI, event_listeners=[recorder])
	checks = [("hello", check_hello), ("topology", check_topology), ("crud", check_crud),
	          ("aggregate", check_aggregate), ("cursor", check_cursor),
	          ("transaction", check_transaction), ("bulk", check_bulk),
	          ("duplicate", check_duplicate)]
	if REFUSED:
		checks.append(("refused", check_refused))
	checks.append(("addresses", check_addresses))
	failed = 0
	for name, check in checks:
		try:
			check(client, recorder)
			print(f"ok pymongo {name}", flush=True)
		except Exception as error:  # whatever a driver throws is a failed check
			failed += 1
			print(f"FAILED pymongo {name}: {type(error).__name__}: {error}", flush=True)
	client[DATABASE][COLLECTION].delete_many({})
	client.close()
	return 1 if failed else 0


if __name__ == "__main__":
	sys.exit(main())
