"""The bakery's settings: Papo's, which read the environment, with the bakery's own app."""

from papo_settings import *  # noqa: F403
from papo_settings import INSTALLED_APPS

INSTALLED_APPS = ["bakery", *INSTALLED_APPS]
