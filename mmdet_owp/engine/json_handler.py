"""Let mmengine write JSON that every program reads."""

from __future__ import annotations

from typing import Any

from mmengine.fileio import JsonHandler, register_handler

from mmdet_owp.tables import finite


@register_handler('json')
class NullJsonHandler(JsonHandler):
    """Write null for nan and infinite numbers, which JSON does not have.

    Importing this module makes mmengine use it, for metrics and logs.
    """

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write ``obj`` to an open file."""
        super().dump_to_fileobj(finite(obj), file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return ``obj`` as text."""
        return super().dump_to_str(finite(obj), **kwargs)
