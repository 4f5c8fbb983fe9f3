from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Avg, Count, Q


class BookQuerySet(models.QuerySet):
    def with_scores(self):
        """One SQL query for all books, their numbers of reviews and their scores."""
        return self.annotate(
            review_count=Count("reviews"), score=Avg("reviews__stars")
        ).order_by("title")


class Book(models.Model):
    title = models.CharField(max_length=200, unique=True)

    objects = BookQuerySet.as_manager()

    class Meta:
        app_label = "shelf"

    def __str__(self):
        return self.title


class Review(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="reviews")
    stars = models.IntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(max_length=2000)

    class Meta:
        app_label = "shelf"
        constraints = [
            # The form checks this kindly; the database checks it always.
            models.CheckConstraint(condition=Q(stars__range=(1, 5)), name="stars_1_to_5")
        ]
