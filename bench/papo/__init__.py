"""Papo itself: `manage.py serve`, and a program that writes payments as the shop would."""
