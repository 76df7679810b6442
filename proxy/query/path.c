#include "query/path.h"

static bool is_index(struct bytes component)
{
	for (size_t i = 0; i < component.len; i++)
		if (component.at[i] < '0' || component.at[i] > '9')
			return false;
	return true;
}

/* "$", "$[]" or "$[identifier]". */
static bool is_positional(struct bytes component)
{
	if (bytes_equal_str(component, "$"))
		return true;
	return bytes_start_with(component, bytes_str("$[")) &&
	       component.at[component.len - 1] == ']';
}

bool path_next(struct bytes *path, struct bytes *component)
{
	const uint8_t *dot;

	if (!path->len)
		return false;
	dot = memchr(path->at, '.', path->len);
	*component = dot ? bytes_of(path->at, (size_t)(dot - path->at)) : *path;
	*path = dot ? bytes_from(*path, component->len + 1) : bytes_from(*path, path->len);
	return true;
}

static bool check_component(struct bytes component, struct bytes sent, struct fault *why)
{
	if (!component.len || memchr(component.at, 0, component.len))
		return fault_name(why, FAULT_PATH, sent);
	if (component.at[0] == '$' && !is_positional(component))
		return fault_name(why, FAULT_PATH, sent);
	return true;
}

bool path_normalise(struct arena *arena, struct bytes sent, struct bytes *path, struct fault *why)
{
	struct bytes left = sent, component;
	size_t n = 0, len = 0;
	uint8_t *copy = NULL;

	if (!sent.len || sent.at[sent.len - 1] == '.')
		return fault_name(why, FAULT_PATH, sent);
	while (path_next(&left, &component)) {
		bool first = n == 0;

		if (!check_component(component, sent, why))
			return false;
		if (++n > PATH_COMPONENTS_MAX || (first && component.at[0] == '$'))
			return fault_name(why, FAULT_PATH, sent);
		if (first || !(is_index(component) || is_positional(component))) {
			if (copy && len)
				copy[len++] = '.';
			if (copy)
				memcpy(copy + len, component.at, component.len);
			len = copy ? len + component.len
				   : (size_t)(component.at - sent.at) + component.len;
		} else if (!copy) {
			/* What came before this one stays as it is. */
			copy = arena_alloc(arena, sent.len);
			memcpy(copy, sent.at, len);
		}
	}
	*path = bytes_of(copy ? copy : sent.at, len);
	return true;
}

bool path_is_numbered(struct arena *arena, struct bytes sent, struct bytes *literal)
{
	struct bytes left = sent, component;
	uint8_t *copy;
	size_t len = 0;
	bool found = false;

	while (path_next(&left, &component))
		found |= component.at != sent.at && is_index(component);
	if (!found)
		return false;
	copy = arena_alloc(arena, sent.len);
	left = sent;
	while (path_next(&left, &component)) {
		if (is_positional(component))
			continue;
		if (len)
			copy[len++] = '.';
		memcpy(copy + len, component.at, component.len);
		len += component.len;
	}
	*literal = bytes_of(copy, len);
	return true;
}

bool path_is_reserved(struct bytes path)
{
	struct bytes first;

	return path_next(&path, &first) && bytes_equal_str(first, "__mw");
}

struct bytes path_join(struct arena *arena, struct bytes above, struct bytes below)
{
	uint8_t *whole;

	if (!above.len || !below.len)
		return above.len ? above : below;
	whole = arena_alloc(arena, above.len + 1 + below.len);
	memcpy(whole, above.at, above.len);
	whole[above.len] = '.';
	memcpy(whole + above.len + 1, below.at, below.len);
	return bytes_of(whole, above.len + 1 + below.len);
}

enum path_relation path_relation(struct bytes first, struct bytes second)
{
	if (bytes_equal(first, second))
		return PATH_SAME;
	if (!first.len || (bytes_start_with(second, first) && second.at[first.len] == '.'))
		return PATH_ABOVE;
	if (!second.len || (bytes_start_with(first, second) && first.at[second.len] == '.'))
		return PATH_BELOW;
	return PATH_DISJOINT;
}
