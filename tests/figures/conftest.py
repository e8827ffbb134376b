import re

import pytest

from figures import style


def drawn(path):
    """A PNG's bytes; of an SVG all but the numbers and the names of clip paths.

    The last digit of the layout depends on memory addresses. It does not reach the pixels,
    but it does reach an SVG, which also names clip paths by a hash of their corners.
    """
    content = path.read_bytes()
    if path.suffix == ".png":
        return content
    return re.sub(rb"p[0-9a-f]{10}|[\d.]+", b"", content)


@pytest.fixture
def check_figure(tmp_path):
    """Fails unless a figure has labels and a title and draws the same picture twice."""

    def check(module, record, arrays):
        figure = module.draw(record, arrays)
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert any(axes.get_ylabel() for axes in figure.axes)
        titles = [axes.get_title() for axes in figure.axes] + [figure.get_suptitle()]
        assert any(titles)
        once = [drawn(path) for path in style.save(figure, tmp_path / "once")]
        again = style.save(module.draw(record, arrays), tmp_path / "again")
        assert once == [drawn(path) for path in again]

    return check
