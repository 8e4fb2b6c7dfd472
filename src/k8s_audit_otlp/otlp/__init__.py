"""AuditEvents become LogRecord bytes and requests; answers are read. Pure.

`IS_COMPILED`: the compiled part (`quick_line/`) is there, in this version. Without a compiler when
this was installed it is not: slower, and the same.
"""

VERSION = 9  # of what its functions take and give
IS_COMPILED = False
try:
    from k8s_audit_otlp.otlp import _quick_line
except ImportError:
    pass
else:  # one may be left from another install
    IS_COMPILED = getattr(_quick_line, "VERSION", 0) == VERSION
