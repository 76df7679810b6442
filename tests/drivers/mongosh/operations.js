// The operations through mongosh.  What every program here does and reads: ../README.md.
// Run as `mongosh --nodb --file operations.js`, so that the URI with its password is no argument.
const assert = require("node:assert/strict");
const { EJSON } = require("bson");

const URI = process.env.DRIVERS_URI;
const [DATABASE, ...REST] = process.env.DRIVERS_NAMESPACE.split(".");
const COLLECTION = REST.join(".");
const MONGOS = process.env.DRIVERS_EXPECT === "mongos";
const REFUSED = process.env.DRIVERS_REFUSED;
const FOREIGN = ["hosts", "passives", "arbiters", "me", "primary", "setName"];
const range = (n) => Array.from({ length: n }, (_, i) => i);

// As JSON text: what mongosh returns is of another realm, which deepStrictEqual would refuse.
function same(got, want) {
	assert.equal(EJSON.stringify(got), EJSON.stringify(want));
}

function thrown(action) {
	try {
		action();
	} catch (error) {
		return error;
	}
	throw new Error("it was accepted");
}

const database = connect(URI).getSiblingDB(DATABASE);
const mongo = database.getMongo();
const admin = mongo.getDB("admin");
const coll = database.getCollection(COLLECTION);

// mongosh asks for a direct connection to a single host, which sees no topology; the checks of
// what hello leads to are made without it.
const discovering = new Mongo(URI + (URI.includes("?") ? "&" : "/?") + "directConnection=false");
const description = () => discovering._serviceProvider.getTopology().description;

const checks = {
	hello() {
		const hello = admin.runCommand({ hello: 1 });
		same(hello.isWritablePrimary, true);
		same(hello.msg ?? null, MONGOS ? "isdbgrid" : null);
		if (MONGOS) same(FOREIGN.filter((name) => name in hello), []);
		same(admin.runCommand({ ping: 1 }).ok, 1);
		same(typeof admin.runCommand({ buildInfo: 1 }).version, "string");
	},
	topology() {
		same(description().type, MONGOS ? "Sharded" : "ReplicaSetWithPrimary");
	},
	crud() {
		coll.deleteMany({});
		same(coll.insertOne({ _id: 1000, n: -1, group: "x" }).insertedId, 1000);
		const many = range(250).map((n) => ({ _id: n, n, group: "g" + (n % 5) }));
		same(Object.keys(coll.insertMany(many).insertedIds).length, 250);
		const found = coll.find({ n: { $gte: 100 } }, { _id: 0, n: 1 }).sort({ n: -1 }).limit(3);
		same(found.toArray(), [{ n: 249 }, { n: 248 }, { n: 247 }]);
		const updated = coll.updateOne({ _id: 1000 }, { $set: { text: "set" } });
		same([updated.matchedCount, updated.modifiedCount], [1, 1]);
		same(coll.findOneAndUpdate({ _id: 1000 }, { $inc: { n: 2 } }, { returnDocument: "after" }),
			{ _id: 1000, n: 1, group: "x", text: "set" });
		same(coll.replaceOne({ _id: 1000 }, { n: 7, group: "y" }).modifiedCount, 1);
		same(coll.findOne({ _id: 1000 }), { _id: 1000, n: 7, group: "y" });
		same(coll.countDocuments({ group: "g1" }), 50);
		same(coll.distinct("group").sort(), ["g0", "g1", "g2", "g3", "g4", "y"]);
		same(coll.deleteOne({ _id: 1000 }).deletedCount, 1);
		same(coll.countDocuments({}), 250);
	},
	aggregate() {
		const groups = coll.aggregate([
			{ $match: { n: { $gte: 0 } } },
			{ $group: { _id: "$group", sum: { $sum: "$n" }, count: { $sum: 1 } } },
			{ $sort: { _id: 1 } },
		]);
		same(groups.toArray(), range(5).map((k) => ({ _id: "g" + k, sum: 6125 + 50 * k, count: 50 })));
	},
	cursor() {
		const cursor = coll.find({}).sort({ n: 1 }).batchSize(100);
		const [docs, batches] = [[], []];
		while (cursor.hasNext()) {
			if (cursor.objsLeftInBatch() > 1 && docs.length % 100 === 0)
				batches.push(cursor.objsLeftInBatch());
			docs.push(cursor.next().n);
		}
		same(docs, range(250));
		same(batches, [100, 100, 50]);
	},
	transaction() {
		const session = mongo.startSession();
		const inside = session.getDatabase(DATABASE).getCollection(COLLECTION);
		session.startTransaction();
		inside.insertOne({ _id: 2000, n: 1 });
		same(inside.findOne({ _id: 2000 }), { _id: 2000, n: 1 });
		same(coll.findOne({ _id: 2000 }), null);
		session.commitTransaction();
		same(coll.findOne({ _id: 2000 }), { _id: 2000, n: 1 });
		session.startTransaction();
		inside.insertOne({ _id: 2001, n: 1 });
		session.abortTransaction();
		same(coll.findOne({ _id: 2001 }), null);
		session.withTransaction(() => {
			inside.insertOne({ _id: 2002, n: 1 });
			inside.updateOne({ _id: 2000 }, { $set: { n: 2 } });
		});
		session.endSession();
		same(coll.countDocuments({ _id: { $in: [2000, 2001, 2002] } }), 2);
		same(coll.findOne({ _id: 2000 }), { _id: 2000, n: 2 });
	},
	bulk() {
		const error = thrown(() => coll.bulkWrite([
			{ insertOne: { document: { _id: 3000, n: 1 } } },
			{ insertOne: { document: { _id: 3000, n: 2 } } },
			{ updateOne: { filter: { _id: 0 }, update: { $set: { text: "bulk" } } } },
			{ deleteOne: { filter: { _id: 2002 } } },
		], { ordered: false }));
		same([error.writeErrors].flat().map((e) => [e.index, e.code]), [[1, 11000]]);
		const { result } = error;
		same([result.insertedCount, result.modifiedCount, result.deletedCount], [1, 1, 1]);
	},
	duplicate() {
		same(thrown(() => coll.insertOne({ _id: 0 })).code, 11000);
	},
	refused() {
		const refused = JSON.parse(REFUSED);
		const command = EJSON.deserialize(refused.command);
		const error = thrown(() => mongo.getDB(refused.db).runCommand(command));
		same([error.code, error.codeName], [13, "Unauthorized"]);
	},
	addresses() {
		const seeds = discovering._serviceProvider.mongoClient.options.hosts.map(String);
		same([...description().servers.keys()].sort(), seeds.sort());
	},
};

if (!REFUSED) delete checks.refused;
let failed = 0;
for (const [name, check] of Object.entries(checks)) {
	try {
		check();
		print(`ok mongosh ${name}`);
	} catch (error) {
		failed++;
		print(`FAILED mongosh ${name}: ${error.name}: ${error.message}`);
	}
}
coll.deleteMany({});
process.exit(failed ? 1 : 0);
