#include "cli/explain_parts.h"
#include "cli/policy_diff_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/civil.h"
#include "util/json_writer.h"
#include "util/memory.h"

#define INDENT    9
#define OUT_MAX   (256u << 20)
#define USERS_MAX 5u /* that are named */

static const char *const headings[CHANGE_KINDS] = {
	[CHANGE_REFUSED] = "refused now",
	[CHANGE_ALLOWED] = "allowed now",
	[CHANGE_SHOWN] = "answered with other fields or rows",
	[CHANGE_NONE] = "unchanged",
	[CHANGE_UNDECIDED] = "not decidable from the record",
};
static const char *const kinds[CHANGE_KINDS] = {
	[CHANGE_REFUSED] = "refused",
	[CHANGE_ALLOWED] = "allowed",
	[CHANGE_SHOWN] = "shown",
	[CHANGE_NONE] = "unchanged",
	[CHANGE_UNDECIDED] = "undecided",
};

static int by_requests(const void *a, const void *b)
{
	const struct change *x = *(struct change *const *)a, *y = *(struct change *const *)b;

	if (x->requests != y->requests)
		return x->requests > y->requests ? -1 : 1;
	return bytes_compare(x->request.ns, y->request.ns);
}

/* Those of a kind, the most frequent first; freed by the caller. */
static struct change **changes_of(const struct difference *d, enum change_kind kind, size_t *count)
{
	struct change **list = memory_array(d->changes.count + 1, sizeof(struct change *));
	const struct map_entry *e;

	*count = 0;
	for (size_t i = 0; (e = map_next(&d->changes, &i));) {
		struct change *c = e->value;

		if (c->kind == kind)
			list[(*count)++] = c;
	}
	qsort(list, *count, sizeof(struct change *), by_requests);
	return list;
}

static size_t users_of(const struct difference *d, enum change_kind kind)
{
	const struct map_entry *e, *u;
	struct map all;
	size_t n;

	map_init(&all);
	for (size_t i = 0; (e = map_next(&d->changes, &i));) {
		const struct change *c = e->value;

		for (size_t k = 0; c->kind == kind && (u = map_next(&c->users, &k));)
			(void)map_set(&all, u->key, u->value);
	}
	n = all.count;
	map_fini(&all);
	return n;
}

static void print_date(int64_t time_us)
{
	int64_t year;
	unsigned month, day;

	civil_date(civil_floor_div(time_us, 86400LL * 1000000), &year, &month, &day);
	printf("%04lld-%02u-%02u", (long long)year, month, day);
}

static void print_wrapped(const char *text)
{
	printf("%*s", INDENT, "");
	explain_wrapped(INDENT, text);
}

static void print_rule(const char *label, const struct verdict *v)
{
	if (!v->rule.len)
		printf("%*s%s  no grant\n", INDENT, "", label);
	else
		printf("%*s%s  %.*s (%s:%u)\n", INDENT, "", label, BYTES_ARG(v->rule), v->at.file,
			v->at.line);
}

/* Of two lists of lines, in the same order, those that differ. */
static void each_other_line(const char *before, const char *after,
	void (*visit)(void *context, const char *was, const char *is), void *context)
{
	char *a = memory_text(bytes_str(before)), *b = memory_text(bytes_str(after));
	char *at = a, *bt = b;

	while (*at || *bt) {
		char *aend = strchr(at, '\n'), *bend = strchr(bt, '\n');

		if (aend)
			*aend = '\0';
		if (bend)
			*bend = '\0';
		if (strcmp(at, bt) != 0)
			visit(context, at, bt);
		at = aend ? aend + 1 : at + strlen(at);
		bt = bend ? bend + 1 : bt + strlen(bt);
	}
	free(a);
	free(b);
}

static void print_other_line(void *context, const char *was, const char *is)
{
	const char *colon = strstr(is, ": ");

	(void)context;
	/* The same path, or none on one side. */
	if (colon && strncmp(was, is, (size_t)(colon - is) + 2) == 0)
		printf("%*s%s, was %s\n", INDENT, "", is, was + (colon - is) + 2);
	else
		printf("%*s%s, was %s\n", INDENT, "", *is ? is : "all rows",
			*was ? was : "all rows");
}

static void print_users(const struct change *c)
{
	const struct map_entry *u;
	size_t n = 0;

	printf("%*s", INDENT, "");
	for (size_t i = 0; n < USERS_MAX && (u = map_next(&c->users, &i)); n++)
		printf("%s%.*s", n ? ", " : "by ", BYTES_ARG(u->key));
	if (c->users.count > n)
		printf(" and %zu more", c->users.count - n);
	putchar('\n');
}

static void print_change(const struct change *c)
{
	printf("%8llu %.*s on %.*s\n", (unsigned long long)c->requests,
		BYTES_ARG(c->request.command), BYTES_ARG(c->request.ns));
	print_users(c);
	if (c->kind == CHANGE_UNDECIDED)
		return;
	print_rule("old", &c->before);
	print_rule("new", &c->after);
	if (c->kind == CHANGE_REFUSED)
		print_wrapped(c->after.error);
	if (c->kind == CHANGE_ALLOWED)
		print_wrapped(c->before.error);
	if (c->kind == CHANGE_SHOWN)
		each_other_line(c->before.sees, c->after.sees, print_other_line, NULL);
}

static void print_kind(const struct difference *d, enum change_kind kind)
{
	uint64_t requests = difference_requests(d, kind);
	struct change **list;
	size_t n;

	if (!requests)
		return;
	printf("\n%s: %llu requests of %zu users\n", headings[kind], (unsigned long long)requests,
		users_of(d, kind));
	if (kind == CHANGE_NONE)
		return;
	list = changes_of(d, kind, &n);
	for (size_t i = 0; i < n; i++)
		print_change(list[i]);
	free(list);
}

static void print_text(const struct difference *d, const char *const folders[2])
{
	printf("old  %s  %.24s…\nnew  %s  %.24s…\n", folders[0], d->policies[0]->hash, folders[1],
		d->policies[1]->hash);
	printf("log  %llu requests of %zu users", (unsigned long long)d->requests,
		d->everybody.count);
	if (d->requests) {
		printf(", ");
		print_date(d->first_us);
		printf(" to ");
		print_date(d->last_us);
	}
	putchar('\n');
	if (d->other_policy)
		printf("     %llu of them were decided under another policy than old\n",
			(unsigned long long)d->other_policy);
	if (d->skipped)
		printf("     %llu batches of cursors are not counted\n",
			(unsigned long long)d->skipped);
	for (size_t kind = 0; kind < CHANGE_KINDS; kind++)
		print_kind(d, (enum change_kind)kind);
}

/* ---------------------------------------------------------------------- JSON */

static void put_verdict(struct json_writer *w, const char *key, const struct verdict *v)
{
	json_key(w, key);
	json_begin_object(w);
	json_put_flag(w, "allowed", v->allowed);
	json_put_text(w, "rule", v->rule);
	if (v->at.file) {
		json_put_word(w, "file", v->at.file);
		json_put_number(w, "line", v->at.line);
	}
	if (v->error)
		json_put_word(w, "error", v->error);
	json_end(w);
}

static void put_other_line(void *context, const char *was, const char *is)
{
	struct json_writer *w = context;

	json_begin_object(w);
	json_put_word(w, "was", was);
	json_put_word(w, "is", is);
	json_end(w);
}

static void put_change(struct json_writer *w, const struct change *c)
{
	const struct map_entry *u;

	json_begin_object(w);
	json_put_word(w, "kind", kinds[c->kind]);
	json_put_text(w, "command", c->request.command);
	json_put_text(w, "ns", c->request.ns);
	json_put_number(w, "requests", (int64_t)c->requests);
	json_key(w, "users");
	json_begin_array(w);
	for (size_t i = 0; (u = map_next(&c->users, &i));)
		json_text(w, u->key);
	json_end(w);
	if (c->kind != CHANGE_UNDECIDED) {
		put_verdict(w, "old", &c->before);
		put_verdict(w, "new", &c->after);
	}
	if (c->kind == CHANGE_SHOWN) {
		json_key(w, "shows");
		json_begin_array(w);
		each_other_line(c->before.sees, c->after.sees, put_other_line, w);
		json_end(w);
	}
	json_end(w);
}

static void print_json(const struct difference *d)
{
	struct buf out;
	struct json_writer w = {.out = &out};
	struct change **list;
	size_t n;

	buf_init(&out, OUT_MAX);
	json_begin_object(&w);
	json_put_word(&w, "old", d->policies[0]->hash);
	json_put_word(&w, "new", d->policies[1]->hash);
	json_put_number(&w, "requests", (int64_t)d->requests);
	json_put_number(&w, "users", (int64_t)d->everybody.count);
	json_put_number(&w, "of_another_policy", (int64_t)d->other_policy);
	json_put_number(&w, "cursor_batches", (int64_t)d->skipped);
	for (size_t kind = 0; kind < CHANGE_KINDS; kind++)
		json_put_number(
			&w, kinds[kind], (int64_t)difference_requests(d, (enum change_kind)kind));
	json_key(&w, "changes");
	json_begin_array(&w);
	for (size_t kind = 0; kind < CHANGE_KINDS; kind++) {
		if (kind == CHANGE_NONE)
			continue;
		list = changes_of(d, (enum change_kind)kind, &n);
		for (size_t i = 0; i < n; i++)
			put_change(&w, list[i]);
		free(list);
	}
	json_end(&w);
	json_end(&w);
	printf("%.*s\n", BYTES_ARG(buf_bytes(&out)));
	buf_fini(&out);
}

void print_difference(struct difference *d, const char *const folders[2], bool json)
{
	if (json)
		print_json(d);
	else
		print_text(d, folders);
}
