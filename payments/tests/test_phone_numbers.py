from __future__ import annotations

import pytest

from payments.phone_numbers import InvalidPhoneNumber, mask, mask_local, normalise_phone_number


@pytest.mark.parametrize(
    "typed",
    [
        "0712345678",
        "712345678",
        "254712345678",
        "+254712345678",
        "00254712345678",
        "+254 (0)712 345 678",
        "0712-345.678",
        "(0712) 345 678",
        " 0712 345 678 ",
    ],
)
def test_the_forms_people_type(typed: str) -> None:
    assert normalise_phone_number(typed) == "254712345678"


def test_numbers_that_begin_with_one() -> None:
    assert {normalise_phone_number(typed) for typed in ("0112345678", "112345678", "+254112345678")} == {"254112345678"}


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "0712", "07123456789", "0812345678", "0212345678", "+14155552671", "0712-FLOWER", "٠٧١٢٣٤٥٦٧٨",
        "+254 0712 345 678", "254254712345678", "++254712345678", "0712345678;", "0712345678\n", "\x000712345678",
        "tel:0712345678", "0712/345678", 712345678, None, True, ["0712345678"], "0" * 5000,
    ],
)  # fmt: skip
def test_anything_else_is_refused(typed: object) -> None:
    with pytest.raises(InvalidPhoneNumber):
        normalise_phone_number(typed)


def test_masks_show_its_owner_enough() -> None:
    assert (mask("254708374149"), mask_local("254712345678")) == ("2547•••••149", "0712 ••• 678")
