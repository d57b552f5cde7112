from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.backends.choosing import named, next_step
from permille.errors import ModelError

WORDS = st.dictionaries(
    st.text(min_size=1), st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple), min_size=2
)


def test_what_all_share_goes_before_the_question() -> None:
    step = next_step({"a": (5, 6, 7), "b": (5, 6, 8)})
    assert step.tokens == (5, 6)
    assert step.branches == {7: ("a",), 8: ("b",)}


def _tells_apart(words: dict[str, tuple[int, ...]]) -> bool:
    return not any(a != b and words[b][: len(words[a])] == words[a] for a in words for b in words)


@given(WORDS)
def test_every_word_can_be_reached_by_its_own_tokens(
    words: dict[str, tuple[int, ...]],
) -> None:
    if not _tells_apart(words):
        return
    for target, tokens in words.items():
        left = tuple(words)
        while len(left) > 1:
            step = next_step({word: words[word] for word in left})
            assert tokens[: len(step.tokens)] == step.tokens
            assert sorted(w for group in step.branches.values() for w in group) == sorted(left)
            left = step.branches[tokens[len(step.tokens)]]
        assert left == (target,)


@pytest.mark.parametrize(
    "words", [{"a": (1,), "b": (1, 2)}, {"a": (1, 2), "b": (1, 2)}, {"a": (), "b": (1,)}]
)
def test_the_beginning_of_another_is_refused(words: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match="prefix of another"):
        next_step(words)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (" Positive.", "positive"),
        ("negative", "negative"),
        ("The answer is: positive!", "positive"),
        ("positive or negative?", "positive"),
        ("either positive or negative", None),
        ("positively", None),
        ("", None),
    ],
)
def test_the_choice_that_a_text_names(text: str, label: str | None) -> None:
    assert named(text, ("negative", "positive")) == label


def test_of_choices_that_begin_alike_the_longest_counts() -> None:
    assert named("not good at all", ("not", "not good")) == "not good"


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=5), st.text())
def test_only_choices_are_ever_named(choices: list[str], text: str) -> None:
    assert named(text, choices) in {*choices, None}
