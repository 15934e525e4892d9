"""`nanopoet compare`: stub, answer and solution side by side."""

import ast
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from nanopoet.checker.pieces import side_by_side, signature_problems, statements
from nanopoet.checker.source import SOLUTIONS, find_node, lines_of
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import load_tasks
from nanopoet.paths import ROOT

pytestmark = pytest.mark.usefixtures("one_sandbox")

NAMED = ast.FunctionDef | ast.ClassDef
RIGHT = (
    "def causal_mask(T):\n    rows = torch.arange(T)\n    return rows[:, None] >= rows[None, :]\n"
)
OURS = "torch.ones(T, T, dtype=torch.bool).tril()"  # the line of the solution
WITHHELD = "shown when the answer passes; --solution shows it now"


@pytest.fixture
def submission(tmp_path, monkeypatch):
    """A folder in which somebody has written nothing yet; it is the learner's own, too."""
    folder = tmp_path / "ada"
    folder.mkdir()
    for module in ("welcome", "tokenizer", "attention"):
        (folder / f"{module}.py").write_text(stub_file(module), encoding="utf-8")
    monkeypatch.setenv("NANOPOET_EXERCISES", str(folder))
    return folder


@pytest.fixture
def compare(nanopoet, submission):
    return lambda *args: nanopoet("compare", *args, "--submission", submission, "--seed", 5)


@pytest.fixture
def page(compare, tmp_path):
    """The page of a comparison."""

    def write(*args):
        assert compare(*args, "--html", tmp_path / "page.html").code == 0
        return (tmp_path / "page.html").read_text("utf-8")

    return write


def add(folder, text, module="attention"):
    """Put an answer below the stubs: the last definition counts."""
    path = folder / f"{module}.py"
    path.write_text(stub_file(module) + "\n\n" + text, encoding="utf-8")


# --- Exercises and solutions ---------------------------------------------------------------------


@pytest.mark.parametrize("task", load_tasks().values(), ids=lambda task: task.name)
def test_exercise_and_solution_have_one_signature_and_one_contract(task):
    sources = [
        (folder / task.file).read_text("utf-8") for folder in (ROOT / "exercises", SOLUTIONS)
    ]
    stub, solution = (find_node(source, task.function) for source in sources)
    assert signature_problems(stub, solution) == []
    assert ast.get_docstring(stub) == ast.get_docstring(solution)
    if task.method:
        stub, solution = (find_node("", task.method, within=node) for node in (stub, solution))
        assert ast.get_docstring(stub) == ast.get_docstring(solution)
    assert ast.get_docstring(stub)
    if isinstance(stub, ast.FunctionDef):  # annotations, too
        assert ast.dump(stub.args) == ast.dump(solution.args)
        assert ast.unparse(stub.returns) == ast.unparse(solution.returns)


# --- Whose answer, and who sees our way ----------------------------------------------------------


def test_our_way_comes_with_an_answer_that_passes(compare, submission):
    add(submission, RIGHT)
    done = compare("causal_mask")
    assert (done.code, done.err) == (0, "")
    assert OURS in done.out
    assert "✓ attention.causal_mask" in done.out
    assert "Both pass." in done.out
    assert "hint 3" in done.out


def test_our_way_is_not_given_away(compare, submission):
    add(submission, RIGHT.replace(">=", "<="))
    done = compare("causal_mask")
    assert done.code == 0
    assert "rows[:, None] <= rows[None, :]" in done.out
    assert "✗ attention.causal_mask" in done.out
    assert "looks like" in done.out
    assert WITHHELD in done.out
    assert OURS not in done.out
    assert "hint 3" not in done.out
    asked = compare("causal_mask", "--solution").out
    assert OURS in asked
    assert "Not all need be wrong." in asked


def test_a_page_does_not_give_it_away_either(page, submission):
    add(submission, RIGHT.replace(">=", "<="))
    assert OURS not in page("--all")
    assert OURS in page("causal_mask", "--solution")


def test_an_untouched_stub(compare):
    done = compare("causal_mask")
    assert done.code == 0
    assert 'raise NotImplementedError("attention.causal_mask")' in done.out
    assert "answer     not touched yet" in done.out
    assert OURS not in done.out
    assert WITHHELD in done.out


def test_ones_own_exercises_are_the_submission_if_none_is_given(nanopoet, submission):
    assert "not touched yet" in nanopoet("compare", "causal_mask").out
    add(submission, RIGHT)
    assert OURS in nanopoet("compare", "causal_mask").out


def test_where_there_are_no_exercises_stub_and_solution_are_there(nanopoet, monkeypatch, tmp_path):
    monkeypatch.setenv("NANOPOET_EXERCISES", str(tmp_path / "nowhere"))
    done = nanopoet("compare", "causal_mask", "--solution")
    assert done.code == 0
    assert OURS in done.out
    assert "answer" not in done.out
    assert OURS not in nanopoet("compare", "causal_mask").out


def test_a_bug_hunt(compare, submission):
    stub, solution = stub_file("tokenizer"), (SOLUTIONS / "tokenizer.py").read_text("utf-8")
    assert "the bug" not in compare("assign_ids").out
    shown = compare("assign_ids", "--solution").out
    assert re.search("^≠ .*≠ ", shown, re.MULTILINE)
    assert "the bug" in shown
    (submission / "tokenizer.py").write_text(
        stub.replace(
            ast.get_source_segment(stub, find_node(stub, "assign_ids")),
            ast.get_source_segment(solution, find_node(solution, "assign_ids")),
        ),
        "utf-8",
    )
    done = compare("assign_ids").out
    assert "✓ tokenizer.assign_ids" in done
    assert "the same as the answer, once both are formatted" in done
    assert "the bug" in done


def test_a_prediction(compare, submission):
    solution = (SOLUTIONS / "tokenizer.py").read_text("utf-8")
    right = ast.get_source_segment(solution, find_node(solution, "vocabulary_costs"))
    add(submission, right.replace("11_868", "11_869"), "tokenizer")
    done = compare("vocabulary_costs")
    assert "✗ tokenizer.vocabulary_costs" in done.out
    assert "expected" not in done.out
    assert "11_868" not in done.out
    add(submission, right, "tokenizer")
    assert "✓ tokenizer.vocabulary_costs" in compare("vocabulary_costs").out


# --- Which differences are shown -----------------------------------------------------------------


def pieces(source):
    return statements(ast.parse(source).body[0], source.split("\n"))


def differing(left, right):
    return [row.sides for row in side_by_side(pieces(left), pieces(right)) if row.differs]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("def f(x):\n    return x+1", "def f(x):\n\n    return (x + 1)  # one more"),
        ("def f(x):\n    return 'a'", 'def f(x: int) -> str:\n    """Doc."""\n    return "a"'),
        ("def f(x):\n    return g(x, 1)",
         "def f(x):\n    return g(\n        x,\n        1,\n    )"),
        ("def f(x):\n  if x: return 1\n  y = 2; z = 3",
         "def f(x):\n    if x:\n        return 1\n    y = 2\n    z = 3"),
        ("def f(x):\n    if a:\n        b\n    elif c:\n        d",
         "def f(x):\n    if a:\n        b\n    else:\n        if c:\n            d"),
    ],
)  # fmt: skip
def test_layout_comments_and_annotations_are_no_differences(left, right):
    assert differing(left, right) == differing(right, left) == []


@pytest.mark.parametrize(
    ("left", "right", "sides"),
    [
        ("def f(x):\n    # why\n    return x", "def f(x):\n    return -x",
         (("    # why", "    return x"), ("    return -x",))),
        ("def f(x):\n    y = 1; return y", "def f(x):\n    y = 1; return 2",
         (("    return y",), ("    return 2",))),
        ("def f(x):\n    if a:\n        b\n    else:\n        c",
         "def f(x):\n    if a:\n        b\n    c",
         (("    else:", "        c"), ("    c",))),
        ("def f(x=1):\n    pass", "def f(x=2):\n    pass", (("def f(x=1):",), ("def f(x=2):",))),
        ("def f(x):\n    return (x,)", "def f(x):\n    return (x)",
         (("    return (x,)",), ("    return (x)",))),
    ],
)  # fmt: skip
def test_a_difference_is_shown_with_its_lines_as_they_are_written(left, right, sides):
    assert differing(left, right) == [sides]


@pytest.mark.parametrize("path", sorted(SOLUTIONS.glob("*.py")), ids=lambda path: path.stem)
def test_every_line_is_shown_once_and_docstrings_are_not(path):
    rows = path.read_text("utf-8").split("\n")
    for node in ast.parse("\n".join(rows)).body:
        if isinstance(node, NAMED):
            shown = [line for statement in statements(node, rows) for line in statement.lines]
            first, last = lines_of(node)
            parts = [part for part in ast.walk(node) if isinstance(part, NAMED)]
            docs = [part.body[0] for part in parts if ast.get_docstring(part)]
            said = {n for doc in docs for n in range(doc.lineno - 1, doc.end_lineno)}
            kept = [rows[n] for n in range(first, last) if n not in said]
            assert list(filter(None, shown)) == list(filter(None, kept))


# --- Signatures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stub", "answer", "problems"),
    [
        ("def f(a, b=1): 0", "def f(a: int, b=1) -> int: 0", []),
        ("def f(a, b): 0", "def f(a, c): 0", ["`b` of the stub is called `c`"]),
        ("def f(a, b): 0", "def f(b, a): 0", ["the order is (b, a); in the stub (a, b)"]),
        ("def f(a, b): 0", "def f(a): 0", ["`b` of the stub is missing"]),
        ("def f(a): 0", "def f(a, *rest): 0", ["`rest` is new"]),
        ("def f(a, b=1): 0", "def f(a, b=2): 0", ["`b` has the default 2; in the stub 1"]),
        ("def f(a, b=1): 0", "def f(a, b): 0", ["`b` has no default; in the stub 1"]),
        ("def f(a, *, b): 0", "def f(a, b): 0", ["`b` is plain; in the stub keyword only"]),
        ("def f(a): 0", "f = lambda a: 0",
         ["it is neither a function nor a class; in the stub a function"]),
        ("class A:\n  def g(self, x): 0\n  def h(self): 0", "class A:\n  def g(self, y): 0",
         ["g: `x` of the stub is called `y`", "there is no method `h`"]),
    ],
)  # fmt: skip
def test_signatures(stub, answer, problems):
    nodes = (ast.parse(source).body[0] for source in (stub, answer))
    assert signature_problems(*nodes) == problems


def test_renamed_parameters_are_said(compare, submission):
    add(submission, RIGHT.replace("(T)", "(n)"))
    out = compare("causal_mask").out
    assert "✓" in out
    assert "`T` of the stub is called `n`" in out
    add(submission, RIGHT)
    assert "as in the stub: names, order and defaults" in compare("causal_mask").out


def test_helpers_are_shown_and_what_was_given_is_not(compare, submission):
    helper = "import math\n\n\ndef upto(T):\n    return torch.arange(math.floor(T))\n\n\n"
    unused = "def elsewhere():\n    return causal_mask(3)\n\n\n"
    add(submission, helper + unused + RIGHT)
    assert "def upto" not in compare("causal_mask").out
    add(submission, helper + unused + RIGHT.replace("torch.arange", "upto"))
    out = compare("causal_mask").out
    assert "✓" in out
    assert "import math" in out
    assert "return torch.arange(math.floor(T))" in out
    for absent in ("elsewhere", "import torch", "def average_before"):
        assert absent not in out


# --- Files as they come --------------------------------------------------------------------------


def test_crlf_and_a_byte_order_mark_make_no_difference(compare, submission):
    path = submission / "attention.py"
    path.write_bytes(b"\xef\xbb\xbf" + stub_file("attention").replace("\n", "\r\n").encode())
    assert "not touched yet" in compare("causal_mask").out
    add(submission, RIGHT)
    plain = compare("causal_mask").out
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    outs = plain, compare("causal_mask").out
    first, second = (re.sub(r"[\d.]+ s$", "", out, flags=re.MULTILINE) for out in outs)
    assert first == second
    bare = RIGHT.replace("(T):\n", "(T):\n    import torch\n\n", 1).replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + bare.encode())
    out = compare("causal_mask").out
    assert "✓" in out
    assert not {"\ufeff", "\r"} & set(out)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"def causal_mask(T:\n    pass\n", "attention.py:1 is not Python: '(' was never closed"),
        (b"x = 1\0\n", "attention.py is not Python"),
        (b"\xff\xfe", "attention.py:1 is not UTF-8"),
        (b"x = " + b"-" * 20_000 + b"1\n", "attention.py is not Python: it is nested too deeply"),
        (b"x = 1\n", "attention.py defines no causal_mask"),
        (None, "there is no attention.py"),
    ],
)
def test_a_file_that_cannot_be_shown_stops_nothing(compare, submission, content, said):
    (submission / "attention.py").unlink()
    if content is not None:
        (submission / "attention.py").write_bytes(content)
    done = compare("causal_mask", "first_line")
    assert (done.code, done.err) == (0, "")
    assert said in done.out
    assert "✗ attention.causal_mask" in done.out
    assert "✓ welcome.first_line" in done.out
    assert "1 of 2 pass, 1 fail, 0 not written yet; seed 5" in done.out


def test_errors_are_one_line_and_exit_code_1(nanopoet, submission, tmp_path):
    assert "there is no task 'causl_mask'; near it: attention.causal_mask" in (
        nanopoet("compare", "causl_mask").error
    )
    assert "or all, with --all" in nanopoet("compare").error
    assert "or all, with --all" in nanopoet("compare", "attention", "--all").error
    nowhere = nanopoet("compare", "attention", "--submission", tmp_path / "nowhere").error
    assert nowhere.endswith("nowhere is not a folder with exercises")
    above = nanopoet("compare", "attention", "--submission", submission.parent).error
    assert above.endswith(f"; {submission} does")
    folder = nanopoet("compare", "causal_mask", "--html", tmp_path).error
    assert folder == f"{tmp_path} is a folder, not a file"


# --- What a submission holds is text -------------------------------------------------------------

HOSTILE = """
def causal_mask(T, a="</script><script>alert(1)</script>"):
    # [bold red]loud[/bold red] [/] <img src=x onerror=alert(2)> &lt;b&gt; "quoted" :smile:
    text = "\x1b[31mred\u202e backwards \ufffe"
    raise ValueError("</pre><script>alert(3)</script> [link=http://e.org]here[/link] \x1b[31m")
"""


def test_a_terminal_shows_it_as_it_is_written(compare, submission):
    add(submission, HOSTILE)
    out = compare("causal_mask").out
    assert '# [bold red]loud[/bold red] [/] <img src=x onerror=alert(2)> &lt;b&gt; "quoted"' in out
    assert "[link=http://e.org]here[/link]" in out
    assert "\\x1b[31mred\\u202e backwards \\ufffe" in out
    assert not {"\x1b", "\u202e", "\ufffe"} & set(out)


class Page(HTMLParser):
    """What a browser finds in a page: its elements, each closed where it must be, and its text."""

    VOID = ("meta", "!doctype")

    def __init__(self, source):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_a_page_shows_it_as_it_is_written(page, submission):
    add(submission, HOSTILE)
    (submission / "welcome.py").write_text("def first_line(:\n</title><script>\n", "utf-8")
    source = page("--all")
    found = Page(source)
    assert not {"script", "img", "b"} & {tag for tag, _ in found.elements}
    assert {name for _, attributes in found.elements for name in attributes} <= {
        "charset", "class", "content", "href", "http-equiv", "id", "lang", "name", "scope",
        "tabindex", "aria-hidden",
    }  # fmt: skip
    assert '"</script><script>alert(1)</script>"' in found.text
    assert "<img src=x onerror=alert(2)> &lt;b&gt;" in found.text
    assert "</pre><script>alert(3)</script>" in found.text
    assert not {"\x1b", "\u202e", "\ufffe"} & set(source)


# --- The page and the terminal -------------------------------------------------------------------


def test_a_page_is_one_file_that_can_be_heard_and_walked_through(page, submission):
    add(submission, RIGHT + "\n\n" + HOSTILE.replace("causal_mask", "attention_scores"))
    source = page("--all")
    found = Page(source)
    assert "default-src 'none'" in source
    assert "url(" not in source
    assert "@import" not in source
    targets = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    assert {attributes["href"].removeprefix("#") for attributes in found.all("a")} <= targets
    assert all(attributes.get("scope") in ("row", "col") for attributes in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table")) > 3
    headings = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(word in found.text for word in ("✓ passes", "✗ error", "· not written yet"))
    assert "≠differs" in found.text  # a sign to see, a word to hear
    assert len(found.all("article")) == 3  # with the one that was given
    assert source[: source.index("<article")].count('<th scope="row">') == len(load_tasks())


def test_the_same_seed_gives_the_same_page_and_another_file_is_kept(compare, submission, tmp_path):
    add(submission, RIGHT)
    target = tmp_path / "new" / "page.html"
    assert compare("attention", "--html", target).out.endswith(f"{target}\n")
    before = target.read_bytes()
    assert compare("attention", "--html", target).out.endswith(f"{target}\n")
    assert target.read_bytes() == before
    answer = submission / "attention.py"
    kept = answer.read_bytes()
    said = compare("welcome", "--html", answer).out
    (backup,) = (tmp_path / "memory" / "backup").iterdir()
    assert f"(what was there: {backup})" in said
    assert backup.read_bytes() == kept


@pytest.mark.parametrize(("width", "beside"), [(60, 1), (100, 2), (160, 3)])
def test_columns_stand_side_by_side_where_there_is_room(
    compare, submission, monkeypatch, width, beside
):
    monkeypatch.setenv("COLUMNS", str(width))
    add(submission, RIGHT)
    out = compare("causal_mask").out
    titles = [re.findall(r"── (\w+) ", line) for line in out.splitlines() if line[:3] == "── "]
    assert (
        titles
        == {
            1: [["stub"], ["answer"], ["solution"]],
            2: [["stub"], ["answer", "solution"]],
            3: [["stub", "answer", "solution"]],
        }[beside]
    )
    code = out[out.index("── ") : out.index("✓")]
    assert max(map(len, code.splitlines())) <= width


def test_all_lists_what_can_be_seen_and_counts_the_rest(compare, submission):
    add(submission, RIGHT)
    (submission / "tokenizer.py").write_text("def encode(:\n", "utf-8")
    out = compare("--all").out
    assert "✗ tokenizer.encode  tokenizer.py:1 is not Python: invalid syntax\n" in out
    assert "✗ optim.orthogonalize  there is no optim.py\n" in out
    assert "attention.attention_scores" not in out
    assert "2 of 125 pass" in out


def test_after_a_pass_check_points_to_a_command_that_works(nanopoet, submission):
    add(submission, RIGHT)
    (line,) = re.findall("compare    nanopoet (.*)", nanopoet("check", "causal_mask").out)
    assert OURS in nanopoet(*line.split()).out
