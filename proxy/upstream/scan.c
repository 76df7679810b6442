#include "upstream/inside.h"

#define WAIT_US  (30ull * 1000 * 1000)
#define DB_MAX   64u
#define COUNT_MS 5000

/* A collection for one that reads and changes nothing. */
struct reading {
	struct upstream *upstream;
	mongoc_client_t *client;
	mongoc_collection_t *collection;
	mongoc_read_prefs_t *prefs;
};

static bool begin(struct reading *r, struct upstream *u, const char *ns, struct fault *why)
{
	const char *dot = strchr(ns, '.');
	char db[DB_MAX];

	*r = (struct reading){.upstream = u};
	if (!dot || dot == ns || !dot[1] || (size_t)(dot - ns) >= sizeof(db))
		return fault_set(
			why, FAULT_INVALID_NAMESPACE, "'%.100s' is not database.collection", ns);
	memcpy(db, ns, (size_t)(dot - ns));
	db[dot - ns] = '\0';
	r->client = upstream_pop(u, WAIT_US);
	if (!r->client)
		return fault_set(why, FAULT_UPSTREAM, "the deployment is not found");
	r->collection = mongoc_client_get_collection(r->client, db, dot + 1);
	r->prefs = mongoc_read_prefs_new(MONGOC_READ_SECONDARY_PREFERRED);
	return true;
}

static void end(struct reading *r)
{
	if (r->prefs)
		mongoc_read_prefs_destroy(r->prefs);
	if (r->collection)
		mongoc_collection_destroy(r->collection);
	if (r->client)
		mongoc_client_pool_push(r->upstream->clients, r->client);
}

static bool read_all(struct reading *r, const bson_t *opts, upstream_document_fn *each,
	void *context, struct fault *why)
{
	bson_t filter = BSON_INITIALIZER;
	mongoc_cursor_t *cursor =
		mongoc_collection_find_with_opts(r->collection, &filter, opts, r->prefs);
	const bson_t *document;
	bson_error_t error;
	bool fine = true, more = true;

	while (more && mongoc_cursor_next(cursor, &document))
		more = each(context, bytes_of(bson_get_data(document), document->len));
	if (more && mongoc_cursor_error(cursor, &error))
		fine = fault_set(why, FAULT_UPSTREAM, "%.190s", error.message);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&filter);
	return fine;
}

bool upstream_scan(struct upstream *u, const char *ns, struct bytes projection, int64_t limit,
	upstream_document_fn *each, void *context, struct fault *why)
{
	bson_t opts = BSON_INITIALIZER, fields;
	struct reading r;
	bool fine;

	if (!bson_init_static(&fields, projection.at, projection.len))
		return fault_set(why, FAULT_INTERNAL, "the projection is no document");
	if (!bson_empty(&fields))
		BSON_APPEND_DOCUMENT(&opts, "projection", &fields);
	if (limit)
		BSON_APPEND_INT64(&opts, "limit", limit);
	fine = begin(&r, u, ns, why) && read_all(&r, &opts, each, context, why);
	end(&r);
	bson_destroy(&opts);
	return fine;
}

uint64_t upstream_estimate(struct upstream *u, const char *ns)
{
	bson_t *opts = BCON_NEW("maxTimeMS", BCON_INT32(COUNT_MS));
	struct reading r;
	struct fault why;
	bson_error_t error;
	int64_t n = -1;

	if (begin(&r, u, ns, &why))
		n = mongoc_collection_estimated_document_count(
			r.collection, opts, r.prefs, NULL, &error);
	end(&r);
	bson_destroy(opts);
	return n > 0 ? (uint64_t)n : 0;
}
