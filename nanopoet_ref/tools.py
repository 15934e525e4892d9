"""Chapter 08 · A tool (工具): the calculator that a model may call, safe by construction.

An expression is parsed, and its tree is walked. What the walk does not name is an error, so nothing
that is written can reach the machine. There are no loops, an expression is short and no number may
grow beyond a length, so there is a bound to the time, too. Errors come back as text: whoever asked
can read them, and so can a model.
"""

import ast
import operator
import warnings
from collections.abc import Callable
from fractions import Fraction

MAX_LENGTH = 500  # characters of an expression
MAX_BITS = 13_000  # of a number: 3,900 digits
PLACES = 6  # of a result that is no whole number

OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class CalculatorError(ValueError):
    """What the calculator cannot do, in words."""


def small(number: Fraction | int) -> Fraction:
    """The same number, if it is not too long."""
    value = Fraction(number)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise CalculatorError("number too long")
    return value


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """`base ** exponent`, whose length is known before it is computed."""
    if exponent.denominator != 1:
        raise CalculatorError("exponent is no whole number")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    # Of 9 ** 9 ** 9 nothing may be begun: it has 369 million digits. 1 and -1 stay as long as
    # they are, but are refused with the rest: nobody asks for them.
    if bits * abs(exponent) > MAX_BITS:
        raise CalculatorError("number too long")
    return Fraction(base) ** int(exponent)


def evaluate(node: ast.expr) -> Fraction:
    """The value of a tree of numbers, signs, operators, and `"text".count("c")`."""
    match node:
        # Fractions, not floats: 0.1 + 0.2 is 0.3, and no whole number is too large to be divided.
        # `type`, not isinstance: True is an int.
        case ast.Constant(value=number) if type(number) is int or type(number) is float:
            return small(Fraction(str(number)))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -evaluate(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return evaluate(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return small(power(evaluate(left), evaluate(right)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return small(OPERATORS[type(op)](evaluate(left), evaluate(right)))
        # The one method there is, of a text that is written out, with a text that is written out.
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(text)), attr="count"),
            args=[ast.Constant(value=str(part))],
            keywords=[],
        ):
            return Fraction(text.count(part))
    raise CalculatorError('only numbers, + - * / // % ** and "text".count("c")')


def show(value: Fraction) -> str:
    """A whole number as it is, another to some places after the point.

    >>> show(Fraction(6, 2)), show(Fraction(-2, 3)), show(Fraction(5, 2))
    ('3', '-0.666667', '2.5')
    """
    if value.denominator == 1:
        return str(value.numerator)
    # In whole numbers throughout: a float would end at 308 digits.
    scaled = round(abs(value) * 10**PLACES)
    whole, rest = divmod(scaled, 10**PLACES)
    text = f"{whole}.{rest:0{PLACES}}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 < scaled else text


def calculate(expression: str) -> str:
    """The value of an expression as text, or what is wrong with it as text.

    >>> calculate("3 * 56"), calculate('"月月山".count("月")'), calculate("7 / 0")
    ('168', '2', 'error: division by zero')
    >>> calculate("__import__('os').getcwd()")
    'error: only numbers, + - * / // % ** and "text".count("c")'
    """
    try:
        if len(expression) > MAX_LENGTH:
            raise CalculatorError("expression too long")
        # Only parsed, never run. The parser's warnings are for who writes programs.
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(expression.strip(), mode="eval")
        return show(evaluate(tree.body))
    except ZeroDivisionError:
        return "error: division by zero"
    except CalculatorError as error:
        return f"error: {error}"
    # A null character, 500 brackets, 1e999: the parser has an error of its own for each.
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return "error: not an expression"
