from django.apps import AppConfig


class ShelfConfig(AppConfig):
    name = "apps"
    label = "shelf"

    def ready(self):
        import models  # noqa: F401  (an app that is a package needs no such line)
