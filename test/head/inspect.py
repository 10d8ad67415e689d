"""Glance's own inspector as a judge: [[path, format], ...] on stdin, whether each is safe as that format on stdout.

The module is the file of the first argument: Glance's format_inspector.py, or that of oslo.utils which followed it.
"""

import importlib.util
import json
import logging
import sys
import types

logging.disable(logging.CRITICAL)
for missing in ('oslo_log', 'oslo_utils', 'oslo_utils._i18n', 'oslo_utils.imageutils'):
    sys.modules.setdefault(missing, types.ModuleType(missing))
sys.modules['oslo_log'].log = logging
sys.modules['oslo_utils'].units = types.SimpleNamespace(Ki=1024, Mi=1024**2)
sys.modules['oslo_utils._i18n']._ = str
sys.modules['oslo_utils.imageutils']._luks = types.SimpleNamespace(LUKSHeader=dict)

spec = importlib.util.spec_from_file_location('format_inspector', sys.argv[1])
inspector = importlib.util.module_from_spec(spec)
spec.loader.exec_module(inspector)


def safe(path, wanted):
    try:
        if wanted == 'raw':
            return str(inspector.detect_file_format(path)) == 'raw'
        found = inspector.get_inspector(wanted).from_file(path)
        # Glance's answers with a boolean, that of oslo.utils raises.
        return found.safety_check() is not False
    except Exception:
        return False


json.dump([safe(*each) for each in json.load(sys.stdin)], sys.stdout)
