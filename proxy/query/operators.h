/* operators.h - looks operators.def up.  Names are case sensitive, as the server's are. */
#ifndef PROXY_QUERY_OPERATORS_H
#define PROXY_QUERY_OPERATORS_H

#include "util/bytes.h"

enum filter_treatment {
	FILTER_UNKNOWN,
	FILTER_EQUAL,
	FILTER_IN,
	FILTER_EXISTS,
	FILTER_NOT,
	FILTER_ELEM_MATCH,
	FILTER_SEE,
	FILTER_SEE_FIRST,
	FILTER_PART,
};
enum logical_treatment {
	LOGICAL_UNKNOWN,
	LOGICAL_BRANCHES,
	LOGICAL_EXPR,
	LOGICAL_COMMENT,
	LOGICAL_HARMLESS,
	LOGICAL_UNPROVEN,
	LOGICAL_FIRST,
};
enum expression_treatment {
	EXPRESSION_UNKNOWN,
	EXPRESSION_ANY,
	EXPRESSION_TOTAL,
	EXPRESSION_LITERAL,
	EXPRESSION_WHOLE,
	EXPRESSION_CONVERT,
};
enum accumulator_treatment {
	ACCUMULATOR_UNKNOWN,
	ACCUMULATOR_COLLECT,
	ACCUMULATOR_ORDER,
	ACCUMULATOR_AVERAGE,
	ACCUMULATOR_UNPROVEN,
};
enum update_treatment {
	UPDATE_UNKNOWN,
	UPDATE_SET,
	UPDATE_SET_NEW,
	UPDATE_UNSET,
	UPDATE_RENAME,
	UPDATE_MODIFY,
	UPDATE_CURRENT_DATE,
};
enum stage_treatment {
	STAGE_UNKNOWN,
	STAGE_MATCH,
	STAGE_PROJECT,
	STAGE_SORT,
	STAGE_GROUP,
	STAGE_COUNT,
	STAGE_UNWIND,
	STAGE_HARMLESS,
	STAGE_SET,
	STAGE_UNSET,
	STAGE_LOOKUP,
	STAGE_UNION,
	STAGE_GRAPH,
	STAGE_FACET,
	STAGE_RESHAPES,
	STAGE_FIRST,
	STAGE_DOCUMENTS,
	STAGE_UNPROVEN,
};
enum variable_treatment { VARIABLE_UNKNOWN, VARIABLE_WHOLE, VARIABLE_CONSTANT };

enum filter_treatment filter_operator(struct bytes name);
enum logical_treatment logical_operator(struct bytes name);
enum expression_treatment expression_operator(struct bytes name);
enum accumulator_treatment accumulator_operator(struct bytes name);
enum update_treatment update_operator(struct bytes name);
enum stage_treatment stage_operator(struct bytes name);
/* Without the `$$`. */
enum variable_treatment system_variable(struct bytes name);
/* Whether an operator of that name is understood at some place. */
bool operator_is_known(struct bytes name);
/* Whether MongoDB has one, understood here or not: such names may stand in records. */
bool operator_exists(struct bytes name);

#endif
