"""The application in the container: a health check, a visible version, nothing else."""

import os

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/")
def index():
    return jsonify(message="Hello from a container", version=os.environ.get("APP_VERSION", "dev"))


@app.get("/health")
def health():
    return jsonify(status="ok")
