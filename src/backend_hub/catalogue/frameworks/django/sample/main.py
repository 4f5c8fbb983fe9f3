import os
import re

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from models import Book, Review


def items(response):
    """The text of each list item on a page."""
    found = re.findall(r"<li>.*?</li>", response.content.decode(), re.DOTALL)
    return [" ".join(strip_tags(item).split()) for item in found]


with connection.schema_editor() as editor:  # a real project runs: manage.py migrate
    editor.create_model(Book)
    editor.create_model(Review)

book = Book.objects.create(title="Emma")
Book.objects.create(title="<b>Dracula</b>")  # the template escapes this

browser = Client(enforce_csrf_checks=True)
page = reverse("add-review", args=[book.pk])

response = browser.post(page, {"stars": 5, "text": "Forged by another site"})
print("POST without a CSRF token:", response.status_code)

# Only our own pages can read this token and send it back with the form.
token = {"csrfmiddlewaretoken": browser.get(page).cookies["csrftoken"].value}

response = browser.post(page, {"stars": 9, "text": "Too good", **token})
print("POST with nine stars:", response.status_code, items(response))

for stars in (4, 5):
    response = browser.post(page, {"stars": stars, "text": "Lovely", **token})
    print(f"POST with {stars} stars:", response.status_code, "to", response["Location"])

response = browser.get("/")
print(f"GET /: {response.status_code}", *items(response), sep="\n  ")
print("GET a book that is not there:", browser.get("/books/99/reviews/").status_code)
