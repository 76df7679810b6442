/* pages.h - what the admin listener says. */
#ifndef PROXY_ADMIN_PAGES_H
#define PROXY_ADMIN_PAGES_H

#include "admin/admin.h"
#include "util/buf.h"

#define PAGE_MAX (256u * 1024)

struct page_facts {
	const struct admin_parts *parts;
	bool draining;
	int64_t started_us, reloaded_us, refused_us; /* 0: never */
	uint64_t reloads, reloads_refused;
};

/* "ready", or a line for each reason why not. */
bool page_ready(const struct page_facts *f, struct buf *out);
void page_metrics(const struct page_facts *f, struct buf *out);
void page_status(const struct page_facts *f, struct buf *out);

#endif
