"""torchrun that prints a :class:`UserError` of a process once, and only that.

``python -m mmdet_owp.engine.torchrun`` takes torchrun's arguments.
"""

from __future__ import annotations

import logging
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(args: list[str] | None = None) -> None:
    """Run a script in several processes.

    Args:
        args (list[str], optional): torchrun's; by default the command line.
    """
    # Its warnings about processes that it stops, and that one has failed.
    logging.disable(logging.ERROR)
    try:
        run.run(run.parse_args(args))
    except ChildFailedError as error:
        for failure in error.failures.values():
            # What `mmdet_owp.cli.report_errors` has written.
            message = failure.error_file_data.get('message')
            if isinstance(message, str) and message.startswith('error: '):
                sys.exit(message)
        raise


if __name__ == '__main__':
    main()
