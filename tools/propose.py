"""Propose objects on your own images; see mmdet_owp/commands/propose.py."""

from mmdet_owp.commands.propose import main

if __name__ == '__main__':
    main()
