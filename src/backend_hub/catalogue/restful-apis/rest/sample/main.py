from api import create_app

client = create_app().test_client()


def call(method, url, show=(), **options):
    response = client.open(url, method=method, **options)
    details = [f"{name}: {response.headers[name]}" for name in show]
    if response.mimetype == "application/problem+json":
        details.append(response.json["title"])
    print(f"{method:<6} {url:<19} {response.status_code}", *details, sep="  ")
    return response


for title in ("Verbs", "Nouns", "Links"):
    call("POST", "/articles", ["Location"], json={"title": title, "text": "..."})
call("POST", "/articles", json={"title": ""})

print("\n# Pages: follow the links until there are none")
url = "/articles"
while url:
    page = call("GET", url, show=[])
    print("      ", [article["title"] for article in page.json])
    url = page.headers.get("Link", "").partition(">")[0].lstrip("<")

print("\n# Caching: the second request costs no body")
first = call("GET", "/articles/1", ["Cache-Control"])
tag = first.headers["ETag"]
call("GET", "/articles/1", headers={"If-None-Match": tag})

print("\n# Two editors: the slower one cannot overwrite what it has not seen")
ana = {"title": "Verbs", "text": "Ana was here"}
ben = {"title": "Verbs", "text": "Ben was here"}
call("PUT", "/articles/1", json=ben)
call("PUT", "/articles/1", json=ana, headers={"If-Match": tag})
call("PUT", "/articles/1", json=ben, headers={"If-Match": tag})

print("\n# Safe to repeat, and honest about what is not possible")
call("DELETE", "/articles/2")
call("DELETE", "/articles/2")
call("GET", "/articles/2")
allowed = call("PATCH", "/articles/1").headers["Allow"]
print("       allowed:", ", ".join(sorted(allowed.split(", "))))
