"""model-index.yml and the metafiles: what mim and model zoos read."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

REPO = Path(__file__).parents[2]
CONFIGS = sorted(
    p.relative_to(REPO).as_posix()
    for p in (REPO / 'configs').glob('[!_]*/*.py')
)
FOLDERS = sorted({path.split('/')[1] for path in CONFIGS})


def read(folder):
    return yaml.safe_load(
        (REPO / 'configs' / folder / 'metafile.yml').read_text()
    )


def test_index_imports_every_metafile():
    index = yaml.safe_load((REPO / 'model-index.yml').read_text())
    assert index == dict(
        Import=[f'configs/{name}/metafile.yml' for name in FOLDERS]
    )


def test_every_config_is_listed_once():
    models = [m for folder in FOLDERS for m in read(folder)['Models']]
    assert sorted(m['Config'] for m in models) == CONFIGS
    names = [m['Name'] for m in models]
    assert len(set(names)) == len(names)
    for model in models:
        assert model['Name'] == Path(model['Config']).stem


@pytest.mark.parametrize('folder', FOLDERS)
def test_metafile_says_what_the_configs_say(folder):
    metafile = read(folder)
    (collection,) = metafile['Collections']
    assert set(collection) == {'Name', 'Metadata', 'Paper', 'README'}
    assert (REPO / collection['README']).is_file()
    architecture = set(collection['Metadata']['Architecture'])
    for model in metafile['Models']:
        path = REPO / model['Config']
        assert path.parent.name == folder
        assert model['In Collection'] == collection['Name']
        metadata = {**collection['Metadata'], **model['Metadata']}
        config = Config.fromfile(path)
        if config.train_cfg.type == 'EpochBasedTrainLoop':
            assert metadata['Epochs'] == config.train_cfg.max_epochs
        else:
            assert metadata['Iterations'] == config.train_cfg.max_iters
        assert config.model.backbone.type in architecture
        data = config.train_dataloader.dataset
        expected = dict(voc='COCO', shapes='Shapes').get(
            data.partition, 'LVIS v1'
        )
        assert metadata['Training Data'] == expected


def test_results_are_those_of_the_docs():
    """No number that is not in the measured tables, none of full runs."""
    with_results = 0
    for folder in FOLDERS:
        page = REPO / f'docs/results/{folder}.md'
        for model in read(folder)['Models']:
            assert 'Weights' not in model
            for result in model.get('Results') or []:
                with_results += 1
                cells = page.read_text()
                for value in result['Metrics'].values():
                    assert f'| {value:.1f} ' in cells, model['Name']
    assert with_results
