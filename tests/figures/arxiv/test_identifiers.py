"""arXiv's identifiers, as people, lists and files write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vicl.figures.arxiv.identifiers import SOURCE_SUFFIXES, PaperId


@pytest.mark.parametrize(
    ("text", "number", "version", "file_name", "folder"),
    [
        ("2209.00647v3", "2209.00647", 3, "2209.00647v3", "2209"),
        ("0704.0001", "0704.0001", None, "0704.0001", "0704"),
        ("1412.9999", "1412.9999", None, "1412.9999", "1412"),
        ("1501.00001", "1501.00001", None, "1501.00001", "1501"),
        ("cs/0112017v2", "cs/0112017", 2, "cs0112017v2", "0112"),
        ("math.GT/0309136", "math/0309136", None, "math0309136", "0309"),
        ("arXiv:hep-th/9901001", "hep-th/9901001", None, "hep-th9901001", "9901"),
        ("https://arxiv.org/pdf/2209.00647v1.pdf", "2209.00647", 1, "2209.00647v1", "2209"),
        (" http://arxiv.org/abs/cs/0703001\n", "cs/0703001", None, "cs0703001", "0703"),
    ],
)
def test_identifiers(
    text: str, number: str, version: int | None, file_name: str, folder: str
) -> None:
    paper = PaperId.parse(text)
    assert paper == PaperId(number, version)
    assert (paper.file_name, paper.folder) == (file_name, folder)
    assert PaperId.parse(str(paper)) == paper


@pytest.mark.parametrize(
    "text",
    [
        *("", "2213.00001", "2200.00001", "0703.0001", "1412.00001", "2209.00647v0", "cs/0704001"),
        *(
            "../2209.00647",
            "2209.00647/..",
            "foo/0112017",
            "cs/9001001",
            "cs0112017",
            "2209.006477",
        ),
        *("٢٢٠٩.٠٠٦٤٧", "2209.00647\n2209.00648", "2209.00647v99999"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected an arXiv identifier such as"):
        PaperId.parse(text)


@pytest.mark.parametrize("cut", ["1909.1127", "1909.112", "704.0001"])
def test_one_that_was_taken_for_a_number(cut: str) -> None:
    with pytest.raises(ValueError, match="cut its zeros"):
        PaperId.parse(cut)


@given(
    st.one_of(
        st.from_regex(r"(1[5-9]|2[0-9])(0[1-9]|1[0-2])\.[0-9]{5}(v[1-9])?", fullmatch=True),
        st.from_regex(
            r"(cs|hep-th|math-ph)/9[2-9](0[1-9]|1[0-2])[0-9]{3}(v[1-9])?", fullmatch=True
        ),
    ),
    st.sampled_from(SOURCE_SUFFIXES),
)
def test_names_of_files_lead_back(text: str, suffix: str) -> None:
    paper = PaperId.parse(text)
    assert PaperId.of_file(paper.file_name + suffix) == paper
    assert "/" not in paper.file_name


@pytest.mark.parametrize("name", ["README.gz", "2209.00647.txt", "2209.00647", ".gz", "cs-01.gz"])
def test_names_that_tell_none(name: str) -> None:
    assert PaperId.of_file(name) is None
