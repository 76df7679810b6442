// The operations through the Java driver.  What every program here does and reads: ../README.md.

import static com.mongodb.client.model.Filters.eq;
import static com.mongodb.client.model.Filters.gte;
import static com.mongodb.client.model.Filters.in;
import static com.mongodb.client.model.Updates.inc;
import static com.mongodb.client.model.Updates.set;

import com.mongodb.ConnectionString;
import com.mongodb.MongoBulkWriteException;
import com.mongodb.MongoClientSettings;
import com.mongodb.MongoCommandException;
import com.mongodb.MongoWriteException;
import com.mongodb.ServerAddress;
import com.mongodb.client.ClientSession;
import com.mongodb.client.MongoClient;
import com.mongodb.client.MongoClients;
import com.mongodb.client.MongoCollection;
import com.mongodb.client.model.BulkWriteOptions;
import com.mongodb.client.model.DeleteOneModel;
import com.mongodb.client.model.FindOneAndUpdateOptions;
import com.mongodb.client.model.InsertOneModel;
import com.mongodb.client.model.ReturnDocument;
import com.mongodb.client.model.UpdateOneModel;
import com.mongodb.connection.ClusterType;
import com.mongodb.event.ClusterDescriptionChangedEvent;
import com.mongodb.event.ClusterListener;
import com.mongodb.event.CommandListener;
import com.mongodb.event.CommandStartedEvent;
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.bson.Document;

public final class Operations {
	private interface Check {
		void run() throws Exception;
	}

	private static final String NAMESPACE = System.getenv("DRIVERS_NAMESPACE");
	private static final boolean MONGOS = "mongos".equals(System.getenv("DRIVERS_EXPECT"));
	private static final String REFUSED = System.getenv("DRIVERS_REFUSED");
	private static final List<String> FOREIGN =
		List.of("hosts", "passives", "arbiters", "me", "primary", "setName");

	private final AtomicInteger getMores = new AtomicInteger();
	private final Set<String> addresses = new ConcurrentSkipListSet<>();
	private final ConnectionString uri;
	private final MongoClient client;
	private final MongoCollection<Document> coll;
	private boolean failed;

	private Operations(String text) throws Exception {
		uri = new ConnectionString(text);
		MongoClientSettings.Builder settings = MongoClientSettings.builder()
			.applyConnectionString(uri)
			.addCommandListener(new CommandListener() {
				@Override
				public void commandStarted(CommandStartedEvent event) {
					if (event.getCommandName().equals("getMore"))
						getMores.incrementAndGet();
				}
			})
			.applyToClusterSettings(cluster -> cluster.addClusterListener(new ClusterListener() {
				@Override
				public void clusterDescriptionChanged(ClusterDescriptionChangedEvent event) {
					event.getNewDescription().getServerDescriptions()
						.forEach(server -> addresses.add(server.getAddress().toString()));
				}
			}));
		String file = option(text, "tlsCAFile");
		if (file != null) {
			SSLContext context = trusting(file);
			settings.applyToSslSettings(ssl -> ssl.enabled(true).context(context));
		}
		client = MongoClients.create(settings.build());
		int dot = NAMESPACE.indexOf('.');
		coll = client.getDatabase(NAMESPACE.substring(0, dot))
			.getCollection(NAMESPACE.substring(dot + 1));
	}

	// This driver leaves the option tlsCAFile to Java's trust stores.
	private static String option(String uri, String name) {
		int mark = uri.indexOf('?');
		if (mark < 0)
			return null;
		for (String pair : uri.substring(mark + 1).split("&"))
			if (pair.startsWith(name + "="))
				return URLDecoder.decode(pair.substring(name.length() + 1), StandardCharsets.UTF_8);
		return null;
	}

	private static SSLContext trusting(String file) throws Exception {
		KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
		store.load(null, null);
		try (InputStream in = new FileInputStream(file)) {
			int n = 0;
			for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(in))
				store.setCertificateEntry("ca" + n++, one);
		}
		TrustManagerFactory trust =
			TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		trust.init(store);
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(null, trust.getTrustManagers(), null);
		return context;
	}

	private static void same(Object got, Object want) {
		if (!Objects.equals(got, want))
			throw new AssertionError("got " + got + ", not " + want);
	}

	private static <T extends Exception> T thrown(Class<T> kind, Check action) throws Exception {
		try {
			action.run();
		} catch (Exception error) {
			if (kind.isInstance(error))
				return kind.cast(error);
			throw error;
		}
		throw new AssertionError("it was accepted");
	}

	private static Document doc(int id, int n) {
		return new Document("_id", id).append("n", n);
	}

	private Document find(int id) {
		return coll.find(eq("_id", id)).first();
	}

	private void hello() {
		Document hello = client.getDatabase("admin").runCommand(new Document("hello", 1));
		same(hello.get("isWritablePrimary"), true);
		same(hello.get("msg"), MONGOS ? "isdbgrid" : null);
		if (MONGOS)
			for (String name : FOREIGN)
				same(hello.containsKey(name) ? name : null, null);
		same(client.getDatabase("admin").runCommand(new Document("ping", 1)).get("ok"), 1.0);
		Document build = client.getDatabase("admin").runCommand(new Document("buildInfo", 1));
		same(build.get("version") instanceof String, true);
	}

	private void topology() {
		same(client.getClusterDescription().getType(),
			MONGOS ? ClusterType.SHARDED : ClusterType.REPLICA_SET);
	}

	private void crud() {
		coll.deleteMany(new Document());
		same(coll.insertOne(doc(1000, -1).append("group", "x")).getInsertedId().asInt32().getValue(),
			1000);
		List<Document> many = new ArrayList<>();
		for (int n = 0; n < 250; n++)
			many.add(doc(n, n).append("group", "g" + n % 5));
		same(coll.insertMany(many).getInsertedIds().size(), 250);
		same(coll.find(gte("n", 100)).projection(new Document("_id", 0).append("n", 1))
			.sort(new Document("n", -1)).limit(3).into(new ArrayList<>()),
			List.of(new Document("n", 249), new Document("n", 248), new Document("n", 247)));
		same(coll.updateOne(eq("_id", 1000), set("text", "set")).getModifiedCount(), 1L);
		same(coll.findOneAndUpdate(eq("_id", 1000), inc("n", 2),
			new FindOneAndUpdateOptions().returnDocument(ReturnDocument.AFTER)),
			doc(1000, 1).append("group", "x").append("text", "set"));
		same(coll.replaceOne(eq("_id", 1000), new Document("n", 7).append("group", "y"))
			.getModifiedCount(), 1L);
		same(find(1000), doc(1000, 7).append("group", "y"));
		same(coll.countDocuments(eq("group", "g1")), 50L);
		List<String> groups = coll.distinct("group", String.class).into(new ArrayList<>());
		Collections.sort(groups);
		same(groups, List.of("g0", "g1", "g2", "g3", "g4", "y"));
		same(coll.deleteOne(eq("_id", 1000)).getDeletedCount(), 1L);
		same(coll.countDocuments(), 250L);
	}

	private void aggregate() {
		List<Document> want = new ArrayList<>();
		for (int k = 0; k < 5; k++)
			want.add(new Document("_id", "g" + k).append("sum", 6125 + 50 * k).append("count", 50));
		same(coll.aggregate(List.of(
			new Document("$match", new Document("n", new Document("$gte", 0))),
			new Document("$group", new Document("_id", "$group")
				.append("sum", new Document("$sum", "$n"))
				.append("count", new Document("$sum", 1))),
			new Document("$sort", new Document("_id", 1)))).into(new ArrayList<>()), want);
	}

	private void cursor() {
		int before = getMores.get();
		int n = 0;
		for (Document one : coll.find().sort(new Document("n", 1)).batchSize(100))
			same(one.get("n"), n++);
		same(n, 250);
		same(getMores.get() - before, 2);
	}

	private void transaction() {
		try (ClientSession session = client.startSession()) {
			session.startTransaction();
			coll.insertOne(session, doc(2000, 1));
			same(coll.find(session, eq("_id", 2000)).first(), doc(2000, 1));
			same(find(2000), null);
			session.commitTransaction();
			same(find(2000), doc(2000, 1));
			session.startTransaction();
			coll.insertOne(session, doc(2001, 1));
			session.abortTransaction();
			same(find(2001), null);
			session.withTransaction(() -> {
				coll.insertOne(session, doc(2002, 1));
				return coll.updateOne(session, eq("_id", 2000), set("n", 2));
			});
		}
		same(coll.countDocuments(in("_id", 2000, 2001, 2002)), 2L);
		same(find(2000), doc(2000, 2));
	}

	private void bulk() throws Exception {
		MongoBulkWriteException error = thrown(MongoBulkWriteException.class, () -> coll.bulkWrite(
			List.of(new InsertOneModel<>(doc(3000, 1)), new InsertOneModel<>(doc(3000, 2)),
				new UpdateOneModel<>(eq("_id", 0), set("text", "bulk")),
				new DeleteOneModel<>(eq("_id", 2002))),
			new BulkWriteOptions().ordered(false)));
		same(error.getWriteErrors().size(), 1);
		same(error.getWriteErrors().get(0).getIndex(), 1);
		same(error.getWriteErrors().get(0).getCode(), 11000);
		same(List.of(error.getWriteResult().getInsertedCount(),
			error.getWriteResult().getModifiedCount(), error.getWriteResult().getDeletedCount()),
			List.of(1, 1, 1));
	}

	private void duplicate() throws Exception {
		same(thrown(MongoWriteException.class, () -> coll.insertOne(new Document("_id", 0)))
			.getError().getCode(), 11000);
	}

	private void refused() throws Exception {
		Document refused = Document.parse(REFUSED);
		MongoCommandException error = thrown(MongoCommandException.class,
			() -> client.getDatabase(refused.getString("db"))
				.runCommand(refused.get("command", Document.class)));
		same(error.getErrorCode(), 13);
		same(error.getErrorCodeName(), "Unauthorized");
	}

	private void knownAddresses() {
		Set<String> seeds = new TreeSet<>();
		for (String host : uri.getHosts())
			seeds.add(new ServerAddress(host).toString());
		same(new TreeSet<>(addresses), seeds);
	}

	private void check(String name, Check check) {
		try {
			check.run();
			System.out.println("ok java " + name);
		} catch (Exception | AssertionError error) {
			failed = true;
			System.out.println("FAILED java " + name + ": " + error);
		}
	}

	private boolean run() {
		check("hello", this::hello);
		check("topology", this::topology);
		check("crud", this::crud);
		check("aggregate", this::aggregate);
		check("cursor", this::cursor);
		check("transaction", this::transaction);
		check("bulk", this::bulk);
		check("duplicate", this::duplicate);
		if (REFUSED != null && !REFUSED.isEmpty())
			check("refused", this::refused);
		check("addresses", this::knownAddresses);
		coll.deleteMany(new Document());
		client.close();
		return !failed;
	}

	public static void main(String[] args) throws Exception {
		System.exit(new Operations(System.getenv("DRIVERS_URI")).run() ? 0 : 1);
	}
}
