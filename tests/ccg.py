"""Whether the supertags of a sentence derive it: a CKY parser for Combinatory Categorial Grammar.

Categories and rules are CCGbank's (Hockenmaier & Steedman 2007): application, harmonic and crossed composition of
degree one and two, coordination, absorption of punctuation, subject type-raising and its unary type changes. Object
type-raising for argument clusters is left out: the annotators avoid it.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

ATOMS = {"S", "N", "NP", "PP", "PR", "conj", ",", ".", ";", ":", "LRB", "RRB"}
PUNCTUATION = {",", ".", ";", ":", "LRB", "RRB"}
DEEPEST = 6  # categories nested further never lead anywhere, and there would be no end of them


@dataclass(frozen=True)
class Atom:
    """S[dcl], NP, ..."""

    name: str
    feature: str = ""


@dataclass(frozen=True)
class Functor:
    """result/argument or result\\argument."""

    slash: str
    result: Category
    argument: Category


Category = Atom | Functor


def parse(text: str) -> Category:
    """The category written as in CCGbank; raises ValueError where it is none."""
    tokens = re.findall(r"[/\\()]|[A-Za-z,.;:]+(?:\[[a-z]+\])?|.", text)[::-1]
    category = _parse(tokens)
    if tokens:
        raise ValueError(f"{text!r}: nothing may follow the category, found {tokens[-1]!r}")
    return category


def _parse(tokens: list[str]) -> Category:
    category = _operand(tokens)
    while tokens and tokens[-1] in "/\\":
        category = Functor(tokens.pop(), category, _operand(tokens))
    return category


def _operand(tokens: list[str]) -> Category:
    token = tokens.pop() if tokens else ""
    if token == "(":
        category = _parse(tokens)
        if not tokens or tokens.pop() != ")":
            raise ValueError("a bracket is not closed")
        return category
    name, _, feature = token.rstrip("]").partition("[")
    if name not in ATOMS:
        raise ValueError(f"{token!r} is no category")
    return Atom(name, feature)


def derives(supertags: Sequence[str]) -> bool:
    """Whether some derivation of these categories, in this order, ends in a category of a whole utterance."""
    n = len(supertags)
    chart = {(i, i + 1): _closure({parse(tag)}) for i, tag in enumerate(supertags)}
    for width in range(2, n + 1):
        for start in range(n - width + 1):
            end = start + width
            found = {
                category
                for middle in range(start + 1, end)
                for left in chart[start, middle]
                for right in chart[middle, end]
                for category in _combine(left, right)
            }
            chart[start, end] = _closure({category for category in found if _depth(category) <= DEEPEST})
    return bool(chart[0, n] & ROOTS)


def _verb_phrase(feature: str) -> Functor:
    return Functor("\\", Atom("S", feature), NP)


S, N, NP = Atom("S"), Atom("N"), Atom("NP")
RAISED_SUBJECT = Functor("/", S, _verb_phrase(""))
ROOTS: set[Category] = {N, NP, *(Atom("S", feature) for feature in ("dcl", "q", "wq", "intj", "b", "frg", "inv")),
                        *(_verb_phrase(feature) for feature in ("b", "dcl", "ng", "pss", "adj", "to"))}


def _type_changes() -> dict[Category, set[Category]]:
    """Unary rules: bare nouns, raised subjects, reduced relatives, adverbial and nominal verb phrases."""
    modifiers: set[Category] = {Functor("\\", NP, NP), Functor("\\", N, N), Functor("/", S, S),
                                Functor("\\", _verb_phrase(""), _verb_phrase("")),
                                Functor("/", _verb_phrase(""), _verb_phrase(""))}
    rules: dict[Category, set[Category]] = {
        N: {NP}, NP: {RAISED_SUBJECT}, Functor("/", Atom("S", "dcl"), NP): {Functor("\\", NP, NP)},
    }
    for feature in ("pss", "ng", "adj", "to"):
        rules[_verb_phrase(feature)] = modifiers | ({NP} if feature in ("ng", "to") else set())
    return rules


TYPE_CHANGES = _type_changes()


def _closure(categories: set[Category]) -> set[Category]:
    """The categories and all that unary rules make of them."""
    todo = list(categories)
    while todo:
        new = TYPE_CHANGES.get(todo.pop(), set()) - categories
        categories |= new
        todo += new
    return categories


@cache
def _combine(left: Category, right: Category) -> frozenset[Category]:
    return frozenset([*_forward(left, right), *_backward(left, right), *_coordination(left, right)])


def _forward(left: Category, right: Category) -> Iterator[Category]:
    if not (isinstance(left, Functor) and left.slash == "/"):
        return
    feature = _unify(left.argument, right)
    if feature is not None:
        yield _result(left, feature)
    yield from _composition(left, right)


def _backward(left: Category, right: Category) -> Iterator[Category]:
    if not (isinstance(right, Functor) and right.slash == "\\"):
        return
    feature = _unify(right.argument, left)
    if feature is not None:
        yield _result(right, feature)
    yield from _composition(right, left)


def _composition(primary: Functor, other: Category) -> Iterator[Category]:
    """X|Y and Y|Z make X|Z; failing that, X|Y and (Y|W)|Z make (X|W)|Z."""
    if not isinstance(other, Functor):
        return
    feature = _unify(primary.argument, other.result)
    if feature is not None:
        yield Functor(other.slash, _result(primary, feature), other.argument)
    elif isinstance(inner := other.result, Functor):
        feature = _unify(primary.argument, inner.result)
        if feature is not None:
            composed = Functor(inner.slash, _result(primary, feature), inner.argument)
            yield Functor(other.slash, composed, other.argument)


def _coordination(left: Category, right: Category) -> Iterator[Category]:
    """A conjunction takes its right conjunct first; punctuation vanishes; a sentence may begin with 'and'."""
    if left in (Atom("conj"), Atom(","), Atom(";")) and (
            isinstance(right, Functor) or right.name in ("S", "N", "NP", "PP")):
        yield Functor("\\", right, right)
    if isinstance(right, Atom) and right.name in PUNCTUATION:
        yield left
    if isinstance(left, Atom) and (
            left.name in PUNCTUATION or (left.name == "conj" and isinstance(right, Atom) and right.name == "S")):
        yield right


@cache
def _unify(wanted: Category, offered: Category) -> str | None:
    """The feature that the wanted category's S takes from the offered one ('' for none); None if they do not fit."""
    if isinstance(wanted, Atom) and isinstance(offered, Atom):
        if wanted.name != offered.name or (wanted.feature and offered.feature and wanted.feature != offered.feature):
            return None
        return offered.feature if wanted.name == "S" else ""
    if isinstance(wanted, Functor) and isinstance(offered, Functor) and wanted.slash == offered.slash:
        result, argument = _unify(wanted.result, offered.result), _unify(wanted.argument, offered.argument)
        return None if result is None or argument is None else result or argument
    return None


@cache
def _result(functor: Functor, feature: str) -> Category:
    """What the functor yields; a modifier passes on the feature of what it modifies."""
    shares = functor == RAISED_SUBJECT or _skeleton(functor.result) == _skeleton(functor.argument)
    return _with_feature(functor.result, feature) if shares and feature else functor.result


def _with_feature(category: Category, feature: str) -> Category:
    if isinstance(category, Functor):
        return Functor(category.slash, _with_feature(category.result, feature),
                       _with_feature(category.argument, feature))
    return Atom("S", feature) if category == S else category


def _skeleton(category: Category) -> Category:
    """The category without its features."""
    if isinstance(category, Atom):
        return Atom(category.name)
    return Functor(category.slash, _skeleton(category.result), _skeleton(category.argument))


@cache
def _depth(category: Category) -> int:
    return 1 if isinstance(category, Atom) else 1 + max(_depth(category.result), _depth(category.argument))
