/* review.h - `mongoward audit review`. */
#ifndef PROXY_CLI_REVIEW_H
#define PROXY_CLI_REVIEW_H

int audit_review(int argc, char **argv);

#endif
