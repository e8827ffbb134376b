import pytest

from figures import style


@pytest.fixture
def check_figure(tmp_path):
    """Fails unless a figure has labels and a title and draws the same bytes twice."""

    def check(module, record, arrays):
        figure = module.draw(record, arrays)
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert any(axes.get_ylabel() for axes in figure.axes)
        titles = [axes.get_title() for axes in figure.axes] + [figure.get_suptitle()]
        assert any(titles)
        once = [path.read_bytes() for path in style.save(figure, tmp_path / "once")]
        again = style.save(module.draw(record, arrays), tmp_path / "again")
        assert once == [path.read_bytes() for path in again]

    return check
