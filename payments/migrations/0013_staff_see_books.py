"""Who of the staff sees refunds and books: viewers the refunds, supervisors also the books."""

from django.db import migrations

VIEWED = {"refund": ("Viewer", "Agent", "Supervisor")} | dict.fromkeys(
    ("finding", "movement", "reading"), ("Supervisor",)
)


def let_see(apps, schema_editor):
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    Group = apps.get_model("auth", "Group")
    for model, groups in VIEWED.items():
        content_type, _ = ContentType.objects.get_or_create(app_label="payments", model=model)
        permission, _ = Permission.objects.get_or_create(
            content_type=content_type, codename=f"view_{model}", defaults={"name": f"Can view {model}"}
        )
        for group in Group.objects.filter(name__in=groups):
            group.permissions.add(permission)


def no_longer(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    permissions = Permission.objects.filter(
        content_type__app_label="payments", codename__in=[f"view_{model}" for model in VIEWED]
    )
    for group in Group.objects.filter(name__in=("Viewer", "Agent", "Supervisor")):
        group.permissions.remove(*permissions)


class Migration(migrations.Migration):

    dependencies = [("payments", "0012_books")]

    operations = [migrations.RunPython(let_see, no_longer)]
