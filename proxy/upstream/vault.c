#include "upstream/inside.h"

#define WAIT_US (30ull * 1000 * 1000)
#define INDEX   "keyAltNames_1"

struct session {
	struct upstream *upstream;
	mongoc_client_t *client;
	mongoc_collection_t *keys;
	char db[64];
	const char *collection;
};

static bool fail(struct fault *why, const bson_error_t *error)
{
	return fault_set(why, FAULT_UPSTREAM, "%.190s", error->message);
}

static bool begin(struct session *s, struct upstream *u, const char *ns, struct fault *why)
{
	const char *dot = strchr(ns, '.');

	*s = (struct session){.upstream = u};
	if (!dot || dot == ns || !dot[1] || (size_t)(dot - ns) >= sizeof(s->db))
		return fault_set(
			why, FAULT_INVALID_NAMESPACE, "'%.100s' is not database.collection", ns);
	memcpy(s->db, ns, (size_t)(dot - ns));
	s->collection = dot + 1;
	s->client = upstream_pop(u, WAIT_US);
	if (!s->client)
		return fault_set(why, FAULT_UPSTREAM, "the deployment is not found");
	s->keys = mongoc_client_get_collection(s->client, s->db, s->collection);
	return true;
}

static void end(struct session *s)
{
	if (s->keys)
		mongoc_collection_destroy(s->keys);
	if (s->client)
		mongoc_client_pool_push(s->upstream->clients, s->client);
}

static void append_majority(bson_t *out, const char *name, const char *field)
{
	bson_t concern;

	bson_append_document_begin(out, name, -1, &concern);
	BSON_APPEND_UTF8(&concern, field, "majority");
	bson_append_document_end(out, &concern);
}

bool upstream_vault_read(struct upstream *u, const char *ns, upstream_document_fn *each,
	void *context, struct fault *why)
{
	bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
	mongoc_cursor_t *cursor;
	const bson_t *document;
	bson_error_t error;
	bool fine = true;
	struct session s;

	append_majority(&opts, "readConcern", "level");
	if (begin(&s, u, ns, why)) {
		cursor = mongoc_collection_find_with_opts(s.keys, &filter, &opts, NULL);
		while (fine && mongoc_cursor_next(cursor, &document))
			fine = each(context, bytes_of(bson_get_data(document), document->len)) ||
			       fault_set(why, FAULT_KEYS, "a key document is refused");
		if (fine && mongoc_cursor_error(cursor, &error))
			fine = fail(why, &error);
		mongoc_cursor_destroy(cursor);
	} else {
		fine = false;
	}
	end(&s);
	bson_destroy(&filter);
	bson_destroy(&opts);
	return fine;
}

/* As the client-side encryption specification wants it: no alternative name twice. */
static bool make_index(struct session *s, struct fault *why)
{
	bson_error_t error;
	bson_t *command = BCON_NEW("createIndexes", BCON_UTF8(s->collection), "indexes", "[", "{",
		"key", "{", "keyAltNames", BCON_INT32(1), "}", "name", BCON_UTF8(INDEX), "unique",
		BCON_BOOL(true), "partialFilterExpression", "{", "keyAltNames", "{", "$exists",
		BCON_BOOL(true), "}", "}", "}", "]");
	bson_t opts = BSON_INITIALIZER;
	bool made;

	append_majority(&opts, "writeConcern", "w");
	made = mongoc_client_write_command_with_opts(
		s->client, s->db, command, &opts, NULL, &error);
	bson_destroy(&opts);
	bson_destroy(command);
	return made || fail(why, &error);
}

static bool insert_all(
	struct session *s, const struct bytes *documents, size_t n, struct fault *why)
{
	bson_t opts = BSON_INITIALIZER;
	bson_error_t error;
	bool fine = true;

	append_majority(&opts, "writeConcern", "w");
	for (size_t i = 0; fine && i < n; i++) {
		bson_t document;

		fine = bson_init_static(&document, documents[i].at, documents[i].len)
			       ? mongoc_collection_insert_one(
					 s->keys, &document, &opts, NULL, &error) ||
					 fail(why, &error)
			       : fault_set(why, FAULT_INTERNAL, "a key document is no BSON");
	}
	bson_destroy(&opts);
	return fine;
}

bool upstream_vault_insert(struct upstream *u, const char *ns, const struct bytes *documents,
	size_t n, struct fault *why)
{
	struct session s;
	bool fine =
		begin(&s, u, ns, why) && make_index(&s, why) && insert_all(&s, documents, n, why);

	end(&s);
	return fine;
}
