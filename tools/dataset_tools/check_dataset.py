"""Check a data set of your own; see mmdet_owp/commands/check.py."""

from mmdet_owp.commands.check import main

if __name__ == '__main__':
    main()
