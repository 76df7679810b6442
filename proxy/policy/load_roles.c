#include "policy/loader.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/civil.h"

static void load_actions(struct loader *l, const struct yaml_node *node, struct grant *g)
{
	if (!load_is_sequence(l, node))
		return;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *word = &node->children[i];
		int actions = ACTION_NONE;

		if (!load_is_text(l, word))
			continue;
		if (load_word(word, WORDS_ACTION, &actions))
			g->actions |= (uint32_t)actions;
		if (bytes_equal_str(word->text, "watch"))
			complain(l->complaints, word->at, "leave it out",
				"the action '%.*s' is not supported by this version",
				BYTES_ARG(word->text));
		else if (!actions)
			complain(l->complaints, word->at,
				"read, insert, update, delete, index, ddl, metadata, explain or "
				"all",
				"unknown action '%.*s'", BYTES_ARG(word->text));
	}
	if (!node->count)
		complain(l->complaints, node->at, "do: [read]", "the grant allows nothing");
}

static bool is_wildcard_namespace(struct bytes text, struct grant *g)
{
	if (bytes_equal_str(text, "*")) {
		g->db = g->collection = text;
		return true;
	}
	if (text.len > 2 && bytes_equal_str(bytes_from(text, text.len - 2), ".*")) {
		g->db = bytes_head(text, text.len - 2);
		g->collection = bytes_from(text, text.len - 1);
		return true;
	}
	return false;
}

static void load_grant_namespace(struct loader *l, const struct yaml_node *node, struct grant *g)
{
	struct bytes text;

	if (!load_is_text(l, node))
		return;
	text = load_copy(l, node->text);
	if (is_wildcard_namespace(text, g)) {
		if (is_system_db(g->db))
			complain(l->complaints, node->at, NULL, "a system database is nobody's");
		return;
	}
	load_namespace(l, node->at, text, &g->db, &g->collection);
}

static bool is_class_or_path(struct loader *l, const struct yaml_node *at, struct bytes text)
{
	struct bytes path;

	if (bytes_equal_str(text, "*"))
		return true;
	for (size_t i = 0; i < l->policy->nclasses; i++)
		if (bytes_equal(l->policy->classes[i], text))
			return true;
	for (size_t i = 0; i < l->policy->ncollections; i++)
		for (size_t k = 0; k < l->policy->collections[i].nfields; k++)
			if (bytes_equal(l->policy->collections[i].fields[k].path, text))
				return true;
	/* A path below a declared one is fine; a name without dots was meant as a class. */
	if (memchr(text.at, '.', text.len) || bytes_equal_str(text, "_id"))
		return load_path(l, at->at, text, &path);
	return complain(l->complaints, at->at, "a class, a path or \"*\"",
		"there is no class '%.*s'", BYTES_ARG(text));
}

static void load_sees(struct loader *l, const struct yaml_node *node, struct grant *g)
{
	const char *role = arena_text(&l->scratch, g->role);

	if (!load_is_mapping(l, node))
		return;
	g->sees = arena_array(&l->policy->arena, node->count, sizeof(*g->sees));
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *child = &node->children[i];
		struct see *see = &g->sees[g->nsees];

		see->at = child->key_at;
		see->of = load_copy(l, child->key);
		if (is_class_or_path(l, child, child->key) &&
			load_clearance(l, child, role, &see->clearance, &see->mask))
			g->nsees++;
	}
}

static void load_changes(struct loader *l, const struct yaml_node *node, struct grant *g)
{
	if (!load_is_sequence(l, node))
		return;
	g->changes = arena_array(&l->policy->arena, node->count, sizeof(*g->changes));
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *child = &node->children[i];

		if (!load_is_text(l, child) || !is_class_or_path(l, child, child->text))
			continue;
		g->changes[g->nchanges++] = (struct see){
			.of = load_copy(l, child->text),
			.clearance = CLEAR_PLAINTEXT,
			.at = child->at,
		};
	}
}

static void load_purposes(struct loader *l, const struct yaml_node *node, struct grant *g)
{
	if (!load_is_sequence(l, node))
		return;
	g->purposes = arena_array(&l->policy->arena, node->count, sizeof(*g->purposes));
	for (size_t i = 0; i < node->count; i++)
		if (load_is_text(l, &node->children[i]))
			g->purposes[g->npurposes++] = load_copy(l, node->children[i].text);
	if (!g->npurposes)
		complain(l->complaints, node->at, "purpose: [treatment]", "no purpose is named");
}

/* A view's shape says what is in it; a grant on it can only read. */
static void check_view_grant(struct loader *l, const struct yaml_node *node, const struct grant *g)
{
	const struct policy *p = l->policy;

	for (size_t i = 0; i < p->nviews; i++) {
		if (!bytes_equal(p->views[i].db, g->db) ||
			!bytes_equal(p->views[i].name, g->collection))
			continue;
		if (g->actions & ~(uint32_t)(ACTION_READ | ACTION_METADATA | ACTION_EXPLAIN))
			complain(l->complaints, node->at, "do: [read]", "a view can only be read");
		if (g->nsees || g->nchanges || g->rows.len)
			complain(l->complaints, node->at, "leave see, change and rows out",
				"a view says itself what it shows");
	}
}

void load_grant(struct loader *l, const struct yaml_node *node, const struct role *role,
	struct grant *g, const char *rule)
{
	const struct yaml_node *ns = yaml_get(node, "namespace"), *actions = yaml_get(node, "do");

	g->role = role->name;
	g->at = node->at;
	g->rule = bytes_str(rule);
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_GRANT))
		return;
	if (!ns || !actions) {
		complain(l->complaints, node->at, "{namespace: db.collection, do: [read], …}",
			"a grant needs namespace and do");
		return;
	}
	load_grant_namespace(l, ns, g);
	load_actions(l, actions, g);
	if (yaml_get(node, "rows"))
		load_rows(l, yaml_get(node, "rows"), &g->rows);
	if (doc_is_empty(g->rows))
		g->rows = bytes_of("", 0);
	if (yaml_get(node, "see"))
		load_sees(l, yaml_get(node, "see"), g);
	if (yaml_get(node, "change"))
		load_changes(l, yaml_get(node, "change"), g);
	if (yaml_get(node, "purpose"))
		load_purposes(l, yaml_get(node, "purpose"), g);
	load_mode(l, node, &g->observed);
	check_view_grant(l, node, g);
	if (yaml_get(node, "statistics"))
		load_statistics(l, yaml_get(node, "statistics"), g);
}

static void load_auth(struct loader *l, const struct yaml_node *node, struct role *role)
{
	role->auth_scram = role->auth_x509 = !node;
	if (!node || !load_is_sequence(l, node))
		return;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *word = &node->children[i];

		int method;

		if (!load_word(word, WORDS_AUTH, &method))
			complain(l->complaints, word->at, "scram or x509", "unknown way to log in");
		else if (method == AUTH_SCRAM)
			role->auth_scram = true;
		else
			role->auth_x509 = true;
	}
	if (!node->count)
		complain(l->complaints, node->at, "auth: [scram, x509]", "nobody could log in");
}

/* "2027-06-30": the role ends with that day, UTC. */
static void load_until(struct loader *l, const struct yaml_node *node, struct role *role)
{
	int64_t days;

	if (node->kind == YAML_SCALAR && civil_parse(node->text, &days))
		role->until_us = (days + 1) * 24 * 3600 * 1000000;
	else
		complain(l->complaints, node->at, "until: \"2027-06-30\"", "a date is expected");
}

/* The bits behind the slash; without one, all of them. */
static bool parse_bits(const char *slash, unsigned all, unsigned *bits)
{
	*bits = all;
	if (!slash)
		return true;
	if (!slash[1] || strlen(slash + 1) > 3 ||
		strspn(slash + 1, "0123456789") != strlen(slash + 1))
		return false;
	*bits = (unsigned)strtoul(slash + 1, NULL, 10);
	return *bits <= all;
}

static bool parse_network(const char *text, struct network *n)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET6, address, n->address) == 1)
		return parse_bits(slash, 128, &n->bits);
	if (inet_pton(AF_INET, address, &v4) != 1 || !parse_bits(slash, 32, &n->bits))
		return false;
	memset(n->address, 0, 10);
	n->address[10] = n->address[11] = 0xff;
	memcpy(n->address + 12, &v4, 4);
	n->bits += 96;
	return true;
}

static void load_networks(struct loader *l, const struct yaml_node *node, struct role *role)
{
	if (!load_is_sequence(l, node))
		return;
	role->networks = arena_array(&l->policy->arena, node->count, sizeof(*role->networks));
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *child = &node->children[i];

		if (child->kind == YAML_SCALAR && parse_network((const char *)child->text.at,
							  &role->networks[role->nnetworks]))
			role->nnetworks++;
		else
			complain(l->complaints, child->at, "10.0.0.0/16 or 2001:db8::/32",
				"a network is expected");
	}
	if (!node->count)
		complain(l->complaints, node->at, "leave it out for any", "no network is named");
}

static void load_limit(
	struct loader *l, const struct yaml_node *limits, const char *name, uint64_t *limit)
{
	const struct yaml_node *node = yaml_get(limits, name);
	int64_t n;

	if (node && load_int(l, node, 1, LANGUAGE_LIMIT_MAX, &n))
		*limit = (uint64_t)n;
}

static void load_limits(struct loader *l, const struct yaml_node *node, struct role *role)
{
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_LIMITS))
		return;
	load_limit(l, node, "documents_per_day", &role->limits.documents_per_day);
	load_limit(l, node, "commands_per_minute", &role->limits.commands_per_minute);
	if (!node->count)
		complain(l->complaints, node->at, "limits: {documents_per_day: 20000}",
			"no limit is named");
	l->policy->any_limits = true;
}

static void load_grants(struct loader *l, const struct yaml_node *grants, struct role *role)
{
	struct policy *p = l->policy;

	if (!load_is_sequence(l, grants))
		return;
	if (grants->count > POLICY_GRANTS_MAX) {
		complain(l->complaints, grants->at, NULL, "over %d grants", POLICY_GRANTS_MAX);
		return;
	}
	role->grants = arena_array(&p->arena, grants->count, sizeof(*role->grants));
	role->observed = arena_array(&p->arena, grants->count, sizeof(*role->observed));
	for (size_t i = 0; i < grants->count; i++) {
		struct grant g = {.observed = role->tried};

		load_grant(l, &grants->children[i], role, &g,
			arena_format(
				&p->arena, "roles.%.*s.grants[%zu]", BYTES_ARG(role->name), i));
		/* Nothing that looks for what a role gives finds them. */
		if (g.observed)
			role->observed[role->nobserved++] = g;
		else
			role->grants[role->ngrants++] = g;
	}
	p->any_observed |= role->nobserved != 0;
}

/* What would be neither enforced nor observed. */
static void check_tried(struct loader *l, const struct yaml_node *node)
{
	static const char *const keys[] = {"limits", "break_glass", "care"};

	for (size_t i = 0; i < COUNT_OF(keys); i++)
		if (yaml_get(node, keys[i]))
			complain(l->complaints, yaml_get(node, keys[i])->at, "leave it out",
				"%s of a role cannot be observed", keys[i]);
}

static void load_role(struct loader *l, const struct yaml_node *node)
{
	struct policy *p = l->policy;
	struct role *role = &p->roles[p->nroles];

	role->name = load_copy(l, node->key);
	role->at = node->key_at;
	if (policy_role(p, role->name))
		complain(l->complaints, role->at, "keep one of them", "the role stands twice");
	if (!load_is_mapping(l, node) || !load_check_keys(l, node, LANGUAGE_OBJECT_ROLE))
		return;
	load_auth(l, yaml_get(node, "auth"), role);
	if (yaml_get(node, "until"))
		load_until(l, yaml_get(node, "until"), role);
	if (yaml_get(node, "networks"))
		load_networks(l, yaml_get(node, "networks"), role);
	if (yaml_get(node, "limits"))
		load_limits(l, yaml_get(node, "limits"), role);
	p->nroles++;
	load_mode(l, node, &role->tried);
	if (role->tried)
		check_tried(l, node);
	if (yaml_get(node, "care"))
		(void)load_bool(l, yaml_get(node, "care"), &role->care);
	if (yaml_get(node, "grants"))
		load_grants(l, yaml_get(node, "grants"), role);
	if (yaml_get(node, "break_glass"))
		load_break_glass(l, yaml_get(node, "break_glass"), role);
	load_print(node, role->print);
}

void load_roles(struct loader *l)
{
	struct policy *p = l->policy;
	size_t n = 0;

	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "roles");

		n += list && load_is_mapping(l, list) ? list->count : 0;
	}
	if (n > POLICY_ROLES_MAX) {
		complain(l->complaints, l->files[0]->at, NULL, "over %d roles", POLICY_ROLES_MAX);
		return;
	}
	p->roles = arena_array(&p->arena, n, sizeof(*p->roles));
	for (size_t f = 0; f < l->nfiles; f++) {
		const struct yaml_node *list = yaml_get(l->files[f], "roles");

		for (size_t i = 0; list && list->kind == YAML_MAPPING && i < list->count; i++)
			load_role(l, &list->children[i]);
	}
}
