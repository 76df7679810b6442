#include "policy/loader.h"

#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "policy/folder.h"
#include "policy/seal.h"
#include "util/memory.h"

static struct policy *policy_new(void)
{
	struct policy *p = memory_new(sizeof(*p));

	arena_init(&p->arena);
	p->references = 1;
	return p;
}

struct policy *policy_ref(struct policy *p)
{
	__atomic_add_fetch(&p->references, 1, __ATOMIC_RELAXED);
	return p;
}

void policy_unref(struct policy *p)
{
	if (!p || __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL))
		return;
	map_fini(&p->collections_by_ns);
	map_fini(&p->views_by_ns);
	map_fini(&p->roles_by_name);
	for (size_t i = 0; i < p->ncollections; i++)
		words_fini(&p->collections[i].named);
	arena_fini(&p->arena);
	free(p);
}

static void check_file(struct loader *l, const struct yaml_node *root)
{
	const struct yaml_node *version = yaml_get(root, "mongoward");
	int64_t n;

	if (!load_is_mapping(l, root))
		return;
	load_check_keys(l, root, LANGUAGE_OBJECT_FILE);
	if (!version)
		complain(l->complaints, root->at, "begin the file with `mongoward: 1`",
			"the version of the language is missing");
	else if (!yaml_int(version, &n) || n != POLICY_VERSION)
		complain(l->complaints, version->at, "this build reads version 1",
			"unknown version of the language");
}

static void add_root(struct loader *l, const struct yaml_node *root)
{
	if (!root)
		return;
	check_file(l, root);
	if (root->kind != YAML_MAPPING)
		return;
	l->files = memory_resize(l->files, l->nfiles + 1, sizeof(*l->files));
	l->files[l->nfiles++] = root;
}

/* The sections build on each other, so that one with mistakes would only cause more. */
static void load_sections(struct loader *l)
{
	static void (*const sections[])(struct loader *) = {
		load_classes,
		load_collections,
		load_relations,
		load_views,
		load_roles,
		load_exclusive,
		load_tests,
		compile_hidden,
		compile_grants,
	};

	for (size_t i = 0; i < COUNT_OF(sections); i++)
		if (l->complaints->count == 0)
			sections[i](l);
}

static void index_names(struct policy *p);

static struct policy *finish(struct loader *l, crypto_generichash_state *hash)
{
	uint8_t digest[32];
	char hex[65];

	crypto_generichash_final(hash, digest, sizeof(digest));
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	snprintf(l->policy->hash, sizeof(l->policy->hash), "blake2b:%s", hex);
	load_sections(l);
	arena_fini(&l->scratch);
	free(l->files);
	if (l->complaints->count == 0) {
		index_names(l->policy);
		return l->policy;
	}
	policy_unref(l->policy);
	return NULL;
}

static void hash_file(crypto_generichash_state *hash, struct bytes name, struct bytes text)
{
	uint8_t lengths[16];

	store_u64(lengths, name.len);
	store_u64(lengths + 8, text.len);
	crypto_generichash_update(hash, lengths, sizeof(lengths));
	crypto_generichash_update(hash, name.at, name.len);
	crypto_generichash_update(hash, text.at, text.len);
}

/* What goes into one policy. */
struct gathering {
	struct loader *l;
	crypto_generichash_state *hash;
	const struct seal *seal; /* NULL: none is wanted */
};

static void gather(void *context, const char *path, struct bytes name, struct bytes text)
{
	struct gathering *g = context;
	struct loader *l = g->l;
	/* Places outlive the tree: tests and grants say where they stand. */
	const char *file = arena_text(&l->policy->arena, bytes_str(path));

	hash_file(g->hash, name, text);
	/* What is not sealed is not even looked at. */
	if (!g->seal || seal_holds(g->seal, file, name, text, l->complaints))
		add_root(l, yaml_parse(&l->scratch, file, text, l->complaints));
}

struct policy *policy_load_sealed(
	const char *folder, const struct seal *seal, struct complaints *complaints)
{
	struct loader l = {.policy = policy_new(), .complaints = complaints};
	crypto_generichash_state hash;
	struct gathering g = {.l = &l, .hash = &hash, .seal = seal};
	size_t files;

	arena_init(&l.scratch);
	crypto_generichash_init(&hash, NULL, 0, 32);
	files = policy_folder_read(folder, !seal, gather, &g, complaints);
	if (!files)
		complain(complaints, (struct place){.file = folder},
			"name a folder with policy files", "holds no *.yaml file");
	/* None stands twice, and none was there that the seal does not name. */
	else if (seal && files < seal_files(seal))
		complain(complaints, (struct place){.file = folder}, "seal it again",
			"%zu of the files that were sealed are missing", seal_files(seal) - files);
	return finish(&l, &hash);
}

struct policy *policy_load(const char *folder, struct complaints *complaints)
{
	return policy_load_sealed(folder, NULL, complaints);
}

struct policy *policy_load_text(const char *file, struct bytes text, struct complaints *complaints)
{
	struct loader l = {.policy = policy_new(), .complaints = complaints};
	crypto_generichash_state hash;

	arena_init(&l.scratch);
	crypto_generichash_init(&hash, NULL, 0, 32);
	hash_file(&hash, bytes_str(file), text);
	add_root(&l, yaml_parse(&l.scratch, arena_text(&l.policy->arena, bytes_str(file)), text,
			     complaints));
	return finish(&l, &hash);
}

/* Names are looked for one by one while the policy is being loaded, and by tables after. */
static void index_names(struct policy *p)
{
	map_init(&p->collections_by_ns);
	map_init(&p->views_by_ns);
	map_init(&p->roles_by_name);
	for (size_t i = 0; i < p->ncollections; i++)
		map_set(&p->collections_by_ns, p->collections[i].ns, &p->collections[i]);
	for (size_t i = 0; i < p->nviews; i++)
		map_set(&p->views_by_ns, p->views[i].ns, &p->views[i]);
	for (size_t i = 0; i < p->nroles; i++)
		map_set(&p->roles_by_name, p->roles[i].name, &p->roles[i]);
	p->indexed = true;
}

const struct collection *policy_collection(const struct policy *p, struct bytes ns)
{
	if (p->indexed)
		return map_get(&p->collections_by_ns, ns);
	for (size_t i = 0; i < p->ncollections; i++)
		if (bytes_equal(p->collections[i].ns, ns))
			return &p->collections[i];
	return NULL;
}

const struct virtual_view *policy_view(const struct policy *p, struct bytes ns)
{
	if (p->indexed)
		return map_get(&p->views_by_ns, ns);
	for (size_t i = 0; i < p->nviews; i++)
		if (bytes_equal(p->views[i].ns, ns))
			return &p->views[i];
	return NULL;
}

const struct role *policy_role(const struct policy *p, struct bytes name)
{
	if (p->indexed)
		return map_get(&p->roles_by_name, name);
	for (size_t i = 0; i < p->nroles; i++)
		if (bytes_equal(p->roles[i].name, name))
			return &p->roles[i];
	return NULL;
}
