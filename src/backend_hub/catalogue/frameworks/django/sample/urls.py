from django.urls import path

import views

urlpatterns = [
    path("", views.book_list, name="book-list"),
    path("books/<int:pk>/reviews/", views.add_review, name="add-review"),
]
