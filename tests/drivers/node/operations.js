// The operations through the Node driver.  What every program here does and reads: ../README.md.
"use strict";
const assert = require("node:assert/strict");
const { MongoClient, BSON } = require("mongodb");

const URI = process.env.DRIVERS_URI;
const [DATABASE, ...REST] = process.env.DRIVERS_NAMESPACE.split(".");
const COLLECTION = REST.join(".");
const MONGOS = process.env.DRIVERS_EXPECT === "mongos";
const REFUSED = process.env.DRIVERS_REFUSED;
const FOREIGN = ["hosts", "passives", "arbiters", "me", "primary", "setName"];
const same = assert.deepStrictEqual;
const range = (n) => Array.from({ length: n }, (_, i) => i);

const seen = { getMores: 0, addresses: new Set(), type: "Unknown" };
const client = new MongoClient(URI, { monitorCommands: true });
client.on("commandStarted", (event) => { if (event.commandName === "getMore") seen.getMores++; });
client.on("topologyDescriptionChanged", (event) => {
	seen.type = event.newDescription.type;
	for (const address of event.newDescription.servers.keys()) seen.addresses.add(address);
});
const coll = client.db(DATABASE).collection(COLLECTION);

const checks = {
	async hello() {
		const hello = await client.db("admin").command({ hello: 1 });
		same(hello.isWritablePrimary, true);
		same(hello.msg, MONGOS ? "isdbgrid" : undefined);
		if (MONGOS) same(FOREIGN.filter((name) => name in hello), []);
		same((await client.db("admin").command({ ping: 1 })).ok, 1);
		same(typeof (await client.db("admin").command({ buildInfo: 1 })).version, "string");
	},
	async topology() {
		same(seen.type, MONGOS ? "Sharded" : "ReplicaSetWithPrimary");
	},
	async crud() {
		await coll.deleteMany({});
		same((await coll.insertOne({ _id: 1000, n: -1, group: "x" })).insertedId, 1000);
		const many = range(250).map((n) => ({ _id: n, n, group: "g" + (n % 5) }));
		same((await coll.insertMany(many)).insertedCount, 250);
		const found = coll.find({ n: { $gte: 100 } }).project({ _id: 0, n: 1 }).sort({ n: -1 }).limit(3);
		same(await found.toArray(), [{ n: 249 }, { n: 248 }, { n: 247 }]);
		const updated = await coll.updateOne({ _id: 1000 }, { $set: { text: "set" } });
		same([updated.matchedCount, updated.modifiedCount], [1, 1]);
		same(await coll.findOneAndUpdate({ _id: 1000 }, { $inc: { n: 2 } }, { returnDocument: "after" }),
			{ _id: 1000, n: 1, group: "x", text: "set" });
		same((await coll.replaceOne({ _id: 1000 }, { n: 7, group: "y" })).modifiedCount, 1);
		same(await coll.findOne({ _id: 1000 }), { _id: 1000, n: 7, group: "y" });
		same(await coll.countDocuments({ group: "g1" }), 50);
		same((await coll.distinct("group")).sort(), ["g0", "g1", "g2", "g3", "g4", "y"]);
		same((await coll.deleteOne({ _id: 1000 })).deletedCount, 1);
		same(await coll.countDocuments({}), 250);
	},
	async aggregate() {
		const groups = coll.aggregate([
			{ $match: { n: { $gte: 0 } } },
			{ $group: { _id: "$group", sum: { $sum: "$n" }, count: { $sum: 1 } } },
			{ $sort: { _id: 1 } },
		]);
		same(await groups.toArray(),
			range(5).map((k) => ({ _id: "g" + k, sum: 6125 + 50 * k, count: 50 })));
	},
	async cursor() {
		const before = seen.getMores;
		const docs = await coll.find({}).sort({ n: 1 }).batchSize(100).toArray();
		same(docs.map((doc) => doc.n), range(250));
		same(seen.getMores - before, 2);
	},
	async transaction() {
		const session = client.startSession();
		try {
			session.startTransaction();
			await coll.insertOne({ _id: 2000, n: 1 }, { session });
			same(await coll.findOne({ _id: 2000 }, { session }), { _id: 2000, n: 1 });
			same(await coll.findOne({ _id: 2000 }), null);
			await session.commitTransaction();
			same(await coll.findOne({ _id: 2000 }), { _id: 2000, n: 1 });
			session.startTransaction();
			await coll.insertOne({ _id: 2001, n: 1 }, { session });
			await session.abortTransaction();
			same(await coll.findOne({ _id: 2001 }), null);
			await session.withTransaction(async () => {
				await coll.insertOne({ _id: 2002, n: 1 }, { session });
				await coll.updateOne({ _id: 2000 }, { $set: { n: 2 } }, { session });
			});
		} finally {
			await session.endSession();
		}
		same(await coll.countDocuments({ _id: { $in: [2000, 2001, 2002] } }), 2);
		same(await coll.findOne({ _id: 2000 }), { _id: 2000, n: 2 });
	},
	async bulk() {
		const error = await coll.bulkWrite([
			{ insertOne: { document: { _id: 3000, n: 1 } } },
			{ insertOne: { document: { _id: 3000, n: 2 } } },
			{ updateOne: { filter: { _id: 0 }, update: { $set: { text: "bulk" } } } },
			{ deleteOne: { filter: { _id: 2002 } } },
		], { ordered: false }).then(() => null, (e) => e);
		assert(error, "the second insert of the same _id was accepted");
		same([error.writeErrors].flat().map((e) => [e.index, e.code]), [[1, 11000]]);
		same([error.insertedCount, error.modifiedCount, error.deletedCount], [1, 1, 1]);
	},
	async duplicate() {
		await assert.rejects(coll.insertOne({ _id: 0 }), { code: 11000 });
	},
	async refused() {
		const refused = JSON.parse(REFUSED);
		const command = BSON.EJSON.deserialize(refused.command);
		await assert.rejects(client.db(refused.db).command(command),
			{ code: 13, codeName: "Unauthorized" });
	},
	async addresses() {
		same([...seen.addresses].sort(), client.options.hosts.map(String).sort());
	},
};

async function main() {
	if (!REFUSED) delete checks.refused;
	let failed = 0;
	await client.connect();
	for (const [name, check] of Object.entries(checks)) {
		try {
			await check();
			console.log(`ok node ${name}`);
		} catch (error) {
			failed++;
			console.log(`FAILED node ${name}: ${error.name}: ${error.message}`);
		}
	}
	await coll.deleteMany({});
	await client.close();
	return failed ? 1 : 0;
}

main().then((code) => { process.exitCode = code; }, (error) => {
	console.log(`FAILED node connect: ${error.name}: ${error.message}`);
	process.exitCode = 1;
});
