"""YAML 1.2 as editors read it: the core schema, in which dates and `yes` are texts."""

import re

import yaml

BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NULL = {"", "~", "null", "Null", "NULL"}
INT = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def scalar(node):
    text = node.value
    if node.style in ("'", '"', "|", ">"):
        return text
    if text in NULL:
        return None
    if text in BOOL:
        return BOOL[text]
    if INT.fullmatch(text):
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text


def value(node):
    if isinstance(node, yaml.MappingNode):
        return {key.value: value(child) for key, child in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value(child) for child in node.value]
    return scalar(node)


def parse(text):
    """The one document of a file; yaml.YAMLError when it is none."""
    node = yaml.compose(text, Loader=yaml.BaseLoader)
    return None if node is None else value(node)
