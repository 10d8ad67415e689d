"""Reads a JSON list of texts on stdin; answers with what oslo.config's parser makes of each."""

import io
import json
import sys

from oslo_config import cfg, iniparser


def parsed(text):
    sections, normalized = {}, {}
    parser = cfg.ConfigParser("text", sections)
    parser._add_normalized(normalized)
    try:
        iniparser.BaseParser.parse(parser, io.StringIO(text, newline=None).readlines())
    except cfg.ParseError as error:
        return {"line": error.lineno}
    return {"sections": normalized}


json.dump([parsed(text) for text in json.load(sys.stdin)], sys.stdout)
