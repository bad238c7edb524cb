"""The floor: the least that can confirm a payment durably and push it to a page. No framework, no ORM, no checks."""
