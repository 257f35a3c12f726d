"""Numbers and tables as text: decimals, and LaTeX and Markdown in which any text is safe."""

from bench.core.text import csv_text, latex, rounded
from bench.report.markup import latex_page, markdown_page
from bench.report.table import Cell, Table, frame_of


def test_decimals_follow_the_interval():
    assert rounded(0.04012, 0.0327, 0.0474) == ("0.040", "0.033", "0.047")
    assert rounded(22.381, 21.6, 23.2) == ("22.4", "21.6", "23.2")
    assert rounded(1000.0, 1000.0, 1000.0) == ("1000", "", "")
    assert rounded(0.0000261, None, None) == ("0.000026", "", "")
    assert rounded(9_040_000, None, None) == ("9.04e6", "", "")


NASTY = r"a_b & 50% $x$ #1 {y} \z ~ ^ <i> | µ"


def _nasty_table() -> Table:
    cells = (Cell("0.5", "0.4", "0.6"), Cell("", reason=NASTY))
    frame = frame_of([("ok_1", cells), (NASTY, cells)], ("m_1", "m_2"))
    return Table(
        "task_1", NASTY, frame, {"m_1": "up", "m_2": "= 1"}, reasons={NASTY: f"failed ({NASTY})"}
    )


def test_latex_escapes_and_keeps_its_columns():
    text = latex_page([_nasty_table()], [NASTY])
    assert text.isascii()
    plain = text.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    plain_row, spanning_row = (line.replace(r"\&", "") for line in body)
    assert plain_row.count("&") == 2 and spanning_row.count("&") == 1
    assert r"\multicolumn{2}{l}{failed (" in spanning_row
    assert latex(r"\_") == r"\textbackslash{}\_"


def test_markdown_rows_have_equal_cells():
    page = markdown_page("suite", [_nasty_table()], [NASTY])
    rows = [line.replace("\\|", "") for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == 3 and {row.count("|") for row in rows} == {4}
    rule = next(line for line in page.splitlines() if line.startswith("|:"))
    assert rule.count("|") == 4
    assert "<i>" not in page


def test_rows_of_one_name_all_stay():
    frame = frame_of([("twice", (Cell("1"),)), ("twice", (Cell("2"),))], ("m",))
    table = Table("times", "two batches", frame)
    for page in (markdown_page("suite", [table], ()), latex_page([table], ())):
        assert len([line for line in page.splitlines() if "twice" in line]) == 2


def test_csv_keeps_whole_numbers_whole_and_floats_to_six_digits():
    rows = [(1, None, 2.123456789, "a,b"), (None, True, float("nan"), "")]
    assert (
        csv_text(("n", "flag", "x", "text"), rows)
        == 'n,flag,x,text\n1,,2.12346,"a,b"\n,True,nan,\n'
    )
    assert csv_text(("n", "x"), []) == "n,x\n"
