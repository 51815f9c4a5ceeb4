"""Draw novel objects found and missed; see mmdet_owp/commands/draw.py."""

from mmdet_owp.commands.draw import main

if __name__ == '__main__':
    main()
