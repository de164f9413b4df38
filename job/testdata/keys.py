"""Derives the keys of keys.json from their documents, with Python's standard library only: python3 keys.py keys.json"""

import hashlib
import json
import sys


def number(x):
    """Number::toString of ECMAScript, which RFC 8785 asks for. repr gives the right digits, in another layout."""
    x = float(x)
    if x == 0:
        return "0"
    if x < 0:
        return "-" + number(-x)
    mantissa, _, exponent = repr(x).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)  # behind which digit the point stands
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    tail = "." + digits[1:] if digits[1:] else ""
    return "%s%se%+d" % (digits[0], tail, point - 1)


def jcs(v):
    """RFC 8785 canonical JSON."""
    if isinstance(v, dict):
        names = sorted(v, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(jcs(name) + ":" + jcs(v[name]) for name in names) + "}"
    if isinstance(v, list):
        return "[" + ",".join(jcs(x) for x in v) + "]"
    if isinstance(v, bool) or v is None or isinstance(v, str):
        return json.dumps(v, ensure_ascii=False)
    return number(v)


def complete(document):
    """Makes absent and empty the same."""
    spec, parents = document["spec"], document.setdefault("parents", {})
    for name in ("params", "inputs", "env"):
        spec.setdefault(name, {})
    for entry in spec["inputs"].values():
        if entry.get("size") == 0:
            del entry["size"]
    task = spec["task"]
    task.setdefault("command", [])
    task.setdefault("input_dir", "")
    task.setdefault("output_dirs", [])
    for name in ("before", "after", "on_failure"):
        if not task.get(name):
            task.pop(name, None)
    for parent in parents.values():
        if parent.get("files"):
            parent["files"].sort()
        else:
            parent.pop("files", None)
    return document


def sha256(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def main(path):
    with open(path, encoding="utf-8") as f:
        vectors = json.load(f)
    for vector in vectors:
        document = complete(vector["document"])
        spec = sha256(jcs(document["spec"]))
        key = sha256(jcs({"v": 1, "spec": spec, "parents": document["parents"]}))
        got = (jcs(document), spec, key)
        want = (vector["canonical"], vector["spec_sha256"], vector["key"])
        if got != want:
            sys.exit("%s:\n got %s\nwant %s" % (vector["name"], got, want))
    print("%d keys derived" % len(vectors))


main(sys.argv[1])
