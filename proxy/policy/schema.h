/* schema.h - the language of policy files as a JSON Schema (draft 2020-12), for editors. */
#ifndef PROXY_POLICY_SCHEMA_H
#define PROXY_POLICY_SCHEMA_H

#include "util/json_writer.h"

/* Writes one object.  Whatever the loader takes fits it; what does not fit it, the loader
 * refuses.  What takes more than one value to judge (whether a class exists) is not said. */
void policy_put_schema(struct json_writer *w);

#endif
