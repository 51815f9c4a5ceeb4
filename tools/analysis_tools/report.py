"""Write a report page; see mmdet_owp/commands/report.py."""

from mmdet_owp.commands.report import main

if __name__ == '__main__':
    main()
