"""The consumer and the routing of the naive shop, as Channels' own tutorial builds them."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.naive.settings"

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from bench.naive.models import Transaction


class PaymentConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        name = self.scope["url_route"]["kwargs"]["checkout_request_id"]
        payment = await self.payment_of_this_customer(name)
        if payment is None:
            await self.close()
            return
        self.group = f"payment_{name}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send(text_data=json.dumps({"status": payment.status, "receipt": payment.mpesa_receipt_number}))

    @database_sync_to_async
    def payment_of_this_customer(self, name: str) -> Transaction | None:
        return Transaction.objects.filter(checkout_request_id=name, customer=self.scope["user"].pk).first()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def payment_update(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"status": event["status"], "receipt": event["receipt"]}))


sockets = URLRouter([path("ws/payments/<str:checkout_request_id>/", PaymentConsumer.as_asgi())])
application = ProtocolTypeRouter({"http": django_application, "websocket": AuthMiddlewareStack(sockets)})
