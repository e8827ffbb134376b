import re

import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text

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


def cut_texts(figure):
    """The texts of a figure that are cut, and their corners as shares of the canvas."""
    figure.draw_without_rendering()
    to_shares = figure.transFigure.inverted()
    cut = {}
    for text in set(figure.findobj(Text)) - hidden_labels(figure):
        if text.get_visible() and text.get_text():
            corners = text.get_window_extent().transformed(to_shares)
            if corners.min.min() < 0 or corners.max.max() > 1:
                cut[text.get_text()] = corners.extents.round(3).tolist()
    return cut


def hidden_labels(figure):
    """Labels of the ticks beyond the ends of an axis, which are not drawn."""
    hidden = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    return hidden


@pytest.fixture
def off_canvas():
    """`cut_texts`, for a test of its own."""
    return cut_texts


@pytest.fixture
def check_figure(tmp_path):
    """Fails unless a figure has labels and a title, keeps all of its text on the canvas
    and draws the same picture twice.
    """

    def check(module, record, arrays):
        figure = module.draw(record, arrays)
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert any(axes.get_ylabel() for axes in figure.axes)
        titles = [axes.get_title() for axes in figure.axes] + [figure.get_suptitle()]
        assert any(titles)
        once = [drawn(path) for path in style.save(figure, tmp_path / "once")]
        assert not cut_texts(figure)
        again = style.save(module.draw(record, arrays), tmp_path / "again")
        assert once == [drawn(path) for path in again]

    return check
