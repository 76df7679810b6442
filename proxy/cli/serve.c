#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/running.h"
#include "cli/watch.h"
#include "util/log.h"

#define DRAIN_US   (25ull * 1000 * 1000) /* below the 30 s that orchestrators wait */
#define LOOK_NS    (1000l * 1000 * 1000) /* how often changed files are looked for */
#define SEALED_MAX 64u

/* Signals are taken by this thread only, one after the other. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow is an error like a full disk. */
	signal(SIGXFSZ, SIG_IGN);
}

/* ", version 7 as sealed", or nothing. */
static const char *sealed(const struct running *r, char text[SEALED_MAX])
{
	uint64_t version = running_policy_version(r);

	text[0] = '\0';
	if (version)
		snprintf(text, SEALED_MAX, ", version %llu as sealed", (unsigned long long)version);
	return text;
}

static void say_reload(struct running *r)
{
	struct complaints complaints;
	char text[SEALED_MAX];

	complaints_init(&complaints);
	if (running_reload(r, &complaints)) {
		log_info("serve", "reloaded: policy %s%s", running_policy_hash(r), sealed(r, text));
	} else {
		log_error("serve", "the reload was refused; what was running goes on");
		cli_complain(&complaints);
	}
	complaints_fini(&complaints);
}

/* Until somebody says stop: reloads on SIGHUP, and when watched files have changed. */
static void wait_for_the_end(struct running *r, const sigset_t *set)
{
	const struct timespec look = {
		.tv_nsec = LOOK_NS % 1000000000, .tv_sec = LOOK_NS / 1000000000};
	struct watch *watch = watch_new();

	running_watch(r, watch);
	for (;;) {
		int caught = sigtimedwait(set, NULL, &look);

		if (caught == SIGTERM || caught == SIGINT)
			break;
		if (caught == SIGHUP || (caught < 0 && errno == EAGAIN && watch_changed(watch))) {
			say_reload(r);
			running_watch(r, watch);
		}
	}
	watch_free(watch);
}

int cli_serve(int argc, char **argv)
{
	const char *file = NULL, *gap = NULL;
	const struct arg args[] = {
		{.name = "--config", .value = &file},
		{.name = "--accept-gap", .value = &gap},
	};
	enum args_end end = args_parse("serve", argc, argv, args, COUNT_OF(args));
	struct complaints complaints;
	struct running *r;
	sigset_t signals;
	char text[SEALED_MAX];
	int code = CLI_BAD;

	if (end != ARGS_GO_ON)
		return args_exit(end);
	block_signals(&signals);
	complaints_init(&complaints);
	r = running_start(file, gap, &complaints, &code);
	if (!r) {
		cli_complain(&complaints);
		complaints_fini(&complaints);
		return code;
	}
	complaints_fini(&complaints);
	printf("ready %s%s%s\n", running_address(r), running_admin_address(r) ? " admin " : "",
		running_admin_address(r) ? running_admin_address(r) : "");
	fflush(stdout);
	log_info("serve", "policy %s%s", running_policy_hash(r), sealed(r, text));
	wait_for_the_end(r, &signals);
	log_info("serve", "stopping: commands in flight finish");
	running_stop(r, DRAIN_US);
	return CLI_OK;
}
