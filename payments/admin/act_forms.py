"""What is asked of a person before an act on a payment; acting.py says which act asks what."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.common import AmountField
from payments.c2b.rescue import LONGEST_TYPED, code_in
from payments.models import Discrepancy, Transaction
from payments.review import evidence, is_in_use

LONGEST_REASON = 200  # characters


class Nothing(forms.Form):
    """Asks for no more than the press of the button."""

    def __init__(self, *args: Any, payment: Transaction, **options: Any) -> None:
        super().__init__(*args, **options)
        self.payment = payment


class Note(Nothing):
    text = forms.CharField(
        label=gettext_lazy("Note"), max_length=250, help_text=gettext_lazy("It stays as it is written.")
    )


class Why(Nothing):
    why = forms.CharField(
        label=gettext_lazy("Why?"), max_length=LONGEST_REASON, help_text=gettext_lazy("It is kept with the payment.")
    )


class Found(Why):
    """What money a person has found; the fields begin with what the callbacks say."""

    amount = AmountField(
        label=gettext_lazy("KES received"), help_text=gettext_lazy("What really came, not what was asked.")
    )
    receipt = forms.CharField(
        label=gettext_lazy("M-PESA receipt"),
        required=False,
        max_length=LONGEST_TYPED,
        help_text=gettext_lazy("The ten letters and digits, or the whole SMS."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    no_receipt = forms.BooleanField(label=gettext_lazy("No receipt is known"), required=False)
    field_order = ("amount", "receipt", "no_receipt", "why")

    def __init__(self, *args: Any, payment: Transaction, **options: Any) -> None:
        super().__init__(*args, payment=payment, **options)
        found = evidence(payment)
        self.initial = {"amount": found.amount, "receipt": found.receipt or "", **self.initial}

    def clean_receipt(self) -> str:
        typed = self.cleaned_data["receipt"]
        receipt = code_in(typed)
        if typed and not receipt:
            raise forms.ValidationError(_("This is no M-PESA receipt: it has ten letters and digits."))
        if is_in_use(receipt, self.payment):
            raise forms.ValidationError(_("Another payment has this receipt."))
        return receipt

    def clean(self) -> None:
        said = self.cleaned_data
        if "receipt" in said and bool(said["receipt"]) == said["no_receipt"]:
            self.add_error("receipt", _("Type the receipt, or say that none is known: one of the two."))


class DiscrepancyField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.get_kind_display())


class Resolution(Why):
    discrepancy = DiscrepancyField(
        label=gettext_lazy("What has been seen to"), queryset=Discrepancy.objects.none(), empty_label=None
    )
    field_order = ("discrepancy", "why")

    def __init__(self, *args: Any, payment: Transaction, **options: Any) -> None:
        super().__init__(*args, payment=payment, **options)
        field = self.fields["discrepancy"]
        assert isinstance(field, DiscrepancyField)  # noqa: S101 - for the types
        field.queryset = resolvable(payment)


def resolvable(payment: Transaction) -> QuerySet[Discrepancy]:
    """Return what is open and does not block: what blocks is resolved by deciding about the payment."""
    still_open = payment.discrepancies.filter(resolved_at=None)
    return still_open.exclude(blocking=True) if payment.under_review else still_open
