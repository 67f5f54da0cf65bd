"""Figures carry alt text and intervals; quoted tables are consistent with themselves."""

import base64
import struct

import pytest
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.behaviour.published import BLIMP, PHENOMENA
from course_lib.display import Table, show

ALT = 'Accuracy by "model", higher is better'


def png_size(figure: plots.AltFigure) -> tuple[int, int]:
    data = base64.b64decode(figure.png())
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def draw_all() -> dict[str, plots.AltFigure]:
    common = {"alt": ALT, "n": 200, "seed": 7}
    row = {"binding": (0.8, 0.7, 0.9), "npi": (0.6, 0.5, 0.7)}
    return {
        "token_bars": plots.token_bars({"good": (["The", "dog"], [1.0, 2.0])}, alt=ALT),
        "ranked_bars": plots.ranked_bars(["a", "b"], [0.6, 0.4], alt=ALT),
        "estimates": plots.estimates({"one": row, "two": row}, **common),
        "histogram": plots.histogram([-1.0, 2.0, 3.0], **common),
        "truth_scatter": plots.truth_scatter([0.1, 0.9], [0.2, 0.8], labels={0: "nurse"}, **common),
        "region_lines": plots.region_lines(
            ["1", "2"], {"match": [(1, 0.5, 1.5), (2, 1.5, 2.5)]}, **common
        ),
        "curves": plots.curves(
            [1, 10], {"EAP": [(1, 0.5, 1.5), (2, 1.5, 2.5)]}, lines={"model": 2}, log=True, **common
        ),
        "heat_map": plots.heat_map(
            [[0.1, -0.2], [1, 0]], ["layer 0", "layer 1"], ["The", "dog"], **common
        ),
    }


def texts_of(figure: Figure) -> str:
    """Every text drawn in the figure."""
    axes_texts = [t.get_text() for a in figure.axes for t in [*a.texts, a.title, a.xaxis.label]]
    return " ".join([*axes_texts, *(t.get_text() for t in figure.texts)])


@pytest.mark.parametrize("name", draw_all())
def test_every_plot_function_shows_alt_text_and_a_small_picture(name):
    figure = draw_all()[name]
    bundle = figure._repr_mimebundle_()
    assert 'alt="Accuracy by &quot;model&quot;, higher is better"' in bundle["text/html"]
    assert bundle["text/plain"].split("\n")[0] == f"Figure: {ALT}"
    width, height = png_size(figure)
    assert 200 < width < 900 and 100 < height < 900
    assert len(figure.png()) < 60_000


@pytest.mark.parametrize(
    "name", ["estimates", "histogram", "truth_scatter", "region_lines", "curves", "heat_map"]
)
def test_sample_size_and_seed_stand_in_the_figure(name):
    assert "n = 200, seed = 7" in texts_of(draw_all()[name].figure)


def test_alt_text_cannot_be_left_out():
    with pytest.raises(TypeError):
        plots.histogram([1.0], n=1, seed=0)
    with pytest.raises(ValueError, match="too short"):
        plots.histogram([1.0], alt="figure", n=1, seed=0)


def test_estimates_draws_the_interval_and_the_chance_line():
    figure = plots.estimates({"one": {"npi": (0.6, 0.5, 0.75)}}, alt=ALT, n=9, seed=1).figure
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert [0.5, 0.75] in lines and [0.5, 0.5] in lines


def test_series_differ_in_marker_as_well_as_colour():
    row = {"npi": (0.6, 0.5, 0.75)}
    figure = plots.estimates({str(k): row for k in range(5)}, alt=ALT, n=9, seed=1).figure
    handles = figure.axes[0].get_legend().legend_handles[:5]
    assert len({h.get_marker() for h in handles}) == 5
    assert len({h.get_color() for h in handles}) == 5


def test_caption_is_escaped_and_shown_below_the_picture():
    shown = show(Figure(), ALT, caption="p < q")
    assert "<figcaption>p &lt; q</figcaption>" in shown.to_html()


def test_table_has_row_and_column_headers_and_escapes():
    table = Table(["model", "acc"], [["<b>", 61.25], ["LSTM", "n/a"]], caption="Scores", note="src")
    page = table._repr_html_()
    assert '<th scope="row">&lt;b&gt;</th><td>61.2</td>' in page
    assert page.count('scope="col"') == 2 and ">Scores</caption>" in page
    assert repr(table).splitlines()[0] == "Scores" and repr(table).splitlines()[-1] == "src"


@pytest.mark.parametrize("model", BLIMP.rows)
def test_published_overall_is_the_mean_over_paradigms(model):
    """The overall column weights each phenomenon by its number of paradigms."""
    overall, *columns = BLIMP.rows[model]
    count, *items = BLIMP.items
    assert len(columns) == len(PHENOMENA) == 12 and count == sum(items) == 67
    mean = sum(value * n for value, n in zip(columns, items, strict=True)) / count
    assert mean == pytest.approx(overall, abs=0.06)
