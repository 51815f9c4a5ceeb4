"""The one exception whose text is meant for the user."""


class UserError(ValueError):
    """Input that this package refuses.

    The message says what is wrong, where (file, record, key) and what to do.
    Command lines print it and exit with status 1, without a traceback; see
    :func:`mmdet_owp.cli.report_errors`.
    """
