"""Supervisors see what came by hand and match it to orders."""

from django.db import migrations

GRANTED = (
    ("confirmation", "view_confirmation", "Can view confirmation"),
    ("confirmation", "match_confirmation", "Can match money that came by hand to an order"),
    ("receiptclaim", "view_receiptclaim", "Can view receipt claim"),
)


def grant(apps, schema_editor):
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    supervisors = apps.get_model("auth", "Group").objects.filter(name="Supervisor").first()
    for model, codename, name in GRANTED:
        content_type, _ = ContentType.objects.get_or_create(app_label="payments", model=model)
        permission, _ = Permission.objects.get_or_create(
            content_type=content_type, codename=codename, defaults={"name": name}
        )
        if supervisors is not None:
            supervisors.permissions.add(permission)


def take_back(apps, schema_editor):
    granted = [codename for _model, codename, _name in GRANTED]
    for group in apps.get_model("auth", "Group").objects.filter(name="Supervisor"):
        group.permissions.remove(*group.permissions.filter(codename__in=granted))


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0014_what_the_board_counts"),
    ]

    operations = [migrations.RunPython(grant, take_back)]
