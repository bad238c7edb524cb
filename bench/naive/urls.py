"""The callback of the naive shop, its polls and its server-sent events, as tutorials write them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from bench.naive.models import Transaction

KEEP_ALIVE = 20  # seconds, before a proxy takes the stream for dead


@csrf_exempt
def callback(request: HttpRequest) -> JsonResponse:
    told = json.loads(request.body)["Body"]["stkCallback"]
    with transaction.atomic():
        payment = Transaction.objects.select_for_update().get(checkout_request_id=told["CheckoutRequestID"])
        payment.status = "COMPLETED" if told["ResultCode"] == 0 else "FAILED"
        for item in told.get("CallbackMetadata", {}).get("Item", []):
            if item["Name"] == "MpesaReceiptNumber":
                payment.mpesa_receipt_number = item["Value"]
        payment.save()
        transaction.on_commit(lambda: announce(payment))
    return JsonResponse({"ResultCode": 0, "ResultDesc": "Accepted"})


def announce(payment: Transaction) -> None:
    message = {"type": "payment.update", "status": payment.status, "receipt": payment.mpesa_receipt_number}
    async_to_sync(get_channel_layer().group_send)(f"payment_{payment.checkout_request_id}", message)


def status(request: HttpRequest, checkout_request_id: str) -> JsonResponse:
    payment = Transaction.objects.get(checkout_request_id=checkout_request_id)
    return JsonResponse({"status": payment.status, "receipt": payment.mpesa_receipt_number})


async def events(request: HttpRequest, checkout_request_id: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(changes(f"payment_{checkout_request_id}"), content_type="text/event-stream")


async def changes(group: str) -> AsyncIterator[str]:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    try:
        yield f"data: {json.dumps({'status': 'PENDING'})}\n\n"
        while True:
            try:
                message = await asyncio.wait_for(layer.receive(channel), KEEP_ALIVE)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            yield f"data: {json.dumps({'status': message['status'], 'receipt': message['receipt']})}\n\n"
    finally:
        await layer.group_discard(group, channel)


urlpatterns = [
    path("mpesa/callback/", callback),
    path("status/<str:checkout_request_id>/", status),
    path("events/<str:checkout_request_id>/", events),
]
