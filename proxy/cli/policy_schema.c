#include "cli/policy_schema.h"

#include <stdio.h>

#include "cli/args.h"
#include "policy/schema.h"

#define SCHEMA_MAX (1u << 20)

int cli_policy_schema(int argc, char **argv)
{
	bool one_line = false;
	const struct arg args[] = {{.name = "--json", .flag = &one_line}};
	enum args_end end = args_parse("policy", argc, argv, args, COUNT_OF(args));
	struct buf out;
	struct json_writer w = {.out = &out};
	int code = CLI_OK;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	buf_init(&out, SCHEMA_MAX);
	w.pretty = !one_line;
	policy_put_schema(&w);
	buf_put_u8(&out, '\n');
	if (out.failed)
		code = cli_fail(CLI_BAD, "policy", "the schema is over %u bytes", SCHEMA_MAX);
	else
		fwrite(out.at, 1, out.len, stdout);
	buf_fini(&out);
	return code;
}
