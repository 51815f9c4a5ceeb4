"""Image files, compared with what mmdet's loader makes of them."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmdet_owp.datasets.image_files import image_size, name_hint


def picture(mode='RGB'):
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 256, (8, 12, 3), np.uint8), (120, 80))
    return Image.fromarray(pixels).convert(mode)


def encoded(image, kind, **kwargs):
    file = io.BytesIO()
    image.save(file, kind, **kwargs)
    return file.getvalue()


def loaded_size(path):
    """Width and height as mmdet loads an image."""
    image = LoadImageFromFile()(dict(img_path=str(path)))['img']
    return image.shape[1], image.shape[0]


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('progressive', [False, True])
def test_truncated_jpeg(tmp_path, progressive, decode):
    path = tmp_path / 'a.jpg'
    whole = encoded(picture(), 'JPEG', progressive=progressive)
    # What follows the end marker does not matter.
    for content in (whole, whole + b'more'):
        path.write_bytes(content)
        assert image_size(str(path), decode) == (120, 80)
    cuts = [int(len(whole) * f) for f in (0.05, 0.3, 0.6, 0.9, 0.99, 0.999)]
    for length in (*cuts, len(whole) - 2, len(whole) - 1, 0):
        path.write_bytes(whole[:length])
        assert image_size(str(path), decode) == 'unreadable', length
        with pytest.raises((AssertionError, cv2.error)):
            loaded_size(path)


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'TIFF', 'WEBP', 'PPM'])
def test_truncated_image_of_another_format(tmp_path, kind, decode):
    path = tmp_path / 'a'
    whole = encoded(picture(), kind)
    path.write_bytes(whole)
    assert image_size(str(path), decode) == (120, 80)
    for length in (len(whole) // 10, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        assert image_size(str(path), decode) == 'unreadable', length


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
def test_size_is_that_mmdet_loads(tmp_path, kind, orientation, decode):
    """EXIF data that OpenCV follows in some formats only."""
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / 'a'
    path.write_bytes(encoded(picture(), kind, exif=exif))
    size = image_size(str(path), decode)
    assert size == loaded_size(path)
    if kind == 'JPEG':
        assert size == ((80, 120) if orientation > 4 else (120, 80))


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', '1', 'CMYK', 'I;16'])
def test_modes_that_mmdet_loads(tmp_path, mode, decode):
    path = tmp_path / 'a'
    if mode == 'I;16':
        image = Image.fromarray(np.full((80, 120), 40000, np.uint16))
    else:
        image = picture(mode)
    path.write_bytes(encoded(image, 'TIFF' if mode == 'CMYK' else 'PNG'))
    assert image_size(str(path), decode) == (120, 80) == loaded_size(path)


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('shape', [(80, 120), (80, 120, 3)])
def test_floating_point_pixels(tmp_path, shape, decode):
    path = tmp_path / 'a.tif'
    cv2.imwrite(str(path), np.random.default_rng(0).random(shape, np.float32))
    assert image_size(str(path), decode) == 'float_pixels'


def test_larger_than_pillow_allows(tmp_path, monkeypatch, recwarn):
    path = tmp_path / 'a.png'
    path.write_bytes(encoded(picture(), 'PNG'))
    for limit in (80 * 120 - 1, 80 * 120 // 3):  # a warning, an error
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        assert image_size(str(path), decode=False) == (120, 80)
    assert not recwarn.list


@pytest.mark.parametrize(
    'name, hint',
    [
        ('sub\\a b.png', ' (1 exist there with "/" for "\\" in their file_n'),
        ('sub/a%20b.png', ' (1 exist there without the percent-encoding'),
        ('sub%5Ca%20b.png', ''),
        ('else/c.png', ' (1 exist there without the folder in their file_n'),
        ('none.png', ''),
    ],
)
def test_hint_for_missing_names(tmp_path, name, hint):
    (tmp_path / 'sub').mkdir()
    for path in ('sub/a b.png', 'c.png'):
        (tmp_path / path).write_bytes(b'')
    found = name_hint(str(tmp_path), [name, 'none'])
    assert found.startswith(hint) and bool(found) == bool(hint)
