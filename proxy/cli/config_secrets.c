#include "cli/config_inside.h"

#include <errno.h>

#include "cli/secret_env.h"
#include "util/file.h"

/* The first line of a file. */
static bool read_secret_file(
	struct loading *l, const char *path, const char *option, struct buf *out)
{
	const char *why = NULL;
	const uint8_t *end;

	if (!file_read_secret(path, out, &why))
		return complain(l->complaints, config_place_of(l, option), NULL, "%s: %s", path,
			why ? why : strerror(errno));
	end = out->len ? memchr(out->at, '\n', out->len) : NULL;
	if (end)
		out->len = (size_t)(end - out->at);
	while (out->len && out->at[out->len - 1] == '\r')
		out->len--;
	if (!out->len || memchr(out->at, 0, out->len))
		return complain(
			l->complaints, config_place_of(l, option), NULL, "%s: holds no text", path);
	buf_put_u8(out, 0);
	return true;
}

void config_read_password(struct loading *l)
{
	struct config *c = l->config;

	if (c->password_env && c->password_file) {
		complain(l->complaints, config_place_of(l, "upstream.password_env"),
			"keep one of them", "password_env and password_file exclude each other");
	} else if (c->password_file) {
		if (read_secret_file(l, c->password_file, "upstream.password_file", &c->secret))
			c->upstream.password = (const char *)c->secret.at;
	} else if (c->password_env) {
		c->upstream.password = secret_env(c->password_env);
		if (!c->upstream.password)
			complain(l->complaints, config_place_of(l, "upstream.password_env"), NULL,
				"the variable '%s' is not set, or too long", c->password_env);
	}
}

/* Never said back: it may be the password. */
static void refuse_password(struct loading *l)
{
	const char *uri = l->config->upstream.uri;
	const char *user = uri ? strstr(uri, "://") : NULL;
	const char *at, *colon;

	if (!user)
		return;
	user += strlen("://");
	at = memrchr(user, '@', strcspn(user, "/?"));
	colon = strchr(user, ':');
	if (at && colon && colon < at)
		complain(l->complaints, config_place_of(l, "upstream.uri"),
			"take it out, and name password_file or password_env",
			"a password stands in the URI");
}

void config_read_uri(struct loading *l)
{
	struct config *c = l->config;
	int given = (c->uri != NULL) + (c->uri_env != NULL) + (c->uri_file != NULL);
	struct buf text;

	if (given != 1) {
		complain(l->complaints, config_place_of(l, "upstream.uri"),
			"upstream: {uri: mongodb+srv://…}",
			given ? "uri, uri_env and uri_file exclude each other"
			      : "'upstream.uri' is missing");
		return;
	}
	c->upstream.uri = c->uri;
	if (c->uri_env) {
		c->upstream.uri = secret_env(c->uri_env);
		if (!c->upstream.uri)
			complain(l->complaints, config_place_of(l, "upstream.uri_env"), NULL,
				"the variable '%s' is not set, or too long", c->uri_env);
	} else if (c->uri_file) {
		buf_init(&text, SECRET_MAX);
		if (read_secret_file(l, c->uri_file, "upstream.uri_file", &text))
			c->upstream.uri = arena_text(&c->arena, bytes_of(text.at, text.len - 1));
		buf_wipe(&text);
	}
	refuse_password(l);
}
