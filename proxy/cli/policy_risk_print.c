#include <stdio.h>

#include "cli/policy_risk.h"
#include "util/json.h"
#include "util/utf8.h"

#define WIDTH        80u
#define NUMBER_MAX   32u
#define SHARE_MAX    16u
#define NAME_MAX_LEN 512u
#define NAME_WIDTH   38u
#define BY_COLUMN    24u

/* ----------------------------------------------------------------------- values */

/* "54,966" */
static const char *number(uint64_t n, char out[NUMBER_MAX])
{
	char digits[NUMBER_MAX];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	size_t at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

/* "82.1 %"; neither nothing nor all unless it is. */
static const char *share(uint64_t part, uint64_t whole, char out[SHARE_MAX])
{
	double percent = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part && percent < 0.05)
		snprintf(out, SHARE_MAX, "<0.1 %%");
	else if (part < whole && percent >= 99.95)
		snprintf(out, SHARE_MAX, ">99.9 %%");
	else
		snprintf(out, SHARE_MAX, "%.1f %%", percent);
	return out;
}

static const char *name_of(struct bytes path, char out[NAME_MAX_LEN])
{
	(void)utf8_printable(path, out, NAME_MAX_LEN);
	return out;
}

/* ----------------------------------------------------------------------- layout */

/* A list that goes on in the same column of the next line. */
struct wrapped {
	struct buf *out;
	size_t indent, column;
	bool any;
};

static void put_item(struct wrapped *w, const char *between, const char *item)
{
	size_t len = strlen(item) + (w->any ? strlen(between) : 0);

	if (w->any) {
		buf_put_str(w->out, between);
		w->column += strlen(between);
	}
	if (w->any && w->column + len + 1 > WIDTH) {
		/* The blank that ends `between` would stand at the line's end. */
		if (w->out->len && w->out->at[w->out->len - 1] == ' ')
			w->out->len--;
		buf_put_format(w->out, "\n%*s", (int)w->indent, "");
		w->column = w->indent;
	}
	buf_put_str(w->out, item);
	w->column += strlen(item);
	w->any = true;
}

static void put_paths(struct buf *out, const char *title, const struct risk_paths *list)
{
	struct wrapped w = {.out = out, .indent = 2, .column = strlen(title) + 2};
	char name[NAME_MAX_LEN];

	buf_put_format(out, "%s: ", title);
	for (size_t i = 0; i < list->count; i++)
		put_item(&w, ", ", name_of(list->at[i], name));
	buf_put_str(out, list->count ? "\n" : "none\n");
}

/* A name in a column of its own, or on a line of its own where it is longer. */
static void put_name(struct buf *out, struct bytes path)
{
	char name[NAME_MAX_LEN];

	name_of(path, name);
	if (strlen(name) <= NAME_WIDTH)
		buf_put_format(out, "%-*s", (int)NAME_WIDTH, name);
	else
		buf_put_format(out, "%s\n%*s", name, (int)NAME_WIDTH, "");
}

/* ------------------------------------------------------------------------- text */

static void put_size(const struct risk_bucket *b, char out[NUMBER_MAX])
{
	if (b->high == UINT64_MAX)
		snprintf(out, NUMBER_MAX, "%llu and more", (unsigned long long)b->low);
	else if (b->low == b->high)
		snprintf(out, NUMBER_MAX, "%llu", (unsigned long long)b->low);
	else
		snprintf(out, NUMBER_MAX, "%llu to %llu", (unsigned long long)b->low,
			(unsigned long long)b->high);
}

static void put_sizes(struct buf *out, const struct risk_result *r)
{
	char size[NUMBER_MAX], classes[NUMBER_MAX], rows[NUMBER_MAX], part[SHARE_MAX];

	buf_put_format(
		out, "\n%-20s %12s %14s %9s\n", "patients in a class", "classes", "rows", "share");
	for (size_t i = 0; i < RISK_BUCKETS; i++) {
		const struct risk_bucket *b = &r->buckets[i];

		put_size(b, size);
		buf_put_format(out, "%-20s %12s %14s %9s\n", size, number(b->classes, classes),
			number(b->rows, rows), share(b->rows, r->rows, part));
	}
}

static void put_smallest(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;
	char two[SHARE_MAX], five[SHARE_MAX], eleven[SHARE_MAX], item[64], n[NUMBER_MAX];
	struct wrapped w = {.out = out, .indent = 2};

	buf_put_format(out, "\nrows in classes of under 2: %s, under 5: %s, under 11: %s\n",
		share(r->rows_under_2, r->rows, two), share(r->rows_under_5, r->rows, five),
		share(r->rows_under_11, r->rows, eleven));
	if (!r->nsmallest)
		return;
	w.column = (size_t)snprintf(item, sizeof(item),
		"k = %llu; smallest classes: ", (unsigned long long)r->smallest[0].size);
	buf_put_str(out, item);
	for (size_t i = 0; i < r->nsmallest; i++) {
		snprintf(item, sizeof(item), "%s of %llu", number(r->smallest[i].classes, n),
			(unsigned long long)r->smallest[i].size);
		put_item(&w, ", ", item);
	}
	buf_put_u8(out, '\n');
	if (report->min_k)
		buf_put_format(out, "--min-k %llu is %s\n", (unsigned long long)report->min_k,
			report->met ? "met" : "NOT met");
}

static void put_combinations(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;
	char rows[NUMBER_MAX], part[SHARE_MAX], name[NAME_MAX_LEN];

	buf_put_format(out, "\n%12s %9s  %s\n", "rows alone", "share",
		r->searched_all ? "by (the worst of each number of fields)"
				: "by (fields added one by one)");
	for (size_t i = 0; i < r->ncombinations; i++) {
		const struct risk_combination *c = &r->combinations[i];
		struct wrapped w = {.out = out, .indent = BY_COLUMN, .column = BY_COLUMN};

		/* What is alone already is no more so by another field. */
		if (i && i + 1 < r->ncombinations && r->combinations[i - 1].rows_alone == r->rows)
			continue;
		buf_put_format(out, "%12s %9s  ", number(c->rows_alone, rows),
			share(c->rows_alone, r->rows, part));
		for (size_t k = 0; k < c->nfields; k++)
			put_item(&w, " + ", name_of(report->quasi->at[c->fields[k]], name));
		buf_put_u8(out, '\n');
	}
}

static void put_diversity(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;

	if (!report->sensitive->count || !r->rows)
		return;
	buf_put_format(out, "\n%-*s %7s %15s %15s\n", (int)NAME_WIDTH, "values in a class", "least",
		"rows: one value", "one or two");
	for (size_t i = 0; i < report->sensitive->count; i++) {
		const struct risk_diversity *d = &r->diversity[i];
		char least[NUMBER_MAX], one[SHARE_MAX], few[SHARE_MAX];

		put_name(out, report->sensitive->at[i]);
		buf_put_format(out, " %7s %15s %15s\n", number(d->least, least),
			share(d->rows_one, r->rows, one), share(d->rows_few, r->rows, few));
	}
}

static void put_sealed(struct buf *out, const struct risk_result *r)
{
	if (!r->nsealed)
		return;
	buf_put_format(out, "\n%-*s %10s %9s %8s %9s\n", (int)NAME_WIDTH,
		"ciphertext: documents that look alike", "values", "most", "alone", "plain");
	for (size_t i = 0; i < r->nsealed; i++) {
		const struct risk_sealed *s = &r->sealed[i];
		char values[NUMBER_MAX], most[NUMBER_MAX], alone[SHARE_MAX], plain[NUMBER_MAX];

		put_name(out, s->path);
		buf_put_format(out, " %10s %9s %8s %9s\n", number(s->values, values),
			number(s->most, most), share(s->alone, s->documents, alone),
			number(s->plain, plain));
	}
}

static void put_shared(struct buf *out, const struct risk_result *r)
{
	char patients[NUMBER_MAX], documents[NUMBER_MAX], differ[NUMBER_MAX];

	if (!r->shared_patients)
		return;
	buf_put_format(out, "\n%s patients have several documents (%s in all)",
		number(r->shared_patients, patients), number(r->shared_documents, documents));
	if (r->shared_differ)
		buf_put_format(out,
			".\nThose of %s differ in other parts of the subject: several people "
			"under one?",
			number(r->shared_differ, differ));
	buf_put_u8(out, '\n');
}

void risk_put_text(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;
	char name[NAME_MAX_LEN], rows[NUMBER_MAX], patients[NUMBER_MAX];

	buf_put_format(out, "%s%s\n%s rows of %s patients\n", name_of(report->of, name),
		report->stored ? ", as it is stored" : "", number(r->rows, rows),
		number(r->patients, patients));
	if (r->left_out)
		buf_put_format(
			out, "%s rows are left out by min_group\n", number(r->left_out, rows));
	put_paths(out, "quasi-identifiers", report->quasi);
	put_paths(out, "sensitive", report->sensitive);
	put_sizes(out, r);
	put_smallest(out, report);
	put_combinations(out, report);
	put_diversity(out, report);
	put_sealed(out, r);
	put_shared(out, r);
}

/* ------------------------------------------------------------------------- JSON */

static void put_key(struct buf *out, const char *name, uint64_t value)
{
	buf_put_format(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void put_json_sizes(struct buf *out, const struct risk_result *r)
{
	buf_put_str(out, ",\"sizes\":[");
	for (size_t i = 0; i < RISK_BUCKETS; i++) {
		const struct risk_bucket *b = &r->buckets[i];

		buf_put_format(out, "%s{\"from\":%llu", i ? "," : "", (unsigned long long)b->low);
		if (b->high != UINT64_MAX)
			put_key(out, "to", b->high);
		put_key(out, "classes", b->classes);
		put_key(out, "rows", b->rows);
		buf_put_u8(out, '}');
	}
	buf_put_str(out, "],\"smallest\":[");
	for (size_t i = 0; i < r->nsmallest; i++)
		buf_put_format(out, "%s{\"size\":%llu,\"classes\":%llu}", i ? "," : "",
			(unsigned long long)r->smallest[i].size,
			(unsigned long long)r->smallest[i].classes);
	buf_put_format(out, "],\"rows_under\":{\"2\":%llu,\"5\":%llu,\"11\":%llu}",
		(unsigned long long)r->rows_under_2, (unsigned long long)r->rows_under_5,
		(unsigned long long)r->rows_under_11);
}

static void put_json_combinations(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;

	buf_put_str(out, ",\"combinations\":[");
	for (size_t i = 0; i < r->ncombinations; i++) {
		const struct risk_combination *c = &r->combinations[i];

		buf_put_str(out, i ? ",{\"fields\":[" : "{\"fields\":[");
		for (size_t k = 0; k < c->nfields; k++) {
			buf_put_str(out, k ? "," : "");
			json_put_string(out, report->quasi->at[c->fields[k]]);
		}
		buf_put_u8(out, ']');
		put_key(out, "rows_alone", c->rows_alone);
		put_key(out, "groups", c->groups);
		buf_put_u8(out, '}');
	}
	buf_put_format(out, "],\"searched_all\":%s", r->searched_all ? "true" : "false");
}

static void put_json_fields(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;

	buf_put_str(out, ",\"quasi\":[");
	for (size_t i = 0; i < report->quasi->count; i++) {
		buf_put_str(out, i ? "," : "");
		json_put_string(out, report->quasi->at[i]);
	}
	buf_put_str(out, "],\"sensitive\":[");
	for (size_t i = 0; i < report->sensitive->count; i++) {
		buf_put_str(out, i ? ",{\"field\":" : "{\"field\":");
		json_put_string(out, report->sensitive->at[i]);
		put_key(out, "least", r->diversity[i].least);
		put_key(out, "rows_one_value", r->diversity[i].rows_one);
		put_key(out, "rows_one_or_two", r->diversity[i].rows_few);
		buf_put_u8(out, '}');
	}
	buf_put_str(out, "],\"ciphertext\":[");
	for (size_t i = 0; i < r->nsealed; i++) {
		const struct risk_sealed *s = &r->sealed[i];

		buf_put_str(out, i ? ",{\"field\":" : "{\"field\":");
		json_put_string(out, s->path);
		buf_put_format(out, ",\"algorithm\":\"%s\"",
			s->deterministic ? "deterministic" : "random");
		put_key(out, "values", s->values);
		put_key(out, "most", s->most);
		put_key(out, "alone", s->alone);
		put_key(out, "documents", s->documents);
		put_key(out, "plain", s->plain);
		buf_put_u8(out, '}');
	}
	buf_put_u8(out, ']');
}

void risk_put_json(struct buf *out, const struct risk_report *report)
{
	const struct risk_result *r = report->result;

	buf_put_str(out, "{\"of\":");
	json_put_string(out, report->of);
	buf_put_format(out, ",\"as\":\"%s\"", report->stored ? "upstream" : "view");
	put_key(out, "rows", r->rows);
	put_key(out, "patients", r->patients);
	put_key(out, "left_out", r->left_out);
	put_key(out, "classes", r->classes);
	put_key(out, "k", r->nsmallest ? r->smallest[0].size : 0);
	put_json_sizes(out, r);
	put_json_combinations(out, report);
	put_json_fields(out, report);
	buf_put_str(out, ",\"shared\":{\"patients\":");
	buf_put_format(out, "%llu", (unsigned long long)r->shared_patients);
	put_key(out, "documents", r->shared_documents);
	put_key(out, "differ", r->shared_differ);
	buf_put_u8(out, '}');
	if (report->min_k)
		buf_put_format(out, ",\"min_k\":%llu,\"met\":%s", (unsigned long long)report->min_k,
			report->met ? "true" : "false");
	buf_put_str(out, "}\n");
}
