"""make_container.py PORT ACCOUNT KEY CONTAINER: makes a container in Azurite, if it is absent.

A signed request, and so also the proof that the server is up and takes the key.
"""
import base64
import hashlib
import hmac
import sys
import urllib.error
import urllib.request
from email.utils import formatdate

port, account, key, container = sys.argv[1:]
date, version = formatdate(usegmt=True), "2021-08-06"
signed = (
    f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:{version}\n"
    f"/{account}/{account}/{container}\nrestype:container"
)
digest = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
request = urllib.request.Request(
    f"http://127.0.0.1:{port}/{account}/{container}?restype=container",
    method="PUT",
    headers={
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {account}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    },
)
try:
    urllib.request.urlopen(request, timeout=5)
except urllib.error.HTTPError as error:
    if error.code != 409:
        sys.exit(f"{error.code} {error.read()[:200]}")
except OSError as error:
    sys.exit(str(error))
