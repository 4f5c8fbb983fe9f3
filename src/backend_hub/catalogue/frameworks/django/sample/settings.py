import os
import secrets
from pathlib import Path

# Production passes its own key; without one, every start gets a fresh random key.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(50)
ALLOWED_HOSTS = ["testserver"]  # the host name that the test client uses
INSTALLED_APPS = ["apps.ShelfConfig"]
ROOT_URLCONF = "urls"
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]  # startproject gives you more
DJANGO_TEMPLATES = "django.template.backends.django.DjangoTemplates"
TEMPLATES = [{"BACKEND": DJANGO_TEMPLATES, "DIRS": [Path(__file__).parent]}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
