"""make_bucket.py PORT KEY SECRET BUCKET: makes a bucket on an S3 server, if it is absent.

A signed request (AWS Signature Version 4), and so also the proof that the server is up and takes the key.
"""
import datetime
import hashlib
import hmac
import sys
import urllib.error
import urllib.request

port, key, secret, bucket = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc)
stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
empty = hashlib.sha256(b"").hexdigest()
scope = f"{day}/us-east-1/s3/aws4_request"
names = "host;x-amz-content-sha256;x-amz-date"
canonical = (
    f"PUT\n/{bucket}\n\nhost:127.0.0.1:{port}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n"
    f"\n{names}\n{empty}"
)
to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
signing = f"AWS4{secret}".encode()
for part in (day, "us-east-1", "s3", "aws4_request"):
    signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
signature = hmac.new(signing, to_sign.encode(), hashlib.sha256).hexdigest()
request = urllib.request.Request(
    f"http://127.0.0.1:{port}/{bucket}",
    method="PUT",
    headers={
        "x-amz-content-sha256": empty,
        "x-amz-date": stamp,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}",
    },
)
try:
    urllib.request.urlopen(request, timeout=5)
except urllib.error.HTTPError as error:
    if error.code != 409:
        sys.exit(f"{error.code} {error.read()[:200]}")
except OSError as error:
    sys.exit(str(error))
