#include "cli/reviews.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit/glass_log.h"
#include "auth/users_file.h"
#include "util/file.h"
#include "util/json.h"
#include "util/yaml.h"

#define HEAD "# Reviews of break-glass, added by `mongoward audit review`.\nreviews:\n"

static bool is_text(const struct yaml_node *node, size_t max)
{
	return node && node->kind == YAML_SCALAR && !user_text_wrong(node->text, max);
}

static bool read_entry(
	const struct yaml_node *node, review_fn *each, void *context, struct complaints *complaints)
{
	const struct yaml_node *id = yaml_get(node, "request"), *by = yaml_get(node, "by");
	struct review_entry entry;

	if (node->kind != YAML_MAPPING || node->count != 2 || !is_text(id, GLASS_ID_MAX) ||
		!is_text(by, USER_NAME_MAX))
		return complain(complaints, node->at, "{request: …, by: …}",
			"a request and who reviewed it are expected");
	entry = (struct review_entry){.id = id->text, .by = by->text};
	each(context, &entry);
	return true;
}

static bool read_entries(
	const struct yaml_node *root, review_fn *each, void *context, struct complaints *complaints)
{
	const struct yaml_node *list = yaml_get(root, "reviews");
	bool fine = true;

	if (root->kind != YAML_MAPPING || root->count != 1 || !list || list->kind != YAML_SEQUENCE)
		return complain(complaints, root->at, "reviews: [{request: …, by: …}]",
			"a list of reviews is expected");
	for (size_t i = 0; i < list->count; i++)
		fine &= read_entry(&list->children[i], each, context, complaints);
	return fine;
}

static bool read_file(const char *file, struct buf *text, struct complaints *complaints)
{
	return (access(file, F_OK) < 0 && errno == ENOENT) ||
	       users_read_file(file, text, complaints);
}

static bool parse(const char *file, struct bytes text, review_fn *each, void *context,
	struct complaints *complaints)
{
	const struct yaml_node *root;
	struct arena tree;
	bool fine;

	if (!text.len)
		return true;
	arena_init(&tree);
	root = yaml_parse(&tree, file, text, complaints);
	fine = root && read_entries(root, each, context, complaints);
	arena_fini(&tree);
	return fine;
}

bool reviews_read(const char *file, review_fn *each, void *context, struct complaints *complaints)
{
	struct buf text;
	bool fine;

	buf_init(&text, YAML_FILE_MAX);
	fine = read_file(file, &text, complaints) &&
	       parse(file, buf_bytes(&text), each, context, complaints);
	buf_fini(&text);
	return fine;
}

static void ignore(void *context, const struct review_entry *entry)
{
	(void)context;
	(void)entry;
}

bool reviews_add(const char *file, const char *const *ids, size_t n, const char *by,
	struct complaints *complaints)
{
	struct buf text;
	bool fine;

	buf_init(&text, YAML_FILE_MAX);
	fine = read_file(file, &text, complaints) &&
	       parse(file, buf_bytes(&text), ignore, NULL, complaints);
	if (!text.len)
		buf_put_str(&text, HEAD);
	else if (text.at[text.len - 1] != '\n')
		buf_put_u8(&text, '\n');
	for (size_t i = 0; fine && i < n; i++) {
		/* Of YAML a JSON string is one. */
		buf_put_str(&text, "  - {request: ");
		json_put_string(&text, bytes_str(ids[i]));
		buf_put_str(&text, ", by: ");
		json_put_string(&text, bytes_str(by));
		buf_put_str(&text, "}\n");
	}
	if (fine && (text.failed || !file_replace(file, buf_bytes(&text), 0600)))
		fine = complain(complaints, (struct place){.file = file}, NULL,
			"cannot be written: %s", text.failed ? "it is too large" : strerror(errno));
	buf_fini(&text);
	return fine;
}
