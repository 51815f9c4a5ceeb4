"""Names of images in proposal files of mmdet."""

import pytest

from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.dump_proposals_metric import check_proposal_names


def test_repeated_names_are_refused():
    """mmdet's format keeps the last folder and the file."""
    paths = ['/x/a/cam0/0.png', '/x/a/cam1/0.png', '/x/a/cam0/0.png']
    check_proposal_names(paths)
    with pytest.raises(UserError, match='a/cam1/0.png and /x/b/cam1/0.png'):
        check_proposal_names([*paths, '/x/b/cam1/0.png'])
    seen = {}
    check_proposal_names(paths, seen)
    with pytest.raises(UserError, match='rename a folder'):
        check_proposal_names(['/x/b/cam0/0.png'], seen)
