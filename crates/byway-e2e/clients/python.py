"""Python clients through the gateway: base URL, forward proxy, TLS by CONNECT, WebSocket."""

import asyncio
import os
import sys

import httpx
import requests
import websockets

gateway, plain, tls, ca, socket = sys.argv[1:6]


def same(answer, what):
    assert answer.status_code == 200, (what, answer.status_code, answer.text)
    assert b"GET /x?q=%ED%95%9C" in answer.content or b"POST /x" in answer.content, answer.content


query = "/x?q=%ED%95%9C"
same(requests.get(f"http://{gateway}/to/plain{query}"), "requests, base URL")
same(requests.get(f"http://{gateway}/to/tls{query}"), "requests, base URL to TLS")
same(requests.post(f"http://{gateway}/to/plain/x", data=iter([b"a", b"b"])), "requests, chunked")

os.environ.update(HTTP_PROXY=f"http://{gateway}", HTTPS_PROXY=f"http://{gateway}", NO_PROXY="")
same(requests.get(f"http://{plain}{query}"), "requests, proxy")
same(requests.get(f"https://{tls}{query}", verify=ca), "requests, CONNECT")
with requests.Session() as session:
    for _ in range(5):
        same(session.get(f"http://{plain}{query}"), "requests, kept")
redirected = requests.get(f"http://{gateway}/to/plain/redirect", proxies={"http": None})
assert redirected.history and redirected.url == f"http://{gateway}/to/plain/x?q=%ED%95%9C"

import ssl

context = ssl.create_default_context(cafile=ca)
with httpx.Client(verify=context) as client:
    same(client.get(f"http://{plain}{query}"), "httpx, proxy")
    same(client.get(f"https://{tls}{query}"), "httpx, CONNECT")
with httpx.Client(trust_env=False) as client:
    same(client.get(f"http://{gateway}/to/plain{query}"), "httpx, base URL")


async def chat(url, **options):
    async with websockets.connect(url, **options) as ws:
        for text in ("hello", "한글" * 1000):
            await ws.send(text)
            assert await ws.recv() == text


for name in ("HTTP_PROXY", "HTTPS_PROXY"):
    del os.environ[name]
asyncio.run(chat(f"ws://{gateway}/to/socket/chat"))
asyncio.run(chat(f"ws://{socket}/chat", proxy=f"http://{gateway}"))
print("fine")
