from django import forms
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from models import Book, Review


class ReviewForm(forms.ModelForm):
    class Meta:
        model = Review
        fields = ["stars", "text"]  # name the fields; "__all__" invites surprises


@require_GET
def book_list(request):
    return render(request, "books.html", {"books": Book.objects.with_scores()})


@require_http_methods(["GET", "POST"])
def add_review(request, pk):
    book = get_object_or_404(Book, pk=pk)
    form = ReviewForm(request.POST or None, instance=Review(book=book))
    if form.is_valid():
        form.save()
        return redirect("book-list")  # so that a reload does not post twice
    context = {"book": book, "form": form}
    return render(request, "review.html", context, status=422 if form.is_bound else 200)
