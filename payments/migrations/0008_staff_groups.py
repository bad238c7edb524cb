"""Three tiers of staff as groups: who may look, who works at the desk, who decides about money."""

from django.db import migrations

VIEWER = (
    ("payments", "transaction", "view_transaction"),
    ("payments", "transactionevent", "view_transactionevent"),
    ("payments", "discrepancy", "view_discrepancy"),
    ("payments", "promptgate", "view_promptgate"),
    ("shop", "order", "view_order"),
    ("shop", "product", "view_product"),
)
AGENT = (
    *VIEWER,
    ("payments", "transaction", "query_transaction"),
    ("payments", "transaction", "resend_prompt"),
    ("payments", "transaction", "use_counter"),
    ("payments", "transaction", "add_note"),
    ("shop", "order", "fulfil_order"),
)
SUPERVISOR = (
    *AGENT,
    ("payments", "callback", "view_callback"),
    ("payments", "transaction", "see_full_phone"),
    ("payments", "transaction", "refund_transaction"),
    ("payments", "transaction", "export_pii"),
    ("payments", "discrepancy", "resolve_discrepancy"),
    ("payments", "promptgate", "change_promptgate"),
    ("payments", "unwantedphone", "add_unwantedphone"),
    ("payments", "unwantedphone", "change_unwantedphone"),
    ("payments", "unwantedphone", "delete_unwantedphone"),
    ("payments", "unwantedphone", "view_unwantedphone"),
)
# What Django would otherwise name them itself, after all migrations.
NAMES = {
    "query_transaction": "Can ask M-PESA about a payment",
    "resend_prompt": "Can send a prompt again",
    "use_counter": "Can take payments at the counter",
    "add_note": "Can add notes to payments",
    "see_full_phone": "Can see the whole phone number of a payment",
    "refund_transaction": "Can send money back, or note that it was sent back by hand",
    "export_pii": "Can export payments with whole phone numbers and names",
    "fulfil_order": "Can pack orders and hand them over",
    "resolve_discrepancy": "Can resolve discrepancies and decide payments under review",
}
GROUPS = {"Viewer": VIEWER, "Agent": AGENT, "Supervisor": SUPERVISOR}


def make_groups(apps, schema_editor):
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    Group = apps.get_model("auth", "Group")
    for group_name, granted in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=group_name)
        for app_label, model, codename in granted:
            content_type, _ = ContentType.objects.get_or_create(app_label=app_label, model=model)
            name = NAMES.get(codename, f"Can {codename.replace('_', ' ')}")
            permission, _ = Permission.objects.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            group.permissions.add(permission)


def remove_groups(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("payments", "0007_staff_desk"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, remove_groups)]
