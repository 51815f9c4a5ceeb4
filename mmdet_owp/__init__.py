"""Open-world proposals for MMDetection.

Importing the package is light (neither torch nor mmdet); a config registers
the modules with ``custom_imports = dict(imports=['mmdet_owp.register'])``.
"""

__version__ = '0.1.0'
