"""Evaluate proposal files; see mmdet_owp/commands/eval.py."""

from mmdet_owp.commands.eval import main

if __name__ == '__main__':
    main()
