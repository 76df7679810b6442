#!/usr/bin/env python3
"""The same operations through each official driver, against one URI.

  run.py --uri URI [--expect mongos|replicaset] [--only NAME]... [--refused JSON]

Prints what each program prints, one `ok DRIVER CHECK` a line, and exits with 0 only if every
check of every driver passed; with 2 if a tool that must be installed first is missing.

What the drivers need is installed under $MONGOWARD_CACHE (default:
${XDG_CACHE_HOME:-~/.cache}/mongoward), by the ordinary package managers as this machine has them
set up, in the versions that the lock files here fix.
"""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
GO_MIN = (1, 19)
NODE_MIN = (18, 19)
TIMEOUT_S = 300

Driver = collections.namedtuple("Driver", "prepare needs")


class Missing(Exception):
	"""A tool that this machine lacks; the text names the Debian package."""


def cache_folder():
	if os.environ.get("MONGOWARD_CACHE"):
		return pathlib.Path(os.environ["MONGOWARD_CACHE"]).resolve()
	base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
	return pathlib.Path(base) / "mongoward"


def run(*command, **options):
	subprocess.run([str(word) for word in command], check=True, **options)


def need(tool, package):
	path = shutil.which(tool)
	if not path:
		raise Missing(f"{tool} is missing: apt-get install {package}")
	return path


def version(*command):
	text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
	return tuple(map(int, re.search(r"(\d+)\.(\d+)", text).groups()))


def find_go():
	"""Debian's golang-1.19-go is not in the PATH unless golang-go is installed as well."""
	places = [shutil.which("go"), *map(str, pathlib.Path("/usr/lib").glob("go-*/bin/go"))]
	for go in places:
		if go and version(go, "version") >= GO_MIN:
			return go
	raise Missing("go %d.%d or newer is missing: apt-get install golang-go" % GO_MIN)


def find_node():
	node = need("node", "nodejs")
	need("npm", "npm")
	if version(node, "--version") < NODE_MIN:
		raise Missing("node is older than %d.%d: apt-get install nodejs" % NODE_MIN)
	return node


def find_python():
	"""A venv can be made only where ensurepip is, which Debian packs apart."""
	if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode:
		raise Missing("the module ensurepip is missing: apt-get install python3-venv")
	return sys.executable


def find_java():
	"""A JRE has no javac; Maven needs it."""
	need("javac", "default-jdk-headless")
	need("mvn", "maven")
	return need("java", "default-jdk-headless")


def stamp(*files):
	digest = hashlib.sha256()
	for name in files:
		digest.update(name.encode() + b"\0" + (HERE / name).read_bytes() + b"\0")
	return digest.hexdigest()


def installed(folder, text, install):
	"""Calls install(folder) unless it succeeded before with the same files, named by text."""
	mark = folder / ".installed"
	if mark.is_file() and mark.read_text() == text:
		return
	shutil.rmtree(folder, ignore_errors=True)
	folder.mkdir(parents=True)
	install(folder)
	mark.write_text(text)


def prepare_pymongo(cache, python):
	requirements = "pymongo/requirements.txt"

	def install(folder):
		run(python, "-m", "venv", folder / "venv")
		run(folder / "venv/bin/pip", "install", "-q", "--disable-pip-version-check",
		    "-r", HERE / requirements)

	folder = cache / "pymongo"
	installed(folder, stamp(requirements) + sys.version, install)
	return [folder / "venv/bin/python", HERE / "pymongo/operations.py"]


def npm_folder(cache, name, node):
	"""Node finds packages beside the program only, so the program is copied to them."""
	files = [f"{name}/package.json", f"{name}/package-lock.json"]

	def install(folder):
		for file in files:
			shutil.copy(HERE / file, folder)
		run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
		    cwd=folder, stdout=sys.stderr)

	folder = cache / name
	installed(folder, stamp(*files) + str(version(node, "--version")), install)
	shutil.copy(HERE / name / "operations.js", folder)
	return folder


def prepare_node(cache, node):
	return [node, npm_folder(cache, "node", node) / "operations.js"]


def prepare_mongosh(cache, node):
	folder = npm_folder(cache, "mongosh", node)
	return [node, folder / "node_modules/mongosh/bin/mongosh.js", "--nodb", "--quiet", "--norc",
	        "--file", folder / "operations.js"]


def prepare_go(cache, go):
	folder = cache / "go"
	folder.mkdir(parents=True, exist_ok=True)
	environment = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly -modcacherw",
	                   GOMODCACHE=str(folder / "modules"), GOCACHE=str(folder / "build"))
	run(go, "build", "-o", folder / "operations", ".", cwd=HERE / "go", env=environment,
	    stdout=sys.stderr)
	return [folder / "operations"]


def prepare_java(cache, java):
	files = ["java/pom.xml", "java/src/main/java/Operations.java"]

	def install(folder):
		shutil.copy(HERE / files[0], folder)
		shutil.copytree(HERE / "java/src", folder / "src")
		run("mvn", "-q", "-B", f"-Dmaven.repo.local={cache / 'maven'}", "compile",
		    "dependency:copy-dependencies", "-DincludeScope=runtime", cwd=folder,
		    stdout=sys.stderr)

	folder = cache / "java"
	installed(folder, stamp(*files), install)
	return [java, "-cp", f"{folder / 'target/classes'}:{folder / 'target/dependency/*'}",
	        "Operations"]


DRIVERS = {
	"pymongo": Driver(prepare_pymongo, find_python),
	"node": Driver(prepare_node, find_node),
	"go": Driver(prepare_go, find_go),
	"java": Driver(prepare_java, find_java),
	"mongosh": Driver(prepare_mongosh, find_node),
}


def checks_of(driver, command, environment):
	"""The number of checks that the program passed, or None if one failed."""
	environment = dict(environment)
	environment["DRIVERS_NAMESPACE"] += "_" + driver
	try:
		# mongosh looks for modules from the folder that it runs in.
		done = subprocess.run([str(word) for word in command], env=environment, text=True,
		                      cwd=pathlib.Path(command[-1]).parent, stdout=subprocess.PIPE,
		                      timeout=TIMEOUT_S)
	except subprocess.TimeoutExpired:
		print(f"FAILED {driver}: not done after {TIMEOUT_S} s", flush=True)
		return None
	print(done.stdout, end="", flush=True)
	passed = sum(line.startswith(f"ok {driver} ") for line in done.stdout.splitlines())
	wanted = 10 if environment.get("DRIVERS_REFUSED") else 9
	if done.returncode or passed != wanted:
		print(f"FAILED {driver}: exit code {done.returncode}, {passed} of {wanted} checks passed",
		      flush=True)
		return None
	return passed


def arguments():
	parser = argparse.ArgumentParser(description=__doc__,
	                                 formatter_class=argparse.RawDescriptionHelpFormatter)
	parser.add_argument("--uri", default=os.environ.get("DRIVERS_URI"),
	                    help="default: $DRIVERS_URI, which keeps its password off the command line")
	parser.add_argument("--namespace", default="healthcare_db.drivers",
	                    help="each driver uses NAMESPACE_DRIVER, which it empties "
	                    "(default: %(default)s)")
	parser.add_argument("--expect", choices=("mongos", "replicaset"), default="mongos",
	                    help="what the drivers must see (default: %(default)s)")
	parser.add_argument("--refused", metavar="JSON",
	                    help='{"db": NAME, "command": {…}}: must be refused with 13, Unauthorized')
	parser.add_argument("--only", action="append", choices=DRIVERS, metavar="DRIVER",
	                    help="run this driver alone (may be repeated): " + ", ".join(DRIVERS))
	parser.add_argument("--install-only", action="store_true",
	                    help="install and build, but run nothing")
	options = parser.parse_args()
	if not options.uri and not options.install_only:
		parser.error("--uri or $DRIVERS_URI is needed")
	if "." not in options.namespace.strip("."):
		parser.error("--namespace takes DATABASE.COLLECTION")
	if options.refused and not {"db", "command"} <= json.loads(options.refused).keys():
		parser.error("--refused takes an object with db and command")
	return options


def prepared(names):
	"""The command of each driver; all that is missing is told at once, before any is built."""
	tools, missing = {}, []
	for name in names:
		try:
			tools[name] = DRIVERS[name].needs()
		except Missing as what:
			missing.append(f"{name}: {what}")
	if missing:
		print(*missing, sep="\n", file=sys.stderr)
		sys.exit(2)
	cache = cache_folder() / "drivers"
	return {name: DRIVERS[name].prepare(cache, tools[name]) for name in names}


def main():
	options = arguments()
	commands = prepared(options.only or list(DRIVERS))
	if options.install_only:
		return 0
	environment = dict(os.environ, DRIVERS_URI=options.uri, DRIVERS_EXPECT=options.expect,
	                   DRIVERS_NAMESPACE=options.namespace)
	environment.pop("DRIVERS_REFUSED", None)
	if options.refused:
		environment["DRIVERS_REFUSED"] = options.refused
	passed = {name: checks_of(name, command, environment) for name, command in commands.items()}
	failed = [name for name, count in passed.items() if count is None]
	print(f"{len(passed) - len(failed)} passed, {len(failed)} failed")
	return 1 if failed else 0


if __name__ == "__main__":
	sys.exit(main())
